"""AP of each draw against pycocotools' own accumulation."""

from __future__ import annotations

import numpy as np
import pytest

from jpeg_preproc.stats.average_precision import (
    CategoryDetections,
    average_precision,
    category_precisions,
)
from jpeg_preproc.stats.bootstrap import resample_counts

RECALLS = np.linspace(0, 1, 101)


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

    from jpeg_preproc.stats.coco_ap import by_category

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
    categories = by_category(whole)
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


def test_a_draw_without_objects_has_no_value():
    hit = np.ones((10, 1), bool)
    category = CategoryDetections(np.ones(1), np.zeros(1, int), hit, ~hit, np.array([1, 0]))
    values = average_precision([category], np.array([[1, 1], [0, 2], [2, 0]]), RECALLS)
    assert values.tolist() == [pytest.approx(100.0), pytest.approx(np.nan, nan_ok=True), values[2]]


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


def test_the_mean_over_categories_is_that_of_those_that_a_draw_has():
    hit = np.ones((10, 2), bool)
    always = CategoryDetections(np.array([0.9, 0.8]), np.array([0, 1]), hit, ~hit, np.array([1, 2]))
    once = CategoryDetections(
        np.array([0.7]), np.zeros(1, int), hit[:, 1:], ~hit[:, 1:], np.array([1, 0])
    )
    counts = np.array([[1, 1], [0, 2]])
    of_categories = category_precisions([always, once], counts, RECALLS)
    # Two of three objects reach 67 of the 101 recalls, two of four the first 51.
    expected = [[100 * 67 / 101, 100 * 51 / 101], [100.0, np.nan]]
    assert of_categories == pytest.approx(np.array(expected), nan_ok=True)
    assert average_precision([always, once], counts, RECALLS) == pytest.approx(
        [(expected[0][0] + 100) / 2, expected[0][1]]
    )
