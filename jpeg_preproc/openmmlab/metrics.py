"""What OpenMMLab's metrics report, as one value in percentage points, unrounded where possible."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mmengine.evaluator import Evaluator

from jpeg_preproc.errors import AnnotationError, JpegPreprocError

# Key of a result without its prefix, what it is called here, and its factor to percent.
_KNOWN = (
    ("bbox_mAP", "mAP", 100.0),  # CocoMetric, LVISMetric: IoU 0.50:0.95
    ("mAP", "mAP", 100.0),  # VOCMetric: IoU 0.50 unless the config says otherwise
    ("mIoU", "mIoU", 1.0),  # IoUMetric
)


def read_metric(results: Mapping[str, Any], evaluator: Evaluator) -> tuple[str, float]:
    """Return the name of the main metric and its value in percentage points.

    ``CocoMetric`` rounds to three digits, too few for a share of a loss of one point; its AP is
    taken from the detections it has written, if :func:`keep_boxes` was called.

    Args:
        results: Of ``Evaluator.evaluate``.
        evaluator: That gave them.

    Raises:
        JpegPreprocError: There is neither an mAP nor an mIoU.
        AnnotationError: There is no ground truth to compare with.
    """
    by_name = {key.rsplit("/", 1)[-1]: value for key, value in results.items()}
    for metric in evaluator.metrics:
        if "bbox" in getattr(metric, "metrics", ()) and getattr(metric, "outfile_prefix", None):
            exact = _coco_ap(metric)
            # A subclass may count differently; then its own figure stands.
            if abs(exact - by_name.get("bbox_mAP", exact)) < 6e-4:
                by_name["bbox_mAP"] = exact
    for key, name, factor in _KNOWN:
        if key in by_name:
            value = float(by_name[key])
            if value < 0:
                raise AnnotationError("the images evaluated have no ground truth boxes at all")
            return name, value * factor
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


def _coco_ap(metric: Any) -> float:
    """Return box AP as a fraction from the detections a ``CocoMetric`` wrote; 0 for none.

    pycocotools, with the metric's own ground truth, images, categories and thresholds.
    """
    from pycocotools.cocoeval import COCOeval  # mmdet has it; a segmenter needs none

    detections = json.loads(Path(f"{metric.outfile_prefix}.bbox.json").read_text(encoding="utf-8"))
    if not detections:
        return 0.0
    truth = metric._coco_api  # no public name; mmdet keeps it from the first version on
    evaluation = COCOeval(truth, truth.loadRes(detections), "bbox")
    evaluation.params.catIds = metric.cat_ids
    evaluation.params.imgIds = metric.img_ids
    evaluation.params.maxDets = list(metric.proposal_nums)
    evaluation.params.iouThrs = metric.iou_thrs
    evaluation.evaluate()
    evaluation.accumulate()
    # (iou, recall, category, area, max detections): all areas, and the 100 detections of COCO.
    wanted = evaluation.params.maxDets.index(100) if 100 in evaluation.params.maxDets else -1
    precision = evaluation.eval["precision"][:, :, :, 0, wanted]
    precision = precision[precision > -1]
    return float(precision.mean()) if precision.size else -1.0
