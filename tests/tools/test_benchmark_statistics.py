"""``tools/benchmark_statistics.py``: what it times, on a set small enough for a test."""

from __future__ import annotations

import json

import pytest
from tool_runs import load_module

pytest.importorskip("pycocotools", reason="needs pycocotools: pip install '.[onnx]'")
pytest.importorskip("bjontegaard", reason="needs bjontegaard: pip install '.[report]'")


@pytest.mark.filterwarnings("ignore::DeprecationWarning:pycocotools")
def test_every_stage_is_timed(tmp_path, capsys):
    sizes = ["--images", "40", "--objects", "300", "--detections", "2000", "--classes", "5"]
    tool = load_module("benchmark_statistics")
    assert tool.main([*sizes, "--models", "2", "--out", str(tmp_path)]) == 0
    document = json.loads((tmp_path / "results.json").read_text())
    assert [row["stage"] for row in document["rows"]] == [
        "matching, of one condition",
        "1000 resamples, of one condition",
        "all comparisons, of a study",
    ]
    assert all(row["cpu_s"] >= 0 and row["wall_s"] >= 0 for row in document["rows"])
    assert document["meta"]["objects"] == 300
    said = " ".join(capsys.readouterr().out.split())
    assert "300 objects and 2000 detections of 5 classes" in said
    assert "comparisons of 34 conditions" in said
    mean = float(said.partition("mAP ")[2].split()[0])
    assert 5 < mean < 95  # so that there is something to accumulate
