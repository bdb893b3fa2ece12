"""Matching against pycocotools and scipy's optimal assignment, F1 against its definition."""

from __future__ import annotations

import contextlib
import io

import numpy as np
import pytest
from scipy.optimize import linear_sum_assignment

from jpeg_preproc.stats.agreement import agreement, confident, f1_of_draws


def detections(rng, number, near=(), classes=2):
    """Random boxes, some of them shifted copies of those of ``near``, best first."""
    found = []
    for index in range(number):
        if len(near) and rng.random() < 0.7:
            label, _, *box = near[index % len(near)]
            box = np.array(box) + rng.normal(0, 3, 4)
        else:
            label = int(rng.integers(classes))
            box = rng.uniform(0, 60, 2)
            box = np.hstack([box, box + rng.uniform(8, 40, 2)])
        found.append([label, float(rng.uniform(0.3, 1)), *box.tolist()])
    return sorted(found, key=lambda one: -one[1])


def overlap(first, second):
    """IoU of two boxes, written out."""
    sides = [
        min(first[2 + axis], second[2 + axis]) - max(first[axis], second[axis]) for axis in (0, 1)
    ]
    if min(sides) <= 0:
        return 0.0
    areas = [(box[2] - box[0]) * (box[3] - box[1]) for box in (first, second)]
    return sides[0] * sides[1] / (sum(areas) - sides[0] * sides[1])


@pytest.mark.filterwarnings("ignore::DeprecationWarning:pycocotools")
@pytest.mark.parametrize("seed", range(8))
def test_boxes_are_matched_as_pycocotools_matches_them(seed):
    coco_module = pytest.importorskip("pycocotools.coco")
    from pycocotools.cocoeval import COCOeval

    rng = np.random.default_rng(seed)
    images = 5
    reference = [detections(rng, int(rng.integers(0, 9))) for _ in range(images)]
    found = [detections(rng, int(rng.integers(0, 12)), near=one) for one in reference]

    def entries(of_images):
        return [
            {
                "image_id": image,
                "category_id": label + 1,
                "bbox": [left, top, right - left, bottom - top],
                "score": score,
            }
            for image, boxes in enumerate(of_images)
            for label, score, left, top, right, bottom in boxes
        ]

    truth = coco_module.COCO()
    truth.dataset = {
        "images": [{"id": image, "width": 99, "height": 99} for image in range(images)],
        "categories": [{"id": 1, "name": "a"}, {"id": 2, "name": "b"}],
        "annotations": [
            {**entry, "id": number, "iscrowd": 0, "area": entry["bbox"][2] * entry["bbox"][3]}
            for number, entry in enumerate(entries(reference), start=1)
        ],
    }
    expected = np.zeros((images, 3), int)
    with contextlib.redirect_stdout(io.StringIO()):
        truth.createIndex()
        evaluation = COCOeval(truth, truth.loadRes(entries(found)), "bbox")
        evaluation.params.iouThrs = np.array([0.5])
        evaluation.params.areaRng = [[0, 1e10]]
        evaluation.params.areaRngLbl = ["all"]
        evaluation.evaluate()
    for pair in filter(None, evaluation.evalImgs):
        matched, total = (pair["dtMatches"][0] > 0).sum(), len(pair["gtIds"])
        expected[pair["image_id"]] += [matched, len(pair["dtIds"]) - matched, total - matched]
    counts = np.array([agreement(*pair) for pair in zip(reference, found, strict=True)])
    assert counts.tolist() == expected.tolist()
    assert counts[:, 0].sum() > 3 and counts[:, 1].sum() > 3


@pytest.mark.parametrize("seed", range(4))
def test_where_boxes_lie_apart_no_assignment_is_better(seed):
    rng = np.random.default_rng(seed)
    corners = rng.permutation(25)[:12]
    reference = [
        [0, 0.9, x, y, x + 30.0, y + 30.0]
        for x, y in ((100.0 * (one % 5), 100.0 * (one // 5)) for one in corners)
    ]
    found = [
        [0, float(rng.uniform(0.3, 1)), *(np.array(box[2:]) + rng.normal(0, 6, 4))]
        for box in reference
    ]
    overlaps = np.array([[overlap(ours[2:], one[2:]) for one in reference] for ours in found])
    rows, columns = linear_sum_assignment(np.where(overlaps >= 0.5, -1, 0))
    best = int((overlaps[rows, columns] >= 0.5).sum())
    assert agreement(reference, found) == (best, 12 - best, 12 - best)
    assert 0 < best < 12


def test_the_surer_box_takes_the_one_that_it_overlaps_most():
    reference = [[0, 0.9, 0, 0, 10, 10], [0, 0.8, 2, 0, 12, 10]]
    # The first box overlaps both by more than half and takes the nearer one; that leaves the second
    # without any, where an optimal assignment would have matched both.
    found = [[0, 0.9, 0.4, 0, 10.4, 10], [0, 0.4, -3, 0, 7, 10]]
    assert agreement(reference, found) == (1, 1, 1)
    assert agreement(reference, found[::-1]) == (2, 0, 0)


def test_another_class_or_too_little_overlap_is_no_agreement():
    box = [0, 0.9, 0, 0, 10, 10]
    assert agreement([box], [box]) == (1, 0, 0)
    assert agreement([box], [[1, *box[1:]]]) == (0, 1, 1)
    # Two thirds of 10 in common: IoU is 0.5 exactly, which counts; a little less does not.
    assert agreement([box], [[0, 0.9, 0, 0, 5, 10]]) == (1, 0, 0)
    assert agreement([box], [[0, 0.9, 0, 0, 4.99, 10]]) == (0, 1, 1)
    assert agreement([box], [box, box]) == (1, 1, 0)
    assert agreement([box], []) == (0, 0, 1)
    assert agreement([], [box]) == (0, 1, 0)
    assert agreement([], []) == (0, 0, 0)
    assert agreement([[0, 0.9, 3, 3, 3, 3]], [[0, 0.9, 3, 3, 3, 3]]) == (0, 1, 1)  # no area


def test_what_is_unsure_is_left_out_and_the_rest_stands_best_first():
    boxes = np.arange(16, dtype=np.float32).reshape(4, 4) / 3
    found = confident(boxes, np.array([0.3, 0.29999, 0.8, 0.3]), np.array([5, 6, 7, 8]))
    assert [one[:2] for one in found] == [[7, 0.8], [5, 0.3], [8, 0.3]]
    assert found[0][2:] == [2.67, 3.0, 3.33, 3.67]
    assert confident(np.empty((0, 4)), np.empty(0), np.empty(0, int)) == []


def test_f1_is_the_harmonic_mean_of_precision_and_recall_of_all_boxes_drawn():
    rng = np.random.default_rng(0)
    agreements = rng.integers(0, 9, (6, 3))
    counts = rng.integers(0, 4, (10, 6))
    expected = []
    for draw in counts:
        hits, false, missed = np.repeat(agreements, draw, axis=0).sum(0)
        precision, recall = hits / (hits + false), hits / (hits + missed)
        expected.append(200 * precision * recall / (precision + recall))
    assert f1_of_draws(agreements, counts) == pytest.approx(expected)
