"""How far a figure that was measured on a sample of images may be off.

The bootstrap over images (Efron, "Bootstrap Methods", Annals of Statistics, 1979): the test set is
drawn again and again from its own images, with replacement, and the metric taken of each draw. The
draws depend on the number of images alone, so that conditions measured on the same images are
compared draw by draw, which is what makes an interval of their differences honest.

mAP and mIoU of a draw are biased: a class that few images have is often missing in it. The bounds
are therefore the bias-corrected ones (Efron and Tibshirani, "An Introduction to the Bootstrap",
1993, section 14.3, with an acceleration of zero).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

REPLICATES = 1000
LEVEL = 0.95
_SEED = 0
# Numbers in one intermediate array; 16 MB of them.
_CHUNK = 2_000_000

Interval = tuple[float, float]


def resample_counts(images: int, replicates: int = REPLICATES) -> np.ndarray:
    """Return how often each image is in each draw, (replicates, images), the same in every run.

    >>> resample_counts(5, 3).sum(axis=1)
    array([5, 5, 5])
    """
    rng = np.random.default_rng(_SEED)
    share = np.full(images, 1 / images)
    counts = np.empty((replicates, images), np.int32)
    for row in counts:
        row[:] = rng.multinomial(images, share)
    return counts


def interval(
    replicates: Sequence[float] | np.ndarray, value: float, level: float = LEVEL
) -> Interval:
    """Return the bias-corrected bounds around a value.

    Without bias, that is with as many replicates below the value as above, they hold the middle
    ``level`` of the replicates.

    Args:
        replicates: The metric of each draw; NaN, which a draw without any object has, is left out.
        value: The metric of the test set itself.
        level: Probability that the bounds are to have.
    """
    drawn, normal = np.asarray(replicates), NormalDist()
    drawn = drawn[~np.isnan(drawn)]
    below = float(np.mean(drawn < value) + np.mean(drawn == value) / 2)
    edge = 0.5 / len(drawn)  # all replicates on one side say no more than this
    shift = 2 * normal.inv_cdf(min(max(below, edge), 1 - edge))
    tails = (normal.inv_cdf((1 - level) / 2), normal.inv_cdf((1 + level) / 2))
    low, high = np.quantile(drawn, [normal.cdf(shift + tail) for tail in tails])
    return float(low), float(high)


def recovery_interval(
    original: Sequence[float] | np.ndarray,
    compressed: Sequence[float] | np.ndarray,
    restored: Sequence[float] | np.ndarray,
    value: float,
    level: float = LEVEL,
) -> Interval | None:
    """Return the interval of (restored − compressed) / (original − compressed).

    Args:
        original: Metric of each replicate on the original images.
        compressed: Metric of the same replicates on the compressed images.
        restored: Metric of the same replicates on the restored images.
        value: The recovery of the test set itself.
        level: Probability that the bounds are to have.

    Returns:
        The bounds as fractions, never clipped; ``None`` where the loss itself is not established:
        more replicates than lie outside on one side lose nothing.
    """
    loss, gain = np.subtract(original, compressed), np.subtract(restored, compressed)
    known = ~np.isnan(loss + gain)
    loss, gain = loss[known], gain[known]
    if np.mean(loss <= 0) > (1 - level) / 2:
        return None
    positive = loss > 0
    return interval(gain[positive] / loss[positive], value, level)


def mean_iou(intersect: np.ndarray, union: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Return mIoU in percent of each replicate, (R,).

    Args:
        intersect: Pixels of each image that are a class and were found so, (I, classes).
        union: Pixels that are the class or were taken for it, (I, classes).
        counts: How often each image is in each draw, (R, I), as :func:`resample_counts` returns
            it.
    """
    hit, area = counts @ intersect, counts @ union  # (R, classes)
    with np.errstate(invalid="ignore"):
        return 100 * _mean_of_known(hit / area, axis=1)


def _mean_of_known(values: np.ndarray, axis: int) -> np.ndarray:
    """Return the mean without NaN; NaN where there is nothing else, as ``np.nanmean`` warns of."""
    known = ~np.isnan(values)
    with np.errstate(invalid="ignore"):
        mean: np.ndarray = np.where(known, values, 0).sum(axis) / known.sum(axis)
    return mean


