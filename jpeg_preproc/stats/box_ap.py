"""Box AP and its bootstrap replicates, by pycocotools."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from jpeg_preproc.errors import JpegPreprocError
from jpeg_preproc.stats.bootstrap import (
    REPLICATES,
    CategoryDetections,
    average_precision,
    resample_counts,
)

# The detections that COCO counts in an image and category, and its names for objects of all sizes,
# small, medium and large ones, in its order.
_MAX_DETECTIONS = 100
_AREAS = ("all", "s", "m", "l")


@dataclass(frozen=True)
class BoxAp:
    """AP of boxes over IoU 0.50:0.95, or the thresholds asked for, as fractions.

    Attributes:
        mean: AP over all objects; -1 where there is none.
        parts: ``bbox_mAP``, ``bbox_mAP_50``, ``bbox_mAP_75``, and ``bbox_mAP_s, _m, _l`` by the
            size of objects; -1 where there is none.
        replicates: ``mean`` of the bootstrap's draws, in percent; ``None`` where it is -1.
    """

    mean: float
    parts: dict[str, float]
    replicates: tuple[float, ...] | None


def box_ap(
    truth: Any,
    detections: Sequence[Mapping[str, Any]],
    category_ids: Sequence[int],
    image_ids: Sequence[int],
    iou_thresholds: Sequence[float] | np.ndarray | None = None,
    max_detections: Sequence[int] = (1, 10, _MAX_DETECTIONS),
) -> BoxAp:
    """Compare detections with the ground truth, as COCO does.

    Args:
        truth: The ground truth, as ``COCO`` of pycocotools.
        detections: Detections in COCO's results format: ``image_id, category_id, bbox, score``;
            ``bbox`` is left, top, width, height in pixels.
        category_ids: Ids of the categories that count.
        image_ids: Ids of the images that count.
        iou_thresholds: Thresholds of IoU, ascending; COCO's 0.50, 0.55, ..., 0.95 if not given.
        max_detections: Most detections of one image and category that count, ascending, as COCO
            lists them; AP is of 100 if that is among them, else of the last.

    Raises:
        JpegPreprocError: pycocotools is not installed.
    """
    evaluation = _coco_eval()(truth, iouType="bbox")
    evaluation.params.catIds = list(category_ids)
    evaluation.params.imgIds = list(image_ids)
    # Detections behind the last that counts change nothing, and each number would take its time.
    allowed = list(max_detections)
    counted = _MAX_DETECTIONS if _MAX_DETECTIONS in allowed else allowed[-1]
    evaluation.params.maxDets = [counted]
    if iou_thresholds is not None:
        evaluation.params.iouThrs = np.asarray(iou_thresholds)
    with contextlib.redirect_stdout(io.StringIO()):  # pycocotools prints what it does
        # Without any detection loadRes fails, and an empty COCO finds nothing as well.
        evaluation.cocoDt = truth.loadRes(list(detections)) if detections else type(truth)()
        evaluation.evaluate()
        evaluation.accumulate()
    precision = evaluation.eval["precision"][..., 0]  # (iou, recall, category, area)
    mean = _mean(precision[..., 0])
    parts = {"bbox_mAP": mean}
    for percent in (50, 75):
        at = np.isclose(evaluation.params.iouThrs, percent / 100)
        if at.any():
            parts[f"bbox_mAP_{percent}"] = _mean(precision[at][..., 0])
    for index, area in enumerate(_AREAS[1:], start=1):
        parts[f"bbox_mAP_{area}"] = _mean(precision[..., index])
    if mean < 0:
        return BoxAp(mean, parts, None)
    if not detections:
        return BoxAp(mean, parts, (0.0,) * REPLICATES)
    drawn = average_precision(
        by_category(evaluation, counted),
        resample_counts(len(evaluation.params.imgIds)),
        np.asarray(evaluation.params.recThrs),
    )
    return BoxAp(mean, parts, tuple(drawn.tolist()))


def _coco_eval() -> Any:
    """Return pycocotools' ``COCOeval``; imported here, because a segmenter's user needs none."""
    try:
        from pycocotools.cocoeval import COCOeval
    except ImportError as error:
        raise JpegPreprocError(
            f"box AP needs pycocotools ({error}); pip install 'jpeg_preproc[onnx]', or pycocotools"
        ) from error
    return COCOeval


def _mean(precision: np.ndarray) -> float:
    """Return the mean of those entries that have an object; -1 if none has."""
    known = precision[precision > -1]
    return float(known.mean()) if known.size else -1.0


def by_category(evaluation: Any, max_detections: int) -> list[CategoryDetections]:
    """Return the matches of a ``COCOeval`` that has evaluated, over objects of all sizes."""
    images = len(evaluation.params.imgIds)
    per_category = len(evaluation.params.areaRng) * images
    thresholds = len(evaluation.params.iouThrs)
    categories = []
    for first in range(0, len(evaluation.evalImgs), per_category):
        scores: list[np.ndarray] = [np.empty(0)]
        image: list[np.ndarray] = [np.empty(0, int)]
        matched: list[np.ndarray] = [np.empty((thresholds, 0), bool)]
        ignored: list[np.ndarray] = [np.empty((thresholds, 0), bool)]
        objects = np.zeros(images, np.int64)
        # All areas come first; a pair without boxes of either kind is None.
        for index, pair in enumerate(evaluation.evalImgs[first : first + images]):
            if pair is None:
                continue
            kept = len(pair["dtScores"][:max_detections])
            scores.append(np.asarray(pair["dtScores"][:kept], float))
            image.append(np.full(kept, index))
            matched.append(np.asarray(pair["dtMatches"])[:, :kept] > 0)
            ignored.append(np.asarray(pair["dtIgnore"])[:, :kept] > 0)
            objects[index] = np.count_nonzero(np.asarray(pair["gtIgnore"]) == 0)
        match, ignore = np.concatenate(matched, 1), np.concatenate(ignored, 1)
        categories.append(
            CategoryDetections(
                scores=np.concatenate(scores),
                image=np.concatenate(image),
                hits=match & ~ignore,
                misses=~match & ~ignore,
                objects=objects,
            )
        )
    return categories
