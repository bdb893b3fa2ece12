"""What OpenMMLab's metrics report, as one value in percentage points, unrounded where possible."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.evaluator import Evaluator

from jpeg_preproc.errors import AnnotationError, JpegPreprocError
from jpeg_preproc.evaluation.bootstrap import mean_iou, resample_counts
from jpeg_preproc.evaluation.box_ap import BoxAp, box_ap
from jpeg_preproc.evaluation.downstream import Figure

# Key of a result without its prefix, what it is called here, and its factor to percent.
_KNOWN = (
    ("bbox_mAP", "mAP", 100.0),  # CocoMetric, LVISMetric: IoU 0.50:0.95
    ("mAP", "mAP", 100.0),  # VOCMetric: IoU 0.50 unless the config says otherwise
    ("mIoU", "mIoU", 1.0),  # IoUMetric
)


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
            exact = _coco_ap(metric)
            # A subclass may count differently; then its own figure stands.
            if abs(exact.mean - by_name.get("bbox_mAP", exact.mean)) < 6e-4:
                by_name["bbox_mAP"], replicates = exact.mean, exact.replicates
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


def _coco_ap(metric: Any) -> BoxAp:
    """Return box AP from the detections a ``CocoMetric`` wrote.

    With the metric's own ground truth, images, categories and thresholds.
    """
    written = Path(f"{metric.outfile_prefix}.bbox.json").read_text(encoding="utf-8")
    return box_ap(
        metric._coco_api,  # no public name; mmdet keeps it from the first version on
        json.loads(written),
        metric.cat_ids,
        metric.img_ids,
        metric.iou_thrs,
        metric.proposal_nums,
    )
