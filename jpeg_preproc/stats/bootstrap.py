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
from statistics import NormalDist

import numpy as np

REPLICATES = 1000
LEVEL = 0.95
_SEED = 0

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
    """Return mIoU in percent of each draw, (R,); arguments are those of :func:`class_ious`."""
    return mean_of_known(class_ious(intersect, union, counts), axis=1)


def class_ious(intersect: np.ndarray, union: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Return IoU in percent of each class in each draw, (R, classes); NaN where it has no pixel.

    Args:
        intersect: Pixels of each image that are a class and were found so, (I, classes).
        union: Pixels that are the class or were taken for it, (I, classes).
        counts: How often each image is in each draw, (R, I), as :func:`resample_counts` returns
            it.
    """
    hit, area = counts @ intersect, counts @ union  # (R, classes)
    with np.errstate(invalid="ignore"):
        return 100 * (hit / area)


def mean_of_known(values: np.ndarray, axis: int) -> np.ndarray:
    """Return the mean without NaN; NaN where there is nothing else, as ``np.nanmean`` warns of."""
    known = ~np.isnan(values)
    with np.errstate(invalid="ignore"):
        mean: np.ndarray = np.where(known, values, 0).sum(axis) / known.sum(axis)
    return mean
