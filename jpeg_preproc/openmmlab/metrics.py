"""What OpenMMLab's metrics report, as one value in percentage points, unrounded where possible."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.evaluator import Evaluator

from jpeg_preproc.errors import AnnotationError, JpegPreprocError
from jpeg_preproc.evaluation.bootstrap import (
    REPLICATES,
    CategoryDetections,
    average_precision,
    mean_iou,
    resample_counts,
)

# Key of a result without its prefix, what it is called here, and its factor to percent.
_KNOWN = (
    ("bbox_mAP", "mAP", 100.0),  # CocoMetric, LVISMetric: IoU 0.50:0.95
    ("mAP", "mAP", 100.0),  # VOCMetric: IoU 0.50 unless the config says otherwise
    ("mIoU", "mIoU", 1.0),  # IoUMetric
)


@dataclass(frozen=True)
class Figure:
    """A metric's value.

    Attributes:
        metric: ``'mAP'`` or ``'mIoU'``.
        value: In percentage points.
        replicates: The same of the bootstrap's draws; ``None`` for a metric other than
            ``CocoMetric`` and ``IoUMetric``.
    """

    metric: str
    value: float
    replicates: tuple[float, ...] | None


def evaluate(evaluator: Evaluator, images: int) -> tuple[Figure, dict[str, float]]:
    """Let the metrics compute, and return the main one and all they report.

    ``CocoMetric`` rounds to three digits, too few for a share of a loss of one point; its AP is
    taken from the detections it has written, if :func:`keep_boxes` was called.

    Args:
        evaluator: Has processed all images.
        images: How many.

    Raises:
        JpegPreprocError: There is neither an mAP nor an mIoU.
        AnnotationError: There is no ground truth to compare with.
    """
    replicates = _iou_replicates(evaluator)  # before the metrics forget what they have collected
    results = {key: float(number) for key, number in evaluator.evaluate(images).items()}
    by_name = {key.rsplit("/", 1)[-1]: value for key, value in results.items()}
    for metric in evaluator.metrics:
        if "bbox" in getattr(metric, "metrics", ()) and getattr(metric, "outfile_prefix", None):
            exact, drawn = _coco_ap(metric)
            # A subclass may count differently; then its own figure stands.
            if abs(exact - by_name.get("bbox_mAP", exact)) < 6e-4:
                by_name["bbox_mAP"], replicates = exact, drawn
    for key, name, factor in _KNOWN:
        if key in by_name:
            value = by_name[key]
            if value < 0:
                raise AnnotationError("the images evaluated have no ground truth boxes at all")
            return Figure(name, value * factor, replicates), results
    raise JpegPreprocError(
        f"the config's metric reports {', '.join(results) or 'nothing'}; evaluation needs "
        "bbox_mAP, mAP or mIoU: set test_evaluator to CocoMetric(metric='bbox'), VOCMetric or "
        "IoUMetric, with format_only=False"
    )


def keep_boxes(evaluator: Evaluator, prefix: Path) -> None:
    """Let a ``CocoMetric`` write its detections to ``PREFIX.bbox.json``, COCO's results format."""
    for metric in evaluator.metrics:
        if "bbox" in getattr(metric, "metrics", ()) and hasattr(metric, "outfile_prefix"):
            prefix.parent.mkdir(parents=True, exist_ok=True)
            metric.outfile_prefix = str(prefix)


def _iou_replicates(evaluator: Evaluator) -> tuple[float, ...] | None:
    """Return mIoU of each draw from what ``IoUMetric`` collected; ``None`` for other metrics."""
    for metric in evaluator.metrics:
        if "mIoU" in getattr(metric, "metrics", ()) and metric.results:
            # Of each image: intersection, union, and two areas more, by class.
            intersect, union = (
                np.stack([np.asarray(areas[part], float) for areas in metric.results])
                for part in (0, 1)
            )
            return tuple(mean_iou(intersect, union, resample_counts(len(union))).tolist())
    return None


def _coco_ap(metric: Any) -> tuple[float, tuple[float, ...] | None]:
    """Return box AP as a fraction from the detections a ``CocoMetric`` wrote, and its replicates.

    pycocotools, with the metric's own ground truth, images, categories and thresholds; 0 where
    nothing was detected, -1 where there is no object.
    """
    from pycocotools.cocoeval import COCOeval  # mmdet has it; a segmenter needs none

    detections = json.loads(Path(f"{metric.outfile_prefix}.bbox.json").read_text(encoding="utf-8"))
    if not detections:
        return 0.0, (0.0,) * REPLICATES
    truth = metric._coco_api  # no public name; mmdet keeps it from the first version on
    evaluation = COCOeval(truth, truth.loadRes(detections), "bbox")
    evaluation.params.catIds = metric.cat_ids
    evaluation.params.imgIds = metric.img_ids
    evaluation.params.maxDets = list(metric.proposal_nums)
    evaluation.params.iouThrs = metric.iou_thrs
    evaluation.evaluate()
    evaluation.accumulate()
    # (iou, recall, category, area, max detections): all areas, and the 100 detections of COCO.
    allowed = evaluation.params.maxDets
    wanted = allowed.index(100) if 100 in allowed else len(allowed) - 1
    precision = evaluation.eval["precision"][:, :, :, 0, wanted]
    precision = precision[precision > -1]
    if not precision.size:
        return -1.0, None
    categories = _by_category(evaluation, allowed[wanted])
    counts = resample_counts(len(evaluation.params.imgIds))
    drawn = average_precision(categories, counts, np.asarray(evaluation.params.recThrs))
    return float(precision.mean()), tuple(drawn.tolist())


def _by_category(evaluation: Any, max_detections: int) -> list[CategoryDetections]:
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
