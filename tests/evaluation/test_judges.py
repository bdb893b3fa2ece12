from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from fake_task import BASE, FakeTask
from scipy.stats import bootstrap

from jpeg_preproc.evaluation.conditions import RestoreSettings, plan
from jpeg_preproc.evaluation.judges import F1, IMAGE_IOU, SAME_CLASS, judged
from jpeg_preproc.evaluation.rows import downstream_rows
from jpeg_preproc.evaluation.task import Figure
from jpeg_preproc.report import result_tables

BOX = [3, 0.9, 0.0, 0.0, 10.0, 10.0]
OTHER = [3, 0.8, 50.0, 50.0, 60.0, 60.0]
FALSE = [4, 0.5, 0.0, 0.0, 9.0, 9.0]


def results(**per_image):
    """Original, JPEG and restored images with what is kept of each image, in this order."""
    task = FakeTask()
    conditions = plan(["jpeg:10"], [BASE])
    return [
        (
            condition,
            dataclasses.replace(
                task.measure(condition, RestoreSettings(), "x"),
                **{name: values[index] for name, values in per_image.items()},
            ),
        )
        for index, condition in enumerate(conditions)
    ]


def test_boxes_are_judged_by_those_of_the_original():
    found = results(detections=[[[BOX, OTHER], []], [[BOX], [FALSE]], [[OTHER, BOX], [FALSE]]])
    own, f1 = judged(found)
    assert [figure.metric for figure in own] == ["mAP"] * 3
    assert {figure.metric for figure in f1} == {F1}
    # TP, FP, FN: 2, 0, 0; 1, 1, 1; 2, 1, 0
    assert [figure.value for figure in f1] == pytest.approx([100.0, 50.0, 80.0])
    # In a draw of the second image alone, JPEG and restored images have a false box and no more.
    assert set(np.round(f1[1].replicates, 3)) == {0.0, 50.0, 66.667}


def test_images_are_judged_by_the_mean_of_their_iou():
    found = results(image_iou=[[90.0, 70.0], [80.0, 50.0], [85.0, None]])
    _, iou = judged(found)
    assert [(figure.metric, figure.value) for figure in iou] == [
        (IMAGE_IOU, 80.0),
        (IMAGE_IOU, 65.0),
        (IMAGE_IOU, 85.0),
    ]
    assert set(iou[1].replicates) == {50.0, 65.0, 80.0}


def test_classes_are_judged_by_those_found_in_the_original():
    # Class found, and the image's own, which does not matter.
    found = results(labels=[[(0, 0), (2, 1)], [(1, 0), (2, 1)], [(1, 0), (1, 1)]])
    _, same = judged(found)
    assert [(figure.metric, figure.value) for figure in same] == [
        (SAME_CLASS, 100.0),
        (SAME_CLASS, 50.0),
        (SAME_CLASS, 0.0),
    ]
    assert set(same[1].replicates) == {0.0, 50.0, 100.0}
    assert len(list(judged(found[1:]))) == 1


def test_further_metrics_of_a_model_stand_between():
    beside = [[Figure("mask mAP", value, [value])] for value in (25.0, 16.0, 22.0)]
    found = results(beside=beside, detections=[[[BOX], []]] * 3)
    own, masks, f1 = judged(found)
    assert [figure.value for figure in masks] == [25.0, 16.0, 22.0]
    assert [one[0].metric for one in (own, masks, f1)] == ["mAP", "mask mAP", F1]
    # One that was stored before masks were measured.
    assert len(list(judged([*found[:2], *results()[2:]]))) == 1


def test_rows_of_a_finer_judge_stand_behind_and_have_all_columns():
    found = results(detections=[[[BOX, OTHER], []], [[BOX], [FALSE]], [[OTHER, BOX], [FALSE]]])
    rows = downstream_rows(FakeTask(), found)
    assert [(row.metric, row.restorer, row.is_finer) for row in rows] == [
        *(("mAP", line, False) for line in ("original", "jpeg", "base")),
        *((F1, line, True) for line in ("original", "jpeg", "base")),
    ]
    assert rows[:3] == downstream_rows(FakeTask(), results())
    assert rows[5].recovery == pytest.approx(30 / 50)
    assert rows[5].difference == pytest.approx(30.0)
    assert 0 < rows[5].difference_positive < 1  # there is a draw in which both are as bad
    tables = result_tables(rows)
    assert [table.title.split(" · ")[2] for table in tables] == ["mAP", F1]
    assert tables[0].columns == tables[1].columns
    assert tables[1].rows[2][1].startswith("80.0 (60 %")


def test_differences_are_those_of_the_same_images():
    rng = np.random.default_rng(0)
    original = rng.uniform(50, 100, 40)
    jpeg = original - rng.uniform(0, 20, 40)
    restored = jpeg + rng.normal(1, 2, 40)
    found = results(image_iou=[one.tolist() for one in (original, jpeg, restored)])
    row = downstream_rows(FakeTask(), found)[-1]
    expected = bootstrap(
        (restored - jpeg,), np.mean, method="BCa", n_resamples=20_000, rng=1
    ).confidence_interval
    assert row.difference == pytest.approx((restored - jpeg).mean())
    assert (row.difference_low, row.difference_high) == pytest.approx(tuple(expected), abs=0.15)
    assert row.value_high - row.value_low > 3 * (row.difference_high - row.difference_low)


@pytest.mark.parametrize(
    "per_image",
    [
        {},
        {"detections": [[[], []], [[BOX], []], [[], []]]},  # nothing to agree with
        {"image_iou": [[None, None]] * 3},
    ],
)
def test_a_judge_without_anything_to_go_by_is_left_out(per_image):
    assert len(list(judged(results(**per_image)))) == 1


def test_without_the_originals_no_box_is_judged():
    found = results(detections=[[[BOX], []]] * 3)
    assert len(list(judged(found))) == 2
    assert len(list(judged(found[1:]))) == 1
    assert [list(figures) for figures in judged([])] == [[]]
