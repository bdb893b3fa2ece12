"""Kept images in OpenMMLab's pipelines: the same results, and files that ONNX models share."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import pytest
import toysets

pytest.importorskip("mmdet", reason="needs mmdet, which tools/bootstrap.py installs")
pytest.importorskip("onnxruntime", reason="needs onnxruntime: pip install '.[onnx]'")
sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "evaluation"))
import onnx_helpers

from jpeg_preproc.corruptions import parse_corruption
from jpeg_preproc.evaluation.conditions import (
    Condition,
    RestoreSettings,
    choose_restorers,
)
from jpeg_preproc.evaluation.onnx import OnnxTask
from jpeg_preproc.openmmlab.evaluation.task import OpenMMLabTask
from jpeg_preproc.restorers.engine import JpegRestorer


@pytest.mark.parametrize("corruption", ["jpeg:2", "webp:5"])
def test_both_back_ends_share_what_is_kept(tmp_path, small_weights, monkeypatch, corruption):
    coco = toysets.write_coco(tmp_path / "coco", ".jpg")
    mmdet = OpenMMLabTask(
        toysets.detector_config(tmp_path, coco), toysets.checkpoint(tmp_path), tmp_path / "mm"
    )
    onnx = OnnxTask(
        onnx_helpers.detector_config(tmp_path, coco),
        onnx_helpers.bright_box(tmp_path / "toy.onnx"),
        tmp_path / "onnx",
    )
    (choice,) = choose_restorers([str(small_weights)])
    condition = Condition(parse_corruption(corruption), choice)
    plain, kept = RestoreSettings(), replace(RestoreSettings(), keep=tmp_path / "images")
    expected = [task.measure(condition, plain, "plain").value for task in (mmdet, onnx)]
    assert not (tmp_path / "images").exists()
    assert mmdet.measure(condition, kept, "kept").value == expected[0]
    (folder,) = (tmp_path / "images").iterdir()
    assert len(list(folder.iterdir())) == 6

    def not_again(*_):
        raise AssertionError

    monkeypatch.setattr(JpegRestorer, "_restore", not_again)
    assert mmdet.measure(condition, kept, "kept").value == expected[0]
    if corruption == "webp:5":  # of a JPEG's bytes, a JpegRestore that is not consistent knows none
        assert onnx.measure(condition, kept, "kept").value == expected[1]
