from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
import toysets
from PIL import Image
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval
from toytasks import detector, segmenter

from jpeg_preproc.corruptions import Jpeg
from jpeg_preproc.errors import (
    JpegPreprocError,
)
from jpeg_preproc.evaluation.conditions import Condition, RestorerChoice, RestoreSettings
from jpeg_preproc.openmmlab.evaluation.task import OpenMMLabTask
from jpeg_preproc.stats.bootstrap import interval

pytest.importorskip("mmdet")
pytest.importorskip("mmseg")

SETTINGS = RestoreSettings()
ORIGINAL, JPEG = Condition(), Condition(Jpeg(2))


def test_a_detector_that_sees_everything_has_an_ap_of_100(tmp_path, coco):
    task = detector(tmp_path, coco)
    assert (task.dataset, task.model, task.images) == ("coco", "toy_detector", 6)
    steps = []
    result = task.measure(ORIGINAL, SETTINGS, "original", lambda: steps.append(1))
    assert (result.metric, result.images, len(steps)) == ("mAP", 6, 6)
    assert result.value == pytest.approx(100.0)
    assert result.all_metrics["coco/bbox_mAP"] == 1.0
    assert result.replicates == pytest.approx([100.0] * 1000)


def test_the_ap_is_pycocotools_own_and_unrounded(tmp_path, coco):
    task = detector(tmp_path, coco)
    result = task.measure(JPEG, SETTINGS, "jpeg")
    assert 0 < result.value < 99  # so that the comparison says something
    truth = COCO(str(coco / "annotations" / "val.json"))
    evaluation = COCOeval(
        truth, truth.loadRes(str(tmp_path / "out" / "predictions" / "jpeg.bbox.json")), "bbox"
    )
    evaluation.evaluate()
    evaluation.accumulate()
    evaluation.summarize()
    assert result.value == pytest.approx(100 * evaluation.stats[0], abs=1e-9)
    assert result.all_metrics["coco/bbox_mAP"] == pytest.approx(result.value / 100, abs=6e-4)
    low, high = interval(result.replicates, result.value)
    assert low < result.value < high


def test_boxes_are_compared_once_and_as_mmdets_own_metric_does(tmp_path, coco, monkeypatch):
    from jpeg_preproc.openmmlab.evaluation import metrics

    found = detector(tmp_path, coco).measure(JPEG, SETTINGS, "a")
    monkeypatch.setattr(metrics, "is_plain_coco", lambda metric: False)
    expected = detector(tmp_path, coco).measure(JPEG, SETTINGS, "b")
    assert found.all_metrics == expected.all_metrics and len(found.all_metrics) == 6
    assert (found.value, found.replicates) == (expected.value, expected.replicates)


def test_the_options_of_a_metric_are_kept(tmp_path, coco):
    config = toysets.detector_config(tmp_path, coco)
    config.write_text(config.read_text() + "test_evaluator.update(classwise=True)\n")
    result = detector(tmp_path, coco, config=config).measure(ORIGINAL, SETTINGS, "original")
    assert result.all_metrics["coco/box_precision"] == 1.0


def test_a_detector_that_sees_nothing_has_an_ap_of_0(tmp_path, coco):
    assert (
        detector(tmp_path, coco, threshold=999.0).measure(ORIGINAL, SETTINGS, "original").value
        == 0.0
    )


def test_voc_boxes_have_their_own_map(tmp_path):
    voc = toysets.write_voc(tmp_path / "VOC2007")
    config = toysets.voc_boxes(tmp_path, voc)
    result = detector(tmp_path, voc, config=config).measure(ORIGINAL, SETTINGS, "original")
    assert (result.metric, result.images) == ("mAP", 6)
    assert result.value == pytest.approx(100.0)
    assert result.replicates is None  # VOC's own AP is not drawn again
    blind = detector(tmp_path, voc, threshold=999.0, config=config)
    assert blind.measure(ORIGINAL, SETTINGS, "original").value == 0.0


@pytest.mark.parametrize("qf", [None, 2])
def test_miou_is_that_of_the_masks(tmp_path, voc, qf):
    task = segmenter(tmp_path, voc, threshold=160.0)
    result = task.measure(Condition(None if qf is None else Jpeg(qf)), SETTINGS, "x")
    assert result.metric == "mIoU"
    assert result.value == pytest.approx(toysets.expected_miou(range(6), 160.0, qf), abs=0.01)
    low, high = interval(result.replicates, result.value)
    assert low < result.value < high


