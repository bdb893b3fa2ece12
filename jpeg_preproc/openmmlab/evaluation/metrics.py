"""What OpenMMLab's metrics report, as one value in percentage points, unrounded where possible."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.dist import is_distributed
from mmengine.evaluator import Evaluator
from mmengine.evaluator.metric import _to_cpu

from jpeg_preproc.errors import AnnotationError, JpegPreprocError
from jpeg_preproc.evaluation.task import Figure, LabelMap
from jpeg_preproc.openmmlab.evaluation.workers import is_worker_death
from jpeg_preproc.openmmlab.place import transform_name
from jpeg_preproc.stats.agreement import Detections, confident
from jpeg_preproc.stats.bootstrap import mean_iou, resample_counts
from jpeg_preproc.stats.box_ap import BoxAp, box_ap
from jpeg_preproc.stats.per_image import image_iou

#: The id of an image, and the boxes found in it; ``None`` of what no detector has predicted, such
#: as a label map, and of turned boxes.
Found = tuple[Any, Detections | None]

# Key of a result without its prefix, what it is called here, and its factor to percent.
_KNOWN = (
    ("bbox_mAP", "mAP", 100.0),  # CocoMetric, LVISMetric: IoU 0.50:0.95
    ("mAP", "mAP", 100.0),  # VOCMetric: IoU 0.50 unless the config says otherwise
    ("mIoU", "mIoU", 1.0),  # IoUMetric
)


@contextmanager
def metric_errors_named(metrics: Sequence[Any], files: Sequence[str]) -> Iterator[None]:
    """Turn what a metric raises into one error that names it and the files it was given.

    Args:
        metrics: The metrics, built or as configs, one of which is at work.
        files: Annotation files and images that they read.

    Raises:
        JpegPreprocError: A metric has raised something.
    """
    try:
        yield
    except JpegPreprocError:
        raise
    except Exception as error:
        if is_worker_death(error):  # it is raised wherever this process is
            raise
        names = ", ".join(map(transform_name, metrics))
        said = " ".join(str(error).split()) or "no reason given"
        raise JpegPreprocError(
            f"{names} of test_evaluator fails on {', '.join(filter(None, files)) or 'its data'}: "
            f"{type(error).__name__}: {said}; check that file and the metric's settings"
        ) from error


def evaluate(
    evaluator: Evaluator, images: int, files: Sequence[str]
) -> tuple[Figure, dict[str, float]]:
    """Let the metrics compute, and return the main one and all they report.

    ``CocoMetric`` rounds to three digits, too few for a share of a loss of one point; its AP is
    taken from the detections it has written, if :func:`keep_boxes` was called.

    Args:
        evaluator: The evaluator, which has processed all images.
        images: Number of those images.
        files: Annotation files that the metrics read, for messages.

    Raises:
        JpegPreprocError: A metric fails, or the metrics report neither an mAP nor an mIoU.
        AnnotationError: There is no ground truth to compare with.
    """
    with metric_errors_named(evaluator.metrics, files):
        # Before the metrics forget what they have collected.
        replicates = _iou_replicates(evaluator)
        by_class = _class_ious(evaluator)
    results: dict[str, float] = {}
    exact: BoxAp | None = None
    for metric in evaluator.metrics:
        with metric_errors_named([metric], files):
            own, found = _own_results(metric, images)
        exact = found or exact
        results |= own
    by_name = {key.rsplit("/", 1)[-1]: value for key, value in results.items()}
    if exact is not None:
        by_name["bbox_mAP"], replicates = exact.mean, exact.replicates
    for key, name, factor in _KNOWN:
        if key in by_name:
            value = by_name[key]
            if value < 0:
                raise AnnotationError("the images evaluated have no ground truth boxes at all")
            return Figure(name, value * factor, replicates), results | by_class
    raise JpegPreprocError(
        f"the config's metric reports {', '.join(results) or 'nothing'}; evaluation needs "
        "bbox_mAP, mAP or mIoU: set test_evaluator to CocoMetric(metric='bbox'), VOCMetric or "
        "IoUMetric, with format_only=False"
    )


def _own_results(metric: Any, images: int) -> tuple[dict[str, float], BoxAp | None]:
    """Return what one metric reports, and box AP, unrounded, where its detections give the same."""
    own = {key: float(number) for key, number in _report(metric, images).items()}
    if "bbox" not in getattr(metric, "metrics", ()) or not getattr(metric, "outfile_prefix", None):
        return own, None
    found = _coco_ap(metric)
    if is_plain_coco(metric):
        name = f"{metric.prefix}/" if metric.prefix else ""
        own = {f"{name}{key}": round(value, 3) for key, value in found.parts.items()}
    # A subclass may count differently; then its own figure stands.
    named = {key.rsplit("/", 1)[-1]: value for key, value in own.items()}
    is_same = abs(found.mean - named.get("bbox_mAP", found.mean)) < 6e-4
    return own, found if is_same else None


def keep_boxes(evaluator: Evaluator, prefix: Path) -> None:
    """Let a ``CocoMetric`` write its detections to ``PREFIX.bbox.json``, COCO's results format.

    A ``CocoMetric`` without options of its own then only writes: :func:`evaluate` compares the
    detections with the ground truth as the metric would have done, so that COCO's evaluation,
    which takes long, runs once instead of twice.
    """
    for metric in evaluator.metrics:
        if "bbox" in getattr(metric, "metrics", ()) and hasattr(metric, "outfile_prefix"):
            prefix.parent.mkdir(parents=True, exist_ok=True)
            metric.outfile_prefix = str(prefix)
            if is_plain_coco(metric):
                metric.format_only = True


def is_plain_coco(metric: Any) -> bool:
    """Tell whether a metric is ``CocoMetric`` of boxes, at COCO's thresholds, and no more."""
    return (
        transform_name(metric) == "CocoMetric"
        and list(metric.metrics) == ["bbox"]
        and not metric.classwise
        and metric.metric_items is None
        and np.array_equal(metric.iou_thrs, np.linspace(0.5, 0.95, 10))
    )


