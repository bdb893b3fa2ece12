"""Metrics that are a mean over images: IoU per image.

mIoU adds up the pixels of all images before it divides, so that a few large objects decide what a
rare class comes to, and with it one term of the mean over classes. The mean over images of each
image's own IoU, the mIoU^I of Wang et al., "Revisiting Evaluation Metrics for Semantic
Segmentation" (NeurIPS 2023 Datasets and Benchmarks), gives each image one vote.
"""

from __future__ import annotations

import numpy as np


def image_iou(intersect: np.ndarray, union: np.ndarray, truth: np.ndarray) -> list[float | None]:
    """Return the IoU of each image in percent: the mean over the classes that it shows.

    These are the classes of the image's ground truth, as in the authors' code (for more than two
    classes) and in Csurka et al. ("What is a good evaluation measure for semantic segmentation?",
    BMVC 2013). A class that is found and not there has no term of its own; it costs the classes
    whose pixels it takes. The classes are thus the same under every condition, and a handful of
    stray pixels does not halve an image's figure.

    Args:
        intersect: Pixels of each image that are a class and were found so, (I, classes).
        union: Pixels that are the class or were taken for it, (I, classes).
        truth: Pixels that are the class, (I, classes).

    Returns:
        A figure for each image, ``None`` for one without a pixel that counts.

    >>> one = [[75, 0, 5]], [[100, 5, 10]], [[95, 0, 10]]  # the second class is not there
    >>> image_iou(*map(np.array, one))
    [62.5]
    """
    shown = truth > 0
    ratios = np.divide(intersect, union, out=np.zeros(shown.shape), where=shown)
    return [
        float(100 * total / number) if number else None
        for total, number in zip(ratios.sum(1), shown.sum(1), strict=True)
    ]


def mean_of_draws(values: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Return the mean over the images of each draw, (R,); NaN where a draw has no known value.

    Args:
        values: The figure of each image, (I,); those that are NaN are left out.
        counts: How often each image is in each draw, (R, I), as
            :func:`~jpeg_preproc.stats.bootstrap.resample_counts` returns it.
    """
    known = ~np.isnan(values)
    number = counts @ known.astype(float)
    means = np.full(len(counts), np.nan)
    return np.divide(counts @ np.where(known, values, 0.0), number, out=means, where=number > 0)
