from __future__ import annotations

import hashlib
import json

import pytest
import torch

from jpeg_preproc.defaults import IMAGE_RESTORER, MODEL_RESTORER
from jpeg_preproc.errors import UnknownRestorerError, WeightsError
from jpeg_preproc.restorers import (
    build_restorer,
    load_weights,
    save_weights,
    shipped_names,
    weights_path,
)


@pytest.fixture
def saved(tmp_path):
    torch.manual_seed(3)
    network = build_restorer("GridUNet", "nano")
    path = tmp_path / "mine.safetensors"
    save_weights(network, path, preset="nano", training={"iterations": 1}, licence="CC0-1.0")
    return network, path


def test_round_trip(saved):
    network, path = saved
    loaded, manifest = load_weights(path)
    assert (manifest.name, manifest.restorer, manifest.preset) == ("mine", "GridUNet", "nano")
    assert manifest.parameters == sum(value.numel() for value in network.parameters())
    for key, value in network.state_dict().items():
        assert torch.equal(loaded.state_dict()[key], value)
    assert not loaded.training


def test_half_precision_is_widened(saved, tmp_path):
    network, _ = saved
    save_weights(network, tmp_path / "half.safetensors", preset="nano", dtype=torch.float16)
    loaded, _ = load_weights(tmp_path / "half.safetensors")
    for key, value in network.state_dict().items():
        assert loaded.state_dict()[key].dtype == value.dtype
        assert torch.equal(loaded.state_dict()[key], value.half().float())


def test_a_damaged_file_is_named(saved):
    _, path = saved
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    with pytest.raises(WeightsError, match=r"mine\.safetensors.*damaged"):
        load_weights(path)


def test_no_safetensors_at_all(saved):
    _, path = saved
    path.write_bytes(b"nonsense")
    manifest = path.with_suffix(".json")
    stated = json.loads(manifest.read_text())
    stated["sha256"] = hashlib.sha256(b"nonsense").hexdigest()
    manifest.write_text(json.dumps(stated))
    with pytest.raises(WeightsError, match="not a safetensors file"):
        load_weights(path)


def test_another_networks_weights_name_both_sides(saved):
    _, path = saved
    manifest = path.with_suffix(".json")
    stated = json.loads(manifest.read_text())
    stated["preset"] = "base"
    manifest.write_text(json.dumps(stated))
    with pytest.raises(
        WeightsError, match=r"does not fit GridUNet: .*is \(16,\), GridUNet has \(48,\)"
    ):
        load_weights(path)
    stated["restorer"] = "ARCNN"
    manifest.write_text(json.dumps(stated))
    with pytest.raises(WeightsError, match="does not fit ARCNN"):
        load_weights(path)


def test_a_manifest_that_is_absent_or_no_manifest(saved):
    _, path = saved
    path.with_suffix(".json").write_text("{}")
    with pytest.raises(WeightsError, match=r"mine\.json: not a manifest"):
        load_weights(path)
    path.with_suffix(".json").unlink()
    with pytest.raises(WeightsError, match=r"mine\.json: no manifest"):
        load_weights(path)


def test_names_that_stand_for_nothing(tmp_path):
    with pytest.raises(UnknownRestorerError, match="shipped are"):
        weights_path("nonesuch")
    (tmp_path / "a.pth").write_bytes(b"")
    with pytest.raises(WeightsError, match="save_weights"):
        weights_path(tmp_path / "a.pth")


def test_what_is_shipped_is_whole_and_small():
    assert {IMAGE_RESTORER, MODEL_RESTORER} <= set(shipped_names())
    for name in shipped_names():
        network, manifest = load_weights(name)
        assert manifest.licence and manifest.training["data"]
        assert weights_path(name).stat().st_size < 10e6
        assert all(value.isfinite().all() for value in network.state_dict().values())


@pytest.mark.parametrize(
    "entries,words",
    [
        ({"settings": {"nonsense": 1}}, "cannot be built with its settings.*nonsense"),
        ({"sha256": None}, "'sha256' is None, not of type str"),
        ({"settings": None}, "'settings' is None, not of type dict"),
        ({"parameters": "many"}, "'parameters' is 'many', not of type int"),
    ],
)
def test_a_manifest_with_a_wrong_entry_is_named(saved, entries, words):
    _, path = saved
    manifest = path.with_suffix(".json")
    manifest.write_text(json.dumps(json.loads(manifest.read_text()) | entries))
    with pytest.raises(WeightsError, match=rf"mine\.json.*{words}"):
        load_weights(path)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_no_numbers_are_refused(saved, value):
    network, path = saved
    name, parameter = next(iter(network.named_parameters()))
    with torch.no_grad():
        parameter.view(-1)[3] = value
    save_weights(network, path, preset="nano")
    with pytest.raises(WeightsError, match=rf"mine\.safetensors: its tensor {name} holds NaN"):
        load_weights(path)
