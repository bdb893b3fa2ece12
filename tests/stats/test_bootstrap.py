"""Intervals against scipy's bootstrap, and replicates against what they are draws of."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import bootstrap

from jpeg_preproc.stats.bootstrap import (
    CategoryDetections,
    average_precision,
    interval,
    mean_iou,
    recovery_interval,
    resample_counts,
)

RECALLS = np.linspace(0, 1, 101)


def test_draws_are_of_the_sets_size_and_the_same_each_time():
    counts = resample_counts(30, 200)
    assert counts.shape == (200, 30) and (counts.sum(axis=1) == 30).all()
    assert np.array_equal(counts, resample_counts(30, 200))
    # Drawing with replacement leaves out a share of about 1/e.
    assert np.mean(counts == 0) == pytest.approx((29 / 30) ** 30, abs=0.02)


def test_the_interval_of_a_mean_is_scipys():
    values = np.random.default_rng(1).gamma(2, 3, 60)
    means = resample_counts(60) @ values / 60
    expected = bootstrap((values,), np.mean, method="percentile", n_resamples=20_000, rng=2)
    found = interval(means, np.median(means))
    assert found == pytest.approx(tuple(expected.confidence_interval), abs=0.15)


def test_bounds_make_up_for_bias_as_scipys_do():
    values = np.random.default_rng(2).normal(0, 3, 40)
    # 1 / mean is skewed.
    expected = bootstrap(
        (values + 6,), lambda x, axis: 1 / x.mean(axis), method="BCa", n_resamples=20_000, rng=2
    )
    replicates = 40 / (resample_counts(40, 5000) @ (values + 6))
    found = interval(replicates, 1 / (values + 6).mean())
    assert found == pytest.approx(tuple(expected.confidence_interval), rel=0.05)
    draws = np.random.default_rng(3).normal(0.5, 1.0, 4000)  # about half too high
    # Twice the bias of half a deviation is taken off both tails: 0.5 - 1 - 1.96, 0.5 - 1 + 1.96.
    assert interval(draws, 0.0) == pytest.approx((-2.46, 1.46), abs=0.25)
    assert interval([5.0, 5.0, 5.0], 5.0) == (5.0, 5.0)
    assert interval([5.0, 6.0, 7.0], 1.0)[0] == pytest.approx(5.0, abs=0.1)


def test_mean_iou_of_one_draw_each_is_the_sets_own():
    rng = np.random.default_rng(3)
    intersect = rng.integers(0, 50, (4, 3)).astype(float)
    union = intersect + rng.integers(0, 50, (4, 3))
    intersect[:, 2] = union[:, 2] = [0, 0, 7, 0]
    counts = np.array([[1, 1, 1, 1], [2, 2, 0, 0], [0, 0, 4, 0]])
    found = mean_iou(intersect, union, counts)
    whole = intersect.sum(0) / union.sum(0)
    # In the second draw the third class does not occur, and is no part of the mean.
    half = (intersect[:2, :2].sum(0) / union[:2, :2].sum(0)).mean()
    third = (intersect[2] / union[2]).mean()
    assert found == pytest.approx([100 * whole.mean(), 100 * half, 100 * third])


def test_recovery_is_compared_draw_by_draw():
    rng = np.random.default_rng(4)
    original = 30 + rng.normal(0, 3, 1000)
    compressed = original - 10
    # Each draw recovers half, however much the draws themselves differ.
    found = recovery_interval(original, compressed, compressed + 5, 0.5)
    assert found == pytest.approx((0.5, 0.5))
    low, high = recovery_interval(original, compressed, compressed - rng.normal(1, 1, 1000), -0.1)
    assert low < -0.2 and high > 0


def test_no_interval_of_the_share_of_a_loss_that_is_not_established():
    rng = np.random.default_rng(5)
    original = 30 + rng.normal(0, 1, 1000)
    assert recovery_interval(original, original - rng.normal(1, 1, 1000), original, 1.0) is None


def boxes(images: int, seed: int) -> tuple[dict, list[dict]]:
    """Ground truth of seven boxes a category and detections about them, in COCO's formats."""
    rng = np.random.default_rng(seed)
    document = {
        "images": [{"id": index + 1, "width": 100, "height": 100} for index in range(images)],
        "categories": [{"id": 1, "name": "a"}, {"id": 2, "name": "b"}, {"id": 3, "name": "none"}],
        "annotations": [],
    }
    found = []
    for category in (1, 2):
        for _ in range(7):
            x, y, w, h = rng.uniform(10, 45, 4)
            where = {"image_id": int(rng.integers(images)) + 1, "category_id": category}
            document["annotations"].append(
                {
                    **where,
                    "id": len(document["annotations"]) + 1,
                    "bbox": [x, y, w, h],
                    "area": w * h,
                    "iscrowd": int(rng.random() < 0.1),
                }
            )
            for _ in range(3):
                box = np.array([x, y, w, h]) + rng.normal(0, 4, 4)
                found.append({**where, "bbox": box.tolist(), "score": float(rng.random())})
    return document, found