@dataclass(frozen=True)
class CategoryDetections:
    """One category's detections, matched with the ground truth of their images.

    Attributes:
        scores: Score of each detection, (D,).
        image: Index of the image that each is in, (D,).
        hits: Whether each matches an object at each IoU threshold, (T, D).
        misses: Whether each matches none, (T, D). One whose object is to be ignored is neither a
            hit nor a miss.
        objects: Number of objects that count in each image, (I,).
    """

    scores: np.ndarray
    image: np.ndarray
    hits: np.ndarray
    misses: np.ndarray
    objects: np.ndarray


def average_precision(
    categories: Sequence[CategoryDetections], counts: np.ndarray, recalls: np.ndarray
) -> np.ndarray:
    """Return AP in percent of each replicate, (R,), as pycocotools computes it.

    A draw without any object has NaN.

    An image drawn twice counts twice at once, where pycocotools would take its copies one after
    the other; that moves an AP by less than a tenth of a point.

    Args:
        categories: Categories, of which those without an object in any image are left out of the
            mean.
        counts: How often each image is in each draw, (R, I), as :func:`resample_counts` returns
            it.
        recalls: Recalls at which precision is read, ascending, in [0, 1]; COCO's are 0, 0.01, …, 1.
    """
    means = [_category_ap(category, counts, recalls) for category in categories]
    return 100 * _mean_of_known(np.stack(means), axis=0)


def _category_ap(
    category: CategoryDetections, counts: np.ndarray, recalls: np.ndarray
) -> np.ndarray:
    """Return one category's AP in each replicate, (R,); NaN where it has no object.

    Precision is read at recalls, and recall grows at hits alone, of which there are few: a hit
    contributes its precision as often as it is the first to reach one of the recalls.
    """
    objects = counts @ category.objects  # (R,)
    order = np.argsort(-category.scores, kind="stable")
    image, hits, misses = category.image[order], category.hits[:, order], category.misses[:, order]
    precision = np.where(objects > 0, 0.0, np.nan)
    places = np.flatnonzero(hits.any(0))  # (P,)
    if not places.size:
        return precision
    # Behind the last hit nothing matters.
    image, hits, misses = (part[..., : places[-1] + 1] for part in (image, hits, misses))
    reached = _recalls_reached(objects, counts[:, image[places]].sum(1).max(), recalls)
    step = max(1, _CHUNK // len(image))
    for start in range(0, len(counts), step):
        rows = slice(start, start + step)
        weight = counts[rows, image]  # (r, D)
        # What counts is mostly the same at every threshold.
        counted, which = np.unique(hits | misses, axis=0, return_inverse=True)
        sums = [np.cumsum(weight * part, axis=-1)[:, places] for part in counted]  # (r, P) each
        for threshold, of in enumerate(which.ravel()):
            at = np.flatnonzero(hits[threshold, places])  # (H,)
            found = np.cumsum(weight[:, places[at]], axis=-1)  # (r, H)
            exact = found / (sums[of][:, at] + np.spacing(1))
            best = np.maximum.accumulate(exact[:, ::-1], axis=-1)[:, ::-1]
            number = reached[objects[rows, None], found]
            times = np.diff(number, prepend=0, axis=-1)
            precision[rows] += (best * times).sum(-1) / (len(hits) * len(recalls))
    return precision


def _recalls_reached(objects: np.ndarray, most: int, recalls: np.ndarray) -> np.ndarray:
    """Return how many of the recalls each number of hits reaches, (objects + 1, most + 1).

    Args:
        objects: Number of objects in each replicate, (R,).
        most: Greatest number of hits in any of them.
        recalls: Recalls, ascending.
    """
    table = np.zeros((int(objects.max()) + 1, int(most) + 1), np.int32)
    for number in np.unique(objects):
        share = np.arange(most + 1) / max(int(number), 1)
        table[number] = np.searchsorted(recalls, share, side="right")
    return table
