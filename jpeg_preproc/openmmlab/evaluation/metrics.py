"""What OpenMMLab's metrics report, as one value in percentage points, unrounded where possible."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.dist import is_distributed
from mmengine.evaluator import Evaluator
from mmengine.evaluator.metric import _to_cpu

from jpeg_preproc.errors import AnnotationError, JpegPreprocError
from jpeg_preproc.evaluation.figures import AP_NAMES, coco_figure, iou_figure
from jpeg_preproc.evaluation.task import Figure, LabelMap
from jpeg_preproc.openmmlab.evaluation.workers import is_worker_death
from jpeg_preproc.openmmlab.place import transform_name
from jpeg_preproc.stats.agreement import Detections, confident
from jpeg_preproc.stats.coco_ap import CocoAp, Kind, coco_ap
from jpeg_preproc.stats.per_image import image_iou

#: The id of an image, and the boxes found in it; ``None`` of what no detector has predicted, such
#: as a label map, and of turned boxes.
Found = tuple[Any, Detections | None]

# Key of a result without its prefix, what it is called here, and its factor to percent.
_KNOWN = (
    ("bbox_mAP", AP_NAMES["bbox"], 100.0),  # CocoMetric, LVISMetric: IoU 0.50:0.95
    ("mAP", AP_NAMES["bbox"], 100.0),  # VOCMetric: IoU 0.50 unless the config says otherwise
    ("segm_mAP", AP_NAMES["segm"], 100.0),  # as bbox_mAP, of instance masks
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
) -> tuple[list[Figure], dict[str, float]]:
    """Let the metrics compute, and return those that are known here and all they report.

    ``CocoMetric`` rounds to three digits, too few for a share of a loss of one point; its AP is
    taken from the detections it has written, if :func:`keep_detections` was called.

    Args:
        evaluator: The evaluator, which has processed all images.
        images: Number of those images.
        files: Annotation files that the metrics read, for messages.

    Returns:
        Figures of boxes before those of masks, at least one; and what is reported by its name.

    Raises:
        JpegPreprocError: A metric fails, or the metrics report neither an mAP nor an mIoU.
        AnnotationError: There is no ground truth to compare with.
    """
    with metric_errors_named(evaluator.metrics, files):
        # Before the metrics forget what they have collected.
        drawn = {"mIoU": _iou(evaluator)}
        by_class = _class_ious(evaluator)
    results: dict[str, float] = {}
    for metric in evaluator.metrics:
        with metric_errors_named([metric], files):
            own, found = _own_results(metric, images)
        drawn |= {f"{kind}_mAP": _coco_figure(metric, kind, ap) for kind, ap in found.items()}
        results |= own
    by_name = {key.rsplit("/", 1)[-1]: value for key, value in results.items()}
    figures: dict[str, Figure] = {}
    for key, name, factor in _KNOWN:
        if key not in by_name or name in figures:
            continue
        if by_name[key] < 0:
            raise AnnotationError("the images evaluated have no ground truth objects at all")
        exact = drawn.get(key)
        if exact is None:
            figures[name] = Figure(name, by_name[key] * factor, None)
        elif key == "mIoU":
            figures[name] = replace(exact, value=by_name[key] * factor)
        else:
            figures[name] = exact
    if figures:
        return list(figures.values()), results | by_class
    raise JpegPreprocError(
        f"the config's metric reports {', '.join(results) or 'nothing'}; evaluation needs "
        "bbox_mAP, segm_mAP, mAP or mIoU: set test_evaluator to CocoMetric(metric='bbox'), "
        "VOCMetric or IoUMetric, with format_only=False"
    )


def _own_results(metric: Any, images: int) -> tuple[dict[str, float], dict[Kind, CocoAp]]:
    """Return what one metric reports, and AP, unrounded, where its detections give the same."""
    own = {key: float(number) for key, number in _report(metric, images).items()}
    if not getattr(metric, "outfile_prefix", None):
        return own, {}
    found = {kind: _coco_ap(metric, kind) for kind in _kinds(metric)}
    if is_plain_coco(metric):
        prefix = f"{metric.prefix}/" if metric.prefix else ""
        parts = {key: value for ap in found.values() for key, value in ap.parts.items()}
        own = {f"{prefix}{key}": round(value, 3) for key, value in parts.items()}
    # A subclass may count differently; then its own figure stands.
    named = {key.rsplit("/", 1)[-1]: value for key, value in own.items()}
    same = {
        kind: ap
        for kind, ap in found.items()
        if abs(ap.mean - named.get(f"{kind}_mAP", ap.mean)) < 6e-4
    }
    return own, same


def keep_detections(evaluator: Evaluator, prefix: Path) -> None:
    """Let a ``CocoMetric`` write what was found, in COCO's results format.

    Boxes are written to ``PREFIX.bbox.json``, masks to ``PREFIX.segm.json``. A ``CocoMetric``
    without options of its own then only writes: :func:`evaluate` compares the detections with the
    ground truth as the metric would have done, so that COCO's evaluation, which takes long, runs
    once instead of twice.
    """
    for metric in evaluator.metrics:
        if _kinds(metric) and hasattr(metric, "outfile_prefix"):
            prefix.parent.mkdir(parents=True, exist_ok=True)
            metric.outfile_prefix = str(prefix)
            if is_plain_coco(metric):
                metric.format_only = True


def is_plain_coco(metric: Any) -> bool:
    """Tell whether a metric is ``CocoMetric`` of boxes or masks, at COCO's thresholds alone."""
    return (
        transform_name(metric) == "CocoMetric"
        and len(_kinds(metric)) == len(metric.metrics)
        and not metric.classwise
        and metric.metric_items is None
        and np.array_equal(metric.iou_thrs, np.linspace(0.5, 0.95, 10))
    )