def _report(metric: Any, images: int) -> dict[str, Any]:
    """Return what a metric computes from the results it has, of all images.

    ``BaseMetric.evaluate`` would collect the results of other processes; where there are any, they
    have been collected before.
    """
    if not is_distributed():
        return dict(metric.evaluate(images))
    found = metric.compute_metrics(_to_cpu(metric.results))
    return {f"{metric.prefix}/{key}" if metric.prefix else key: found[key] for key in found}


def image_ious(evaluator: Evaluator) -> list[float | None] | None:
    """Return the IoU of each image from what ``IoUMetric`` collected; ``None`` for other metrics.

    To be called before :func:`evaluate`, after which the metrics have forgotten it.
    """
    areas = _class_areas(evaluator)
    if areas is None:
        return None
    intersect, union, _, truth = areas
    return image_iou(intersect, union, truth)


def confident_boxes(sample: Any) -> Found:
    """Return a data sample's boxes that count for its agreement with the original."""
    name, found = sample.metainfo.get("img_id"), sample.get("pred_instances")
    if found is None or not all(key in found for key in ("bboxes", "scores", "labels")):
        return name, None
    parts = (found[key].detach().cpu().numpy() for key in ("bboxes", "scores", "labels"))
    boxes, scores, labels = parts
    return name, confident(boxes, scores, labels) if boxes.shape[-1] == 4 else None


def label_map(sample: Any, classes: int) -> LabelMap:
    """Return a data sample's label map with its ground truth.

    Args:
        sample: What a segmenter's ``test_step`` returned, mapped to the original.
        classes: Number of classes; what the truth has beyond them does not count.

    Raises:
        JpegPreprocError: It has none.
    """
    if "pred_sem_seg" not in sample or "gt_sem_seg" not in sample:
        raise JpegPreprocError("the model gives no label map beside its ground truth")
    found, truth = (
        np.asarray(one.data.detach().cpu().numpy()[0], int)
        for one in (sample.pred_sem_seg, sample.gt_sem_seg)
    )
    return LabelMap(found, np.where(truth < classes, truth, -1))


def in_order_of_draws(found: Sequence[Found]) -> list[Detections] | None:
    """Return the boxes of all images, those of COCO's form by id, as the draws of mAP have them.

    ``None`` if the model finds no boxes.
    """
    ids, boxes = zip(*found, strict=True)
    if any(one is None for one in boxes):
        return None
    return [boxes[index] for index in order_of_draws(ids)]


def order_of_draws(ids: Sequence[Any]) -> Sequence[int]:
    """Return the places of images in the order of the draws, given the id of each, if it has one.

    >>> order_of_draws([9, 4, 7]), list(order_of_draws(["b", "a"]))
    ([1, 2, 0], [0, 1])
    """
    by_id = all(isinstance(one, int) for one in ids)
    return sorted(range(len(ids)), key=ids.__getitem__) if by_id else range(len(ids))


def _iou_replicates(evaluator: Evaluator) -> tuple[float, ...] | None:
    """Return mIoU of each draw from what ``IoUMetric`` collected; ``None`` for other metrics."""
    areas = _class_areas(evaluator)
    if areas is None:
        return None
    intersect, union, *_ = areas
    return tuple(mean_iou(intersect, union, resample_counts(len(union))).tolist())


def _class_ious(evaluator: Evaluator) -> dict[str, float]:
    """Return the IoU over all images of each class that has a pixel, in percent, by ``IoU/NAME``.

    mmseg prints these and does not return them. There are none of other metrics.
    """
    areas = _class_areas(evaluator)
    if areas is None:
        return {}
    intersect, union = (part.sum(0) for part in areas[:2])
    names = (evaluator.dataset_meta or {}).get("classes") or ()
    return {
        f"IoU/{name}": float(100 * hit / area)
        for name, hit, area in zip(names, intersect, union, strict=False)
        if area > 0
    }


def _class_areas(evaluator: Evaluator) -> list[np.ndarray] | None:
    """Return what ``IoUMetric`` has of each image, pixels of each class, (I, classes) each.

    They are intersection, union, what was found, and the truth.
    """
    for metric in evaluator.metrics:
        if "mIoU" in getattr(metric, "metrics", ()) and metric.results:
            parts = zip(*metric.results, strict=True)
            return [np.stack([np.asarray(area, float) for area in part]) for part in parts]
    return None


def _coco_ap(metric: Any) -> BoxAp:
    """Return box AP from the detections a ``CocoMetric`` wrote.

    It is over the metric's own ground truth, images, categories and thresholds.
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
