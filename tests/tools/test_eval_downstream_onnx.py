"""The tool on ONNX models, with and without OpenMMLab."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from tool_runs import own_rows, results, run

pytest.importorskip("mmengine", reason="needs mmengine, which reads configs")

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "evaluation"))
import onnx_helpers  # noqa: E402

from jpeg_preproc.evaluation.onnx import OnnxTask  # noqa: E402

TOOL = ROOT / "tools" / "eval_downstream.py"


@pytest.fixture
def coco(tmp_path):
    return onnx_helpers.toysets.write_coco(tmp_path / "coco")


@pytest.fixture
def model(tmp_path, coco):
    """CONFIG MODEL of a toy detector on six images."""
    path = onnx_helpers.bright_box(tmp_path / "toy.onnx")
    return [str(onnx_helpers.detector_config(tmp_path, coco)), str(path)]


def test_a_whole_run_writes_every_form_and_resumes(tool, tmp_path, model, weights, capsys):
    arguments = (*model, "--qf", 2, 50, "--restorers", weights)
    assert run(tool, tmp_path, *arguments) == 0
    rows = own_rows(tmp_path)
    assert [(row["restorer"], row["qf"]) for row in rows] == [
        ("original", None),
        ("jpeg", 2),
        ("jpeg", 50),
        ("arcnn", 2),
        ("arcnn", 50),
    ]
    assert {(row["dataset"], row["model"], row["metric"]) for row in rows} == {
        ("coco", "onnx_toy", "mAP")
    }
    values = {(row["restorer"], row["qf"]): row for row in rows}
    assert values["original", None]["value"] == pytest.approx(100.0)
    assert values["jpeg", 2]["value_low"] < values["jpeg", 2]["value"] < 99
    meta = results(tmp_path)["meta"]
    assert "onnxruntime" in meta["versions"] and meta["skipped"] == []
    assert "onnx_toy" in (tmp_path / "out" / "results.md").read_text()
    assert "QF 2" in capsys.readouterr().out

    assert run(tool, tmp_path, *arguments) == 0
    assert "5 condition(s) were there" in capsys.readouterr().out
    assert own_rows(tmp_path) == rows


def test_a_run_that_was_stopped_goes_on(tool, tmp_path, model, capsys, monkeypatch):
    measure, done = OnnxTask.measure, []

    def stop_third(task, *arguments):
        if len(done) == 2:
            raise KeyboardInterrupt
        done.append(arguments)
        return measure(task, *arguments)

    with monkeypatch.context() as patch:
        patch.setattr(OnnxTask, "measure", stop_third)
        assert run(tool, tmp_path, *model, "--qf", 2, 50, "--restorers") == 130
    assert run(tool, tmp_path, *model, "--qf", 2, 50, "--restorers") == 0
    assert "2 condition(s) were there" in capsys.readouterr().out


def test_bad_images_are_listed_and_the_exit_code_says_so(tool, tmp_path, model, coco, capsys):
    (coco / "val" / "001.png").unlink()
    (coco / "val" / "004.png").write_text("no image")
    assert run(tool, tmp_path, *model, "--qf", 50, "--restorers") == 1
    notes = capsys.readouterr().err
    assert "Left out 2 image(s)" in notes and "001.png" in notes and "004.png" in notes
    document = results(tmp_path)
    assert {row["images"] for row in document["rows"]} == {4}
    assert document["rows"][0]["value"] == pytest.approx(100.0)


def test_limit_root_and_options_reach_the_run(tool, tmp_path, model, coco):
    moved = coco.rename(tmp_path / "moved")
    options = ("--cfg-options", "model.score_threshold=1.0", "model.channel_order=bgr")
    arguments = (*model, "--qf", 50, "--restorers", "--limit", 2, "--data-root", moved, *options)
    assert run(tool, tmp_path, *arguments) == 0
    rows = results(tmp_path)["rows"]
    assert {row["images"] for row in rows} == {2} and {row["dataset"] for row in rows} == {"moved"}


def damaged(folder, model):
    Path(model[1]).write_bytes(b"no model")
    return model


def absent(folder, model):
    return [model[0], str(folder / "absent.onnx")]


def of_another_form(folder, model):
    path = onnx_helpers.constant(
        folder / "yolo.onnx", (64, 64), output=np.zeros((1, 9, 85), np.float32)
    )
    return [model[0], str(path)]


def of_openmmlab(folder, model):
    config = folder / "mm.py"
    config.write_text("model = dict(type='YOLOX')\n")
    return [str(config), model[1]]


def unknown_class(folder, model):
    return [*model, "--cfg-options", "model.classes=['Box']"]


def wrong_decode(folder, model):
    return [*model, "--cfg-options", "model.decode=ssd"]


def in_the_preprocessor(folder, model):
    return [*model, "--where", "preprocessor"]


@pytest.mark.parametrize(
    "change,words",
    [
        (damaged, "toy.onnx cannot be loaded as an ONNX model"),
        (absent, "absent.onnx does not exist"),
        (of_another_form, "yolo.onnx: decode 'boxes' needs"),
        (of_openmmlab, "mm.py is a config of OpenMMLab, and "),
        (unknown_class, "no category Box"),
        (in_the_preprocessor, "has no data preprocessor; leave --where out"),
        (wrong_decode, "model.decode is 'ssd'; an OnnxDetector knows 'yolox', 'gfl', 'boxes'"),
    ],
)
def test_what_does_not_fit_is_one_error_before_anything_runs(
    tool, tmp_path, model, capsys, change, words
):
    assert run(tool, tmp_path, *change(tmp_path, model)) == 2
    error = capsys.readouterr().err.replace("\n", " ")
    assert error.count("error: ") == 1 and words in error
    assert not (tmp_path / "out" / "conditions").exists()


_WITHOUT = """
import runpy, sys
sys.modules.update(dict.fromkeys(("mmcv", "mmdet", "mmseg", "cv2", "matplotlib")))
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


def without_openmmlab(*arguments):
    return subprocess.run(
        [sys.executable, "-c", _WITHOUT, str(TOOL), *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=600,
    )


def test_no_openmmlab_is_needed(tmp_path, model):
    finished = without_openmmlab(
        *model, "--qf", 50, "--restorers", "--device", "cpu", "--out", tmp_path / "out"
    )
    assert finished.returncode == 0, finished.stderr
    assert results(tmp_path)["rows"][0]["value"] == pytest.approx(100.0)


def test_without_openmmlab_its_configs_are_refused_with_the_mend(tmp_path):
    config = tmp_path / "detector.py"
    config.write_text("model = dict(type='YOLOX')\n")
    finished = without_openmmlab(config, tmp_path / "x.pth", "--out", tmp_path / "out")
    assert finished.returncode == 2
    assert "detector.py is a config of OpenMMLab" in finished.stderr
    assert "needs mmcv" in finished.stderr and "Traceback" not in finished.stderr