def test_the_iou_of_each_image_is_mmsegs_own_of_that_image_alone(tmp_path, voc):
    from mmseg.evaluation import IoUMetric

    result = segmenter(tmp_path, voc, threshold=160.0).measure(JPEG, SETTINGS, "x")
    expected = []
    for index in range(6):  # each shows both classes
        pixels, (left, top, right, bottom) = toysets.scene(index)
        found = toysets.compressed(pixels, 2).astype(np.float32).mean(-1) > 160
        truth = torch.zeros(found.shape, dtype=torch.long)
        truth[top:bottom, left:right] = 1
        areas = IoUMetric.intersect_and_union(torch.from_numpy(found).long(), truth, 2, 255)
        ious = IoUMetric.total_area_to_metrics(*areas, metrics=["mIoU"])["IoU"]
        expected.append(100 * float(np.mean(ious)))
    assert result.image_iou == pytest.approx(expected, abs=0.01)
    assert result.detections is None and len(set(expected)) > 1


def test_a_class_that_the_truth_lacks_has_no_term(tmp_path, voc):
    mask = voc / "SegmentationClass" / "002.png"
    with Image.open(mask) as picture:
        Image.new("L", picture.size).save(mask)  # dark all over
    result = segmenter(tmp_path, voc, threshold=160.0).measure(ORIGINAL, SETTINGS, "x")
    pixels, _ = toysets.scene(2)
    dark = (pixels.astype(np.float32).mean(-1) <= 160).mean()
    assert result.image_iou[2] == pytest.approx(100 * dark, abs=0.01)


def test_the_boxes_of_each_image_are_kept_in_its_own_pixels(tmp_path, coco):
    annotations = coco / "annotations" / "val.json"
    document = json.loads(annotations.read_text())
    document["images"].reverse()  # what the bootstrap of mAP has by id
    annotations.write_text(json.dumps(document))
    result = detector(tmp_path, coco).measure(ORIGINAL, SETTINGS, "x")
    expected = [[[0, 1.0, *map(float, toysets.scene(index)[1])]] for index in range(6)]
    assert result.detections == [[pytest.approx(box) for box in image] for image in expected]
    assert result.image_iou is None
    blind = detector(tmp_path, coco, threshold=999.0).measure(ORIGINAL, SETTINGS, "y")
    assert blind.detections == [[]] * 6


def test_images_left_out_count_in_no_condition(tmp_path, coco):
    (coco / "val" / "003.png").unlink()
    task = detector(tmp_path, coco)
    assert task.images == 5 and len(task.skipped) == 1
    assert task.measure(ORIGINAL, SETTINGS, "original").value == pytest.approx(100.0)


def test_a_limit_is_the_metrics_limit_too(tmp_path, coco, voc):
    assert detector(tmp_path, coco, limit=2).measure(
        ORIGINAL, SETTINGS, "original"
    ).value == pytest.approx(100)
    task = segmenter(tmp_path, voc, threshold=160.0, limit=2)
    assert task.measure(ORIGINAL, SETTINGS, "x").value == pytest.approx(
        toysets.expected_miou([0, 3], 160.0), abs=0.01
    )


def test_restored_images_reach_the_model(tmp_path, voc, weights):
    task = segmenter(tmp_path, voc, threshold=160.0)
    restored = Condition(Jpeg(2), RestorerChoice(weights, "noise", ""))
    before = task.measure(JPEG, SETTINGS, "jpeg").value
    assert task.measure(restored, SETTINGS, "restored").value != before


def test_the_data_preprocessor_restores_as_the_pipeline_does(tmp_path, coco, weights):
    restored = Condition(Jpeg(2), RestorerChoice(weights, "noise", ""))
    task = detector(tmp_path, coco, threshold=160.0)
    stock = task.network.data_preprocessor
    inside = RestoreSettings(where="preprocessor")
    results = [task.measure(restored, settings, "x") for settings in (SETTINGS, inside)]
    assert results[0].value == results[1].value
    assert results[0].value != task.measure(JPEG, inside, "x").value
    assert task.network.data_preprocessor is stock
    assert [result.stages["restore"][0] > 0 for result in results] == [True, True]


@pytest.mark.parametrize("workers", [0, 2])
def test_stages_account_for_the_run(tmp_path, voc, weights, workers):
    task = segmenter(tmp_path, voc, num_workers=workers)
    restored = Condition(Jpeg(2), RestorerChoice(weights, "noise", ""))
    result = task.measure(restored, SETTINGS, "x")
    stages = ["prepare", "decode", "compress", "restore", "model", "metric"]
    assert list(result.stages) == stages
    if not workers:
        assert sum(wall for wall, _ in result.stages.values()) <= result.seconds + 0.01
    assert list(task.stages) == ["prepare", "check"]
    assert list(task.stages_alone(restored, SETTINGS)) == stages[1:-1]
    assert list(task.stages_alone(ORIGINAL, SETTINGS)) == ["decode", "model"]


def test_workers_change_nothing(tmp_path, voc, weights):
    restored = Condition(Jpeg(2), RestorerChoice(weights, "noise", ""))
    alone = segmenter(tmp_path, voc, threshold=160.0).measure(restored, SETTINGS, "a")
    two = segmenter(tmp_path, voc, threshold=160.0, num_workers=2)
    assert two.measure(restored, SETTINGS, "b").value == alone.value