def accumulated(category: CategoryDetections, counts: np.ndarray) -> float:
    """AP of one draw, step by step as pycocotools' ``COCOeval.accumulate`` has it."""
    order = np.argsort(-category.scores, kind="mergesort")
    weight = counts[category.image[order]]
    per_threshold = []
    for hits, misses in zip(category.hits[:, order], category.misses[:, order], strict=True):
        found, wrong = np.cumsum(weight * hits), np.cumsum(weight * misses)
        recall = found / (counts @ category.objects)
        precision = found / (found + wrong + np.spacing(1))
        for index in range(len(precision) - 1, 0, -1):
            precision[index - 1] = max(precision[index - 1], precision[index])
        read = np.zeros(len(RECALLS))
        for number, place in enumerate(np.searchsorted(recall, RECALLS, side="left")):
            if place < len(precision):
                read[number] = precision[place]
        per_threshold.append(read.mean())
    return float(np.mean(per_threshold))


@pytest.mark.parametrize("seed", range(6))
def test_each_draw_is_what_pycocotools_would_accumulate(seed):
    rng = np.random.default_rng(seed)
    images, detections = 20, 150
    image = rng.integers(0, images, detections)
    # Of 10, 20 or 40 objects, so that recall meets the hundredths exactly.
    real = rng.permutation(detections) < (10, 20, 40)[seed % 3]
    overlap, thresholds = rng.random(detections), np.linspace(0.5, 0.95, 10)[:, None]
    ignored = (rng.random(detections) < 0.1) & (rng.random((10, detections)) < 0.8)
    hits = real & (overlap > thresholds)
    category = CategoryDetections(
        scores=np.round(rng.random(detections), 2),
        image=image,
        hits=hits & ~ignored,
        misses=~hits & ~ignored,
        objects=np.bincount(image[real], minlength=images),
    )
    counts = np.concatenate([np.ones((1, images), np.int32), resample_counts(images, 50)])
    expected = [100 * accumulated(category, row) for row in counts]
    assert average_precision([category], counts, RECALLS) == pytest.approx(expected, abs=1e-9)


@pytest.mark.filterwarnings("ignore::DeprecationWarning:pycocotools")
@pytest.mark.parametrize("seed", range(4))
def test_average_precision_is_pycocotools(seed, capsys):
    coco_module = pytest.importorskip("pycocotools.coco")
    from pycocotools.cocoeval import COCOeval

    from jpeg_preproc.stats.box_ap import by_category

    images = 6
    document, found = boxes(images, seed)

    def evaluation(counts: np.ndarray) -> COCOeval:
        """Of a data set in which each image stands as often as ``counts`` says."""
        repeated = {**document, "images": [], "annotations": []}
        detections = []
        for image, count in enumerate(counts, start=1):
            for copy in range(count):
                new = {"image_id": 100 * copy + image}
                repeated["images"].append({"id": new["image_id"], "width": 100, "height": 100})
                for one in document["annotations"]:
                    if one["image_id"] == image:
                        number = len(repeated["annotations"]) + 1
                        repeated["annotations"].append({**one, **new, "id": number})
                detections += [{**one, **new} for one in found if one["image_id"] == image]
        truth = coco_module.COCO()
        truth.dataset = repeated
        truth.createIndex()
        result = COCOeval(truth, truth.loadRes(detections), "bbox")
        result.evaluate()
        result.accumulate()
        result.summarize()
        return result

    whole = evaluation(np.ones(images, int))
    categories = by_category(whole, 100)
    assert [type(one) for one in categories] == [CategoryDetections] * 3
    one_each = np.ones((1, images), int)
    assert average_precision(categories, one_each, RECALLS) == pytest.approx(
        [100 * whole.stats[0]], abs=1e-9
    )
    # Leaving images out is exact; an image that stands twice is, to within its ties.
    subset = np.array([1, 0, 1, 1, 0, 1])
    drawn = np.array([2, 0, 1, 0, 0, 3])
    values = average_precision(categories, np.stack([subset, drawn]), RECALLS)
    assert values[0] == pytest.approx(100 * evaluation(subset).stats[0], abs=1e-9)
    assert values[1] == pytest.approx(100 * evaluation(drawn).stats[0], abs=1.5)


def test_a_draw_without_objects_has_no_value_and_is_left_out():
    hit = np.ones((10, 1), bool)
    category = CategoryDetections(np.ones(1), np.zeros(1, int), hit, ~hit, np.array([1, 0]))
    values = average_precision([category], np.array([[1, 1], [0, 2], [2, 0]]), RECALLS)
    assert values.tolist() == [pytest.approx(100.0), pytest.approx(np.nan, nan_ok=True), values[2]]
    few = np.array([3.0, 4.0, 5.0, 7.0])
    assert interval([*few, np.nan], 4.5) == interval(few, 4.5)
    three = (few + 9, few, few + 2)
    known = recovery_interval(*three, value=2 / 9)
    assert known == pytest.approx((2 / 9, 2 / 9))
    assert recovery_interval(*([*part, np.nan] for part in three), value=2 / 9) == known
    assert np.isnan(mean_iou(np.array([[1, 0]]), np.array([[2, 0]]), np.array([[0]]))).all()


def test_average_precision_does_not_depend_on_the_draws_computed_beside():
    rng = np.random.default_rng(6)
    detections, images = 400, 50
    hits = rng.random((10, detections)) < 0.5
    category = CategoryDetections(
        rng.random(detections),
        rng.integers(0, images, detections),
        hits,
        ~hits,
        rng.integers(4, 9, images),
    )
    counts = resample_counts(images, 600)  # more than fit into one chunk
    together = average_precision([category], counts, RECALLS)
    assert average_precision([category], counts[597:], RECALLS) == pytest.approx(together[597:])
    assert 0 < together.min() < together.max() < 100
