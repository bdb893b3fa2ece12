"""How far a detector's boxes agree with those that it finds in the original images.

A judge without annotations: what the model is sure of in the original is taken for the truth.
Unlike mAP it does not ask in which order thousands of unsure boxes come, so that it is less noisy.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

#: Boxes of a lower score are not looked at, and boxes of one class agree from this IoU on.
MIN_SCORE = 0.3
MIN_IOU = 0.5

#: What counts in one image, best first, a list for each box:
#: ``[label, score, left, top, right, bottom]``, in pixels of the original image.
Detections = Sequence[Sequence[float]]


def confident(boxes: np.ndarray, scores: np.ndarray, labels: np.ndarray) -> list[list[float]]:
    """Return the boxes of an image whose score is at least 0.3, as :data:`Detections`.

    Args:
        boxes: Left, top, right, bottom in pixels, (K, 4); rounded to hundredths.
        scores: Score of each box, (K,); rounded to four digits.
        labels: Number of each box's class, (K,).

    >>> confident(np.array([[0, 0, 8, 8], [1, 1, 9, 9]]), np.array([0.2, 0.9]), np.array([4, 5]))
    [[5, 0.9, 1.0, 1.0, 9.0, 9.0]]
    """
    order = np.argsort(-scores, kind="stable")
    return [
        [int(labels[index]), round(float(scores[index]), 4)]
        + [round(float(side), 2) for side in boxes[index]]
        for index in order
        if scores[index] >= MIN_SCORE
    ]


def agreement(reference: Detections, found: Detections) -> tuple[int, int, int]:
    """Return how many boxes agree, are found alone, and are in the reference alone: TP, FP, FN.

    Args:
        reference: What was found in the original image.
        found: What was found under another condition.
    """
    hits = len(matches(reference, found))
    return hits, len(found) - hits, len(reference) - hits


def matches(reference: Detections, found: Detections) -> dict[int, int]:
    """Return which boxes agree: index in the reference to index in what was found.

    One to one, greedily: from the highest score on, each box takes the box of its class in the
    reference that it overlaps most, among those that are free and at an IoU of at least 0.5.

    Args:
        reference: What was found in the original image.
        found: What was found under another condition.

    >>> matches([[5, 0.9, 0, 0, 9, 9]], [[4, 0.8, 0, 0, 9, 9], [5, 0.7, 0, 0, 9, 8]])
    {0: 1}
    """
    theirs, ours = (np.reshape(np.asarray(one, float), (-1, 6)) for one in (reference, found))
    overlaps = _iou(ours[:, 2:], theirs[:, 2:])  # (found, reference)
    overlaps[ours[:, None, 0] != theirs[:, 0]] = 0
    agreed: dict[int, int] = {}
    for index, row in enumerate(overlaps if len(theirs) else ()):
        best = int(row.argmax())
        if row[best] >= MIN_IOU:
            agreed[best] = index
            overlaps[:, best] = 0
    return agreed


def f1_of_draws(agreements: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Return F1 in percent of each draw, (R,); NaN where a draw has no box at all.

    Boxes are added up over the images before dividing. A mean of each image's own F1 would need a
    rule for images in which nothing is found, and one box there would weigh as much as all of a
    crowd.

    Args:
        agreements: TP, FP and FN of each image, (I, 3), as :func:`agreement` returns them.
        counts: How often each image is in each draw, (R, I), as
            :func:`~jpeg_preproc.stats.bootstrap.resample_counts` returns it.

    >>> f1_of_draws(np.array([[3, 1, 0], [0, 0, 0]]), np.array([[1, 1], [0, 2]]))
    array([85.71428571,         nan])
    """
    hits, false, missed = (counts @ agreements).T.astype(float)
    boxes = 2 * hits + false + missed
    return 100 * np.divide(2 * hits, boxes, out=np.full(len(boxes), np.nan), where=boxes > 0)


def _iou(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Return the IoU of each box of (N, 4) with each of (M, 4), (N, M); 0 for empty boxes."""
    corner = np.maximum(first[:, None, :2], second[:, :2])
    other = np.minimum(first[:, None, 2:], second[:, 2:])
    shared = np.prod(np.clip(other - corner, 0, None), axis=-1)
    areas = [np.prod(np.clip(one[:, 2:] - one[:, :2], 0, None), axis=-1) for one in (first, second)]
    union = areas[0][:, None] + areas[1] - shared
    return np.divide(shared, union, out=np.zeros_like(union), where=union > 0)
