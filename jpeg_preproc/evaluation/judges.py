"""By what conditions are judged: a model's own metrics, and finer ones beside them.

mAP and mIoU are what papers report, and too noisy on a few hundred images to see half a point.
The finer judges are taken of what a measurement has kept of each image, over the same draws.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np

from jpeg_preproc.evaluation.conditions import Condition
from jpeg_preproc.evaluation.task import Figure, Measurement
from jpeg_preproc.stats.agreement import agreement, f1_of_draws
from jpeg_preproc.stats.bootstrap import resample_counts
from jpeg_preproc.stats.per_image import mean_of_draws

#: Of segmenters: the mean over images of :func:`~jpeg_preproc.stats.per_image.image_iou`.
IMAGE_IOU = "IoU per image"
#: Of detectors: F1 of :mod:`~jpeg_preproc.stats.agreement` with what the model itself finds in the
#: original images.
F1 = "F1 against the original"
#: Of classifiers: the percentage of images that are taken for the class that the model itself
#: finds in the original.
SAME_CLASS = "same class as on the original"
FINER = (IMAGE_IOU, F1, SAME_CLASS)


def judged(results: Sequence[tuple[Condition, Measurement]]) -> Iterator[list[Figure]]:
    """Yield what each judge says of one task's conditions: the model's own metrics, then the finer.

    A further metric of its own is left out where it is not known under every condition.

    A finer judge is left out where it has nothing to go by: without an image of a known IoU, or
    without a box in the originals, or where these were not measured.

    Args:
        results: What came of each condition.

    Yields:
        A figure for each of the results.
    """
    measured = [result for _, result in results]
    of_results = [result.figures for result in measured]
    yield [first for first, *_ in of_results]
    for name in (figure.metric for figure in of_results[0][1:]) if of_results else ():
        own = [figure for figures in of_results for figure in figures[1:] if figure.metric == name]
        if len(own) == len(measured):
            yield own
    ious = [result.image_iou for result in measured if result.image_iou is not None]
    if ious and len(ious) == len(measured):
        figures = [_mean(IMAGE_IOU, values) for values in ious]
        if all(math.isfinite(figure.value) for figure in figures):
            yield figures
    found = [result.detections for result in measured if result.detections is not None]
    original = next((result for done, result in results if done == Condition()), None)
    if original is not None and len(found) == len(measured):
        reference = original.detections or ()
        if any(reference):
            yield [
                _f1([agreement(*pair) for pair in zip(reference, boxes, strict=True)])
                for boxes in found
            ]
    labels = [np.array(result.labels) for result in measured if result.labels is not None]
    if original is not None and original.labels is not None and len(labels) == len(measured):
        on_original = np.array(original.labels)[:, 0]
        yield [_mean(SAME_CLASS, 100.0 * (one[:, 0] == on_original)) for one in labels]


def _mean(metric: str, values: Sequence[float | None] | np.ndarray) -> Figure:
    """Return the mean of what is known of each image."""
    known = np.array(values, float)  # None becomes NaN
    drawn = mean_of_draws(known, resample_counts(len(known)))
    value = mean_of_draws(known, np.ones((1, len(known)), int))[0]
    return Figure(metric, float(value), tuple(drawn.tolist()))


def _f1(agreements: Sequence[tuple[int, int, int]]) -> Figure:
    of_images = np.array(agreements)
    drawn = f1_of_draws(of_images, resample_counts(len(of_images)))
    value = f1_of_draws(of_images, np.ones((1, len(of_images)), int))[0]
    return Figure(F1, float(value), tuple(drawn.tolist()))
