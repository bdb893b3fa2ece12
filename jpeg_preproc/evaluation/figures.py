"""The figures of models' own metrics, with those of every draw, and of classes and sizes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from jpeg_preproc.errors import AnnotationError
from jpeg_preproc.evaluation.task import Figure
from jpeg_preproc.stats.bootstrap import class_ious, mean_of_known, resample_counts
from jpeg_preproc.stats.coco_ap import CocoAp, Kind
from jpeg_preproc.stats.per_image import mean_of_draws

#: What AP of boxes and of instance masks is called.
AP_NAMES: dict[Kind, str] = {"bbox": "mAP", "segm": "mask mAP"}
#: What the name of a part begins with; see :class:`~jpeg_preproc.evaluation.task.Figure`.
OF_CLASS, OF_SIZE = "class/", "size/"

#: What the share of images is called whose class a classifier ranks first.
TOP1 = "top-1"

_DIGITS = 4
# Draws of more classes than this would be larger than all else that is stored.
_MOST_DRAWN = 200


def coco_figure(found: CocoAp, kind: Kind, names: Mapping[int, str]) -> Figure:
    """Return mAP, or mask mAP, in percentage points.

    Args:
        found: What was compared.
        kind: Which of the two it is.
        names: Name of each category by its id.

    Raises:
        AnnotationError: There is no ground truth to compare with.
    """
    if found.mean < 0:
        raise AnnotationError("the images evaluated have no ground truth objects at all")
    parts = {f"{OF_CLASS}{names[number]}": one for number, one in found.by_category.items()}
    parts |= {f"{OF_SIZE}{name}": one for name, one in found.by_size.items()}
    return Figure(AP_NAMES[kind], 100 * found.mean, found.replicates, parts)


def iou_figure(intersect: np.ndarray, union: np.ndarray, names: Sequence[str]) -> Figure:
    """Return mIoU in percent.

    Args:
        intersect: Pixels of each image that are a class and were found so, (I, classes).
        union: Pixels that are the class or were taken for it, (I, classes).
        names: Name of each class; one without a pixel is no part.

    Raises:
        AnnotationError: No class has a pixel.
    """
    if not union.any():
        raise AnnotationError("the masks evaluated have no pixel of any class")
    (values,) = class_ious(intersect, union, np.ones((1, len(union))))
    drawn = class_ious(intersect, union, resample_counts(len(union)))
    parts = {
        f"{OF_CLASS}{name}": (float(value), *np.round(own, _DIGITS).tolist())
        for name, value, own in zip(names, values, drawn.T, strict=False)
        if not np.isnan(value)
    }
    mean = float(mean_of_known(values, axis=0))
    return Figure("mIoU", mean, tuple(mean_of_known(drawn, axis=1).tolist()), parts)


def top1_figure(labels: Sequence[tuple[int, int]], names: Mapping[int, str]) -> Figure:
    """Return the percentage of images whose class was found, whole and of those of each class.

    The draws of classes are left out where there are more than 200.

    Args:
        labels: Index of the class found in each image, and of its own; at least one image.
        names: Name of each class by its index.
    """
    found, truth = np.array(labels).T
    right, counts = 100.0 * (found == truth), resample_counts(len(truth))
    of_classes = {int(label): np.flatnonzero(truth == label) for label in np.unique(truth)}
    parts = {}
    for label, own in of_classes.items():
        drawn: list[float] = []
        if len(of_classes) <= _MOST_DRAWN:
            drawn = np.round(mean_of_draws(right[own], counts[:, own]), _DIGITS).tolist()
        parts[f"{OF_CLASS}{names[label]}"] = (float(right[own].mean()), *drawn)
    drawn_of_all = mean_of_draws(right, counts)
    return Figure(TOP1, float(right.mean()), tuple(drawn_of_all.tolist()), parts)