def test_detector_and_segmenter_take_turns_in_one_process(tmp_path, coco, voc):
    first, second = detector(tmp_path, coco), segmenter(tmp_path, voc, threshold=160.0)
    assert first.measure(ORIGINAL, SETTINGS, "a").value == pytest.approx(100.0)
    assert second.measure(ORIGINAL, SETTINGS, "b").metric == "mIoU"
    assert first.measure(ORIGINAL, SETTINGS, "c").value == pytest.approx(100.0)


def test_another_data_root_serves(tmp_path, coco):
    config = toysets.detector_config(tmp_path, tmp_path / "nowhere")
    task = detector(tmp_path, coco, config=config, data_root=coco)
    assert task.measure(ORIGINAL, SETTINGS, "original").value == pytest.approx(100.0)


def test_the_fingerprint_holds_what_the_result_depends_on(tmp_path, coco):
    first = detector(tmp_path, coco).fingerprint
    assert first == detector(tmp_path, coco).fingerprint
    assert first["images"] == 6 and first["device"] == "cpu"
    others = [
        detector(tmp_path, coco, threshold=111.0),
        detector(tmp_path, coco, limit=2),
        detector(
            tmp_path,
            coco,
            cfg_options={"test_dataloader.dataset.pipeline.1.scale_factor": 3.0},
        ),
    ]
    assert all(other.fingerprint != first for other in others)


# --- real models


@pytest.mark.slow
@pytest.mark.parametrize(
    "config,checkpoint,data,floor",
    [
        ("yolox_nano_coco", "yolox_nano_mmdet", "coco", 15),
        ("deeplabv3_mnv2_voc", "deeplabv3_mnv2_mmseg", "voc/VOCdevkit/VOC2012", 35),
    ],
)
def test_the_configs_for_real_models_fit_their_weights(
    tmp_path, shared_data, config, checkpoint, data, floor
):
    configs = Path(__file__).resolve().parents[3] / "configs" / "downstream"
    task = OpenMMLabTask(
        configs / f"{config}.py",
        shared_data / "models" / f"{checkpoint}.pth",
        tmp_path,
        data_root=shared_data / data,
        limit=6,
    )
    assert task.skipped == ()
    assert task.measure(ORIGINAL, SETTINGS, "original").value > floor


def reverse_images(coco):
    """Let an annotation file list its images the other way round; return their names by id."""
    path = coco / "annotations" / "val.json"
    document = json.loads(path.read_text())
    document["images"].reverse()
    path.write_text(json.dumps(document))
    return [one["file_name"] for one in sorted(document["images"], key=lambda one: one["id"])]


def test_images_are_named_in_the_order_of_what_is_kept_of_each(tmp_path, coco):
    names = reverse_images(coco)
    task = detector(tmp_path, coco)
    assert [path.name for path in task.image_paths] == names
    assert task.class_names == {0: "box"}
    result = task.measure(ORIGINAL, SETTINGS, "original")
    for path, boxes in zip(task.image_paths, result.detections, strict=True):
        bright = np.asarray(Image.open(path).convert("RGB")).mean(-1) > 110
        rows, columns = np.flatnonzero(bright.any(1)), np.flatnonzero(bright.any(0))
        corners = [columns[0], rows[0], columns[-1] + 1, rows[-1] + 1]
        assert boxes[0][2:] == pytest.approx(corners)


def test_label_maps_of_some_images_are_those_that_were_measured(tmp_path, voc):
    task = segmenter(tmp_path, voc, threshold=160.0)
    result = task.measure(JPEG, SETTINGS, "jpeg")
    every = task.label_maps(JPEG, SETTINGS, range(6))
    some = task.label_maps(JPEG, SETTINGS, [4, 1])
    for index, one in zip([4, 1], some, strict=True):
        assert np.array_equal(one.found, every[index].found)
        assert np.array_equal(one.truth, every[index].truth)
        ratios = [
            ((one.found == label) & (one.truth == label)).sum()
            / (((one.found == label) | (one.truth == label)) & (one.truth >= 0)).sum()
            for label in np.unique(one.truth[one.truth >= 0])
        ]
        assert result.image_iou[index] == pytest.approx(100 * np.mean(ratios))
    found, truth = (
        np.concatenate([part.ravel() for part in maps]) for maps in zip(*every, strict=True)
    )
    for label, name in task.class_names.items():
        hit = ((found == label) & (truth == label)).sum()
        area = (((found == label) | (truth == label)) & (truth >= 0)).sum()
        assert result.all_metrics[f"IoU/{name}"] == pytest.approx(100 * hit / area)


def test_a_detector_has_no_label_maps(tmp_path, coco):
    with pytest.raises(JpegPreprocError, match="no label map"):
        detector(tmp_path, coco).label_maps(ORIGINAL, SETTINGS, [0])
