"""``jpeg-preproc models`` as it is typed."""

from __future__ import annotations

import json

from jpeg_preproc import build_restorer
from jpeg_preproc.restorers import registered_names, shipped_names
from jpeg_preproc.restorers.weights import read_manifest, weights_path


def test_every_network_and_weight_is_listed(command):
    code, output, _ = command("models")
    assert code == 0
    for name in (*registered_names(), *shipped_names()):
        assert name in output
    measured = read_manifest(weights_path("base")).measured
    gain = measured["psnr_db"]["10"] - measured["psnr_db_jpeg"]["10"]
    assert f"{measured['psnr_db']['10']:.2f} ({gain:+.2f})" in output


def test_json(command, monkeypatch):
    names = ("ARCNN", "GridUNet")  # all of them take seconds
    monkeypatch.setattr("jpeg_preproc.restorers.catalogue.registered_names", lambda: names)
    code, output, _ = command("models", "--json")
    assert code == 0
    found = json.loads(output)
    assert [entry["name"] for entry in found["networks"]] == list(names)
    network = next(entry for entry in found["networks"] if entry["name"] == "GridUNet")
    nano = build_restorer("GridUNet", "nano")
    parameters = sum(value.numel() for value in nano.parameters())
    assert network["presets"]["nano"]["parameters"] == parameters
    weights = {entry["manifest"]["name"]: entry for entry in found["weights"]}
    assert set(weights) == set(shipped_names())
    base = weights["base"]
    assert base["bytes"] == weights_path("base").stat().st_size
    assert base["cost"] == network["presets"]["base"]
    assert base["cost"]["channels"] == 3