def _kinds(metric: Any) -> list[Kind]:
    """Return which AP a metric of COCO's kind computes, boxes first; none of other metrics."""
    return [kind for kind in AP_NAMES if kind in getattr(metric, "metrics", ())]


def check_masks(evaluator: Evaluator, samples: Sequence[Any]) -> None:
    """Check that a model gives the masks that a metric is to compare.

    Args:
        evaluator: The evaluator.
        samples: What the model's ``test_step`` returned of the first images.

    Raises:
        JpegPreprocError: It gives none.
    """
    wanting = [metric for metric in evaluator.metrics if "segm" in _kinds(metric)]
    found = (sample.get("pred_instances") for sample in samples)
    if wanting and any(one is None or "masks" not in one for one in found):
        raise JpegPreprocError(
            f"{transform_name(wanting[0])} of test_evaluator compares masks (metric='segm'), and "
            "the model gives none; take a model with a mask head, or set metric='bbox'"
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


def _iou(evaluator: Evaluator) -> Figure | None:
    """Return mIoU from what ``IoUMetric`` collected; ``None`` for other metrics."""
    areas = _class_areas(evaluator)
    if areas is None:
        return None
    intersect, union, *_ = areas
    return iou_figure(intersect, union, (evaluator.dataset_meta or {}).get("classes") or ())


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


def _coco_ap(metric: Any, kind: Kind) -> CocoAp:
    """Return AP from the detections a ``CocoMetric`` wrote.

    It is over the metric's own ground truth, images, categories and thresholds.
    """
    written = Path(f"{metric.outfile_prefix}.{kind}.json").read_text(encoding="utf-8")
    return coco_ap(
        metric._coco_api,  # no public name; mmdet keeps it from the first version on
        json.loads(written),
        metric.cat_ids,
        metric.img_ids,
        metric.iou_thrs,
        metric.proposal_nums,
        kind,
    )


def _coco_figure(metric: Any, kind: Kind, found: CocoAp) -> Figure:
    names = {number: str(one["name"]) for number, one in metric._coco_api.cats.items()}
    return coco_figure(found, kind, names)
