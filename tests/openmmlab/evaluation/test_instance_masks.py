"""Detectors that give masks: mask mAP beside mAP, against pycocotools and mmdet's own metric."""

from __future__ import annotations

import json

import numpy as np
import pytest
import toysets
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from jpeg_preproc.corruptions import Jpeg, parse_corruption
from jpeg_preproc.errors import AnnotationError, JpegPreprocError
from jpeg_preproc.evaluation.condition_store import ConditionStore
from jpeg_preproc.evaluation.conditions import Condition, RestoreSettings
from jpeg_preproc.evaluation.run import run_task
from jpeg_preproc.openmmlab.evaluation.task import OpenMMLabTask
from jpeg_preproc.stats.bootstrap import interval

pytest.importorskip("mmdet")

SETTINGS = RestoreSettings()
ORIGINAL, JPEG = Condition(), Condition(Jpeg(2))


@pytest.fixture
def coco(tmp_path):
    return toysets.write_coco(tmp_path / "coco")


def masks(tmp_path, coco, metric="['bbox', 'segm']", threshold=160.0):
    config = toysets.mask_config(tmp_path, coco, metric)
    return OpenMMLabTask(config, toysets.checkpoint(tmp_path, threshold), tmp_path / "out")


def test_boxes_and_masks_have_their_own_ap(tmp_path, coco):
    result = masks(tmp_path, coco).measure(JPEG, SETTINGS, "jpeg")
    truth = COCO(str(coco / "annotations" / "val.json"))
    values = {}
    for kind in ("bbox", "segm"):
        path = tmp_path / "out" / "predictions" / f"jpeg.{kind}.json"
        found = json.loads(path.read_text())
        for one in found if kind == "segm" else ():
            del one["bbox"]
        evaluation = COCOeval(truth, truth.loadRes(found), kind)
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
        values[kind] = 100 * evaluation.stats[0]
    (mask,) = result.beside
    assert (result.metric, mask.metric) == ("mAP", "mask mAP")
    assert result.value == pytest.approx(values["bbox"], abs=1e-9)
    assert mask.value == pytest.approx(values["segm"], abs=1e-9)
    assert 0 < mask.value < 99 and mask.value != result.value
    low, high = interval(mask.replicates, mask.value)
    assert low < mask.value < high
    assert mask.parts["class/box"][0] == pytest.approx(mask.value)
    assert result.parts["class/box"][0] == pytest.approx(result.value)
    assert set(mask.parts) == {"class/box", "size/small"}


@pytest.mark.parametrize("metric", ["'segm'", "['segm', 'bbox']"])
def test_all_that_mmdets_metric_reports_is_the_same(tmp_path, coco, metric, monkeypatch):
    from jpeg_preproc.openmmlab.evaluation import metrics

    found = masks(tmp_path, coco, metric).measure(JPEG, SETTINGS, "a")
    monkeypatch.setattr(metrics, "is_plain_coco", lambda metric: False)
    expected = masks(tmp_path, coco, metric).measure(JPEG, SETTINGS, "b")
    assert found.all_metrics == expected.all_metrics
    assert len(found.all_metrics) == (6 if metric == "'segm'" else 12)
    assert found.figures == expected.figures
    assert found.metric == ("mask mAP" if metric == "'segm'" else "mAP")


@pytest.mark.parametrize("spelling", ["resized_jpeg:90,1.5", "jpeg:95"])
def test_masks_come_back_in_the_size_of_the_originals(tmp_path, coco, spelling):
    task = masks(tmp_path, coco, threshold=110.0)
    result = task.measure(Condition(parse_corruption(spelling)), SETTINGS, "x")
    # Bright and dark are far apart, so that no more than the rectangles' edges are lost.
    assert result.beside[0].value > 70


def test_a_model_that_finds_nothing_has_a_mask_ap_of_0(tmp_path, coco):
    result = masks(tmp_path, coco, threshold=999.0).measure(ORIGINAL, SETTINGS, "x")
    assert [figure.value for figure in result.figures] == [0.0, 0.0]


def test_rows_and_what_is_stored_hold_both(tmp_path, coco):
    task, store = masks(tmp_path, coco), ConditionStore(tmp_path / "conditions")
    assert task.fingerprint["masks"]
    first = run_task(task, [ORIGINAL, JPEG], store, SETTINGS)
    again = run_task(task, [ORIGINAL, JPEG], store, SETTINGS)
    assert (first.reused, again.reused) == (0, 2)
    assert again.rows == first.rows
    names = [(row.metric, row.restorer) for row in again.rows]
    metrics = ("mAP", "mask mAP", "F1 against the original")
    assert names == [(metric, line) for metric in metrics for line in ("original", "jpeg")]
    original, jpeg = (row for row in again.rows if row.metric == "mask mAP")
    assert not jpeg.is_finer and jpeg.value_low < jpeg.value < jpeg.value_high < original.value
    for (_, one), (_, other) in zip(first.results, again.results, strict=True):
        for mine, theirs in zip(one.figures, other.figures, strict=True):
            assert np.array_equal(mine.replicates, theirs.replicates)
            assert mine.parts.keys() == theirs.parts.keys()


def without_masks(coco, change):
    path = coco / "annotations" / "val.json"
    document = json.loads(path.read_text())
    for entry in document["annotations"][2:3]:
        change(entry)
    path.write_text(json.dumps(document))


@pytest.mark.parametrize(
    "segmentation,words",
    [
        (
            None,
            r"1 of its 6 annotations have no 'segmentation', the first .* annotations\[2\]",
        ),
        ([], r"the segmentation of annotation 3 is \[\]"),
        ([[1, 2, 3, 4]], "annotation 3 has a polygon that is no list of three or more points"),
        ([[1, 2, 3, 4, 5, 6, 7]], "annotation 3 has a polygon that is no list of three or more"),
        (
            {"size": [9, 9], "counts": [81]},
            r"is of size \[9, 9\], its image \[64, 40\]",
        ),
        ({"size": [64, 40]}, "annotation 3 is an RLE without counts"),
    ],
)
def test_annotations_without_masks_are_refused_before_any_image(
    tmp_path, coco, segmentation, words
):
    config = toysets.mask_config(tmp_path, coco)
    without_masks(coco, lambda entry: entry.update(segmentation=segmentation))
    with pytest.raises(AnnotationError, match=rf"val\.json: .*{words}.*polygons or RLE"):
        OpenMMLabTask(config, toysets.checkpoint(tmp_path), tmp_path / "out")
    # Boxes are measured without.
    config.write_text(config.read_text() + "test_evaluator.update(metric='bbox')\n")
    boxes = OpenMMLabTask(config, toysets.checkpoint(tmp_path), tmp_path / "out")
    assert "masks" not in boxes.fingerprint  # so that what was stored of boxes holds


def test_a_model_without_masks_is_refused_at_the_first_image(tmp_path, coco):
    config = toysets.mask_config(tmp_path, coco)
    config.write_text(config.read_text().replace("BrightMaskDetector", "BrightBoxDetector"))
    task = OpenMMLabTask(config, toysets.checkpoint(tmp_path), tmp_path / "out")
    steps = []
    with pytest.raises(JpegPreprocError, match=r"CocoMetric .* compares masks .* mask head"):
        task.measure(ORIGINAL, SETTINGS, "x", lambda: steps.append(1))
    assert steps == []
