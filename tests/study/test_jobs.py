from __future__ import annotations

import sys
from pathlib import Path

import pytest

pytest.importorskip("mmdet", reason="needs mmdet, which tools/bootstrap.py installs")

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "openmmlab"))
import toysets  # the toy models are imported by the configs by this path

from jpeg_preproc.corruptions import Jpeg
from jpeg_preproc.errors import (
    AnnotationError,
    CorruptionError,
    JpegPreprocError,
    ModelError,
    UnknownRestorerError,
)
from jpeg_preproc.evaluation.conditions import jpeg_at
from jpeg_preproc.study import Job, RunOptions, measure_jobs, measure_recovery


@pytest.fixture
def options(tmp_path):
    return RunOptions(out=tmp_path / "out", show_progress=False)


@pytest.fixture
def coco(tmp_path):
    root = toysets.write_coco(tmp_path / "coco")
    return toysets.detector_config(tmp_path, root), toysets.checkpoint(tmp_path)


def segmenter(tmp_path):
    root = toysets.write_voc(tmp_path / "voc")
    return Job(toysets.segmenter_config(tmp_path, root), toysets.checkpoint(tmp_path, 160.0))


def test_one_call_from_config_to_rows(coco, options):
    rows = measure_recovery(*coco, ["jpeg:2", "webp:10"], [], options=options)
    lines = [("original", None), ("jpeg", "jpeg:2"), ("corrupted", "webp:10")]
    assert [(row.metric, row.restorer, row.corruption) for row in rows] == [
        *(("mAP", *line) for line in lines),
        *(("F1 against the original", *line) for line in lines),
    ]
    assert rows[0].value == pytest.approx(100.0) and rows[1].value < 100


def test_values_and_spellings_are_the_same_corruption(coco, options):
    first = measure_recovery(*coco, ["jpeg:2"], [], options=options)
    (out,) = (options.out / "conditions",)
    files = sorted(out.iterdir())
    assert measure_recovery(*coco, [Jpeg(2)], [], options=options) == first
    assert measure_recovery(*coco, jpeg_at([2]), [], options=options) == first
    assert sorted(out.iterdir()) == files


def test_jobs_of_both_kinds_run_one_after_another(tmp_path, coco, options):
    jobs = [Job(*coco), segmenter(tmp_path)]
    run = measure_jobs(jobs, ["jpeg:2"], [], options=options)
    assert [(row.metric, row.restorer) for row in run.rows] == [
        ("mAP", "original"),
        ("mAP", "jpeg"),
        ("mIoU", "original"),
        ("mIoU", "jpeg"),
        ("F1 against the original", "original"),
        ("F1 against the original", "jpeg"),
        ("IoU per image", "original"),
        ("IoU per image", "jpeg"),
    ]
    assert run.reused == 0 and run.failed == run.skipped == run.outdated == []
    assert measure_jobs(jobs, ["jpeg:2"], [], options=options).reused == 4


def test_a_limit_and_another_root_reach_the_task(tmp_path, coco):
    (tmp_path / "coco").rename(tmp_path / "moved")
    options = RunOptions(out=tmp_path / "out", limit=2, show_progress=False)
    rows = measure_recovery(*coco, [], [], data_root=tmp_path / "moved", options=options)
    assert [(row.dataset, row.images) for row in rows] == [("moved", 2)] * 2


@pytest.mark.parametrize(
    "what,error",
    [
        ({"corruptions": ["jpg:10"]}, CorruptionError),
        ({"corruptions": ["jpeg:0"]}, CorruptionError),
        ({"restorers": ["no_such"]}, UnknownRestorerError),
        ({"data_root": "no/such/folder"}, AnnotationError),
    ],
)
def test_what_is_wrong_is_known_before_anything_is_measured(coco, options, what, error):
    with pytest.raises(error):
        measure_recovery(*coco, **{"corruptions": [], "restorers": [], **what}, options=options)
    assert not (options.out / "conditions").exists()


def test_a_condition_that_fails_is_one_error(coco, options):
    config = coco[0]
    text = config.read_text().replace("dict(type='PackDetInputs')", "dict(type='Dropping')")
    config.write_text(
        text + "custom_imports['imports'].append('dropping')\n",
    )
    (config.parent / "dropping.py").write_text(
        "from mmdet.datasets.transforms import PackDetInputs\n"
        "from mmengine.registry import TRANSFORMS\n\n\n"
        "@TRANSFORMS.register_module(force=True)\n"
        "class Dropping(PackDetInputs):\n    pass\n"
    )
    sys.path.insert(0, str(config.parent))
    try:
        with pytest.raises(JpegPreprocError, match=r"jpeg at QF 2: .*meta_keys that hold"):
            measure_recovery(*coco, ["jpeg:2"], [], options=options)
    finally:
        sys.path.remove(str(config.parent))


def test_an_onnx_file_with_a_config_of_openmmlab_is_refused(coco, options, tmp_path):
    with pytest.raises(ModelError, match="give a config whose model is an OnnxDetector"):
        measure_recovery(coco[0], tmp_path / "model.onnx", [], [], options=options)
