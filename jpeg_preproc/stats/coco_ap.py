"""AP of boxes and of instance masks, and its bootstrap replicates, by pycocotools."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from jpeg_preproc.errors import JpegPreprocError
from jpeg_preproc.stats.average_precision import (
    CategoryDetections,
    category_precisions,
    mean_precision,
)
from jpeg_preproc.stats.bootstrap import resample_counts

#: What is compared: boxes, or instance masks as RLE. COCO's names of both.
Kind = Literal["bbox", "segm"]

# The detections that COCO counts in an image and category, and its names for objects of all sizes,
# small, medium and large ones, in its order.
_MAX_DETECTIONS = 100
_AREAS = ("all", "s", "m", "l")
#: What the sizes are called in :attr:`CocoAp.by_size`.
SIZES = ("small", "medium", "large")
_DIGITS = 4
_NO_OBJECTS = np.empty(0)

#: A figure in percent, and then that of each of the bootstrap's draws, NaN of one without an
#: object, rounded to four digits.
PartAp = tuple[float, ...]


@dataclass(frozen=True)
class CocoAp:
    """AP over IoU 0.50:0.95, or the thresholds asked for.

    Attributes:
        mean: AP over all objects, as a fraction; -1 where there is none.
        parts: ``bbox_mAP``, ``bbox_mAP_50``, ``bbox_mAP_75``, and ``bbox_mAP_s, _m, _l`` by the
            size of objects, as fractions, -1 where there is none; of masks ``segm_mAP`` and so on.
        replicates: ``mean`` of the bootstrap's draws, in percent; ``None`` where it is -1.
        by_category: AP of each category that has an object, by its id.
        by_size: AP of ``small``, ``medium`` and ``large`` objects, where there are any.
    """

    mean: float
    parts: dict[str, float]
    replicates: tuple[float, ...] | None
    by_category: dict[int, PartAp] = field(default_factory=dict)
    by_size: dict[str, PartAp] = field(default_factory=dict)


def coco_ap(
    truth: Any,
    detections: Sequence[Mapping[str, Any]],
    category_ids: Sequence[int],
    image_ids: Sequence[int],
    iou_thresholds: Sequence[float] | np.ndarray | None = None,
    max_detections: Sequence[int] = (1, 10, _MAX_DETECTIONS),
    kind: Kind = "bbox",
) -> CocoAp:
    """Compare detections with the ground truth, as COCO does.

    Args:
        truth: The ground truth, as ``COCO`` of pycocotools.
        detections: Detections in COCO's results format: ``image_id, category_id, score`` and
            ``bbox``, which is left, top, width, height in pixels, or ``segmentation``, an RLE. A
            mask is small or large by its own area, whatever its box is.
        category_ids: Ids of the categories that count.
        image_ids: Ids of the images that count.
        iou_thresholds: Thresholds of IoU, ascending; COCO's 0.50, 0.55, ..., 0.95 if not given.
        max_detections: Most detections of one image and category that count, ascending, as COCO
            lists them; AP is of 100 if that is among them, else of the last.
        kind: What is compared.

    Raises:
        JpegPreprocError: pycocotools is not installed.
    """
    given = (truth, detections, category_ids, image_ids, iou_thresholds, max_detections, kind)
    return ap_of(matched(*given))


def matched(
    truth: Any,
    detections: Sequence[Mapping[str, Any]],
    category_ids: Sequence[int],
    image_ids: Sequence[int],
    iou_thresholds: Sequence[float] | np.ndarray | None = None,
    max_detections: Sequence[int] = (1, 10, _MAX_DETECTIONS),
    kind: Kind = "bbox",
) -> Any:
    """Return a ``COCOeval`` that has evaluated and accumulated; see :func:`coco_ap`."""
    evaluation = _coco_eval()(truth, iouType=kind)
    evaluation.params.catIds = list(category_ids)
    evaluation.params.imgIds = list(image_ids)
    # Detections behind the last that counts change nothing, and each number would take its time.
    allowed = list(max_detections)
    counted = _MAX_DETECTIONS if _MAX_DETECTIONS in allowed else allowed[-1]
    evaluation.params.maxDets = [counted]
    if iou_thresholds is not None:
        evaluation.params.iouThrs = np.asarray(iou_thresholds)
    if kind == "segm":  # pycocotools takes the area of a box where there is one
        detections = [
            {key: value for key, value in one.items() if key != "bbox"} for one in detections
        ]
    with contextlib.redirect_stdout(io.StringIO()):  # pycocotools prints what it does
        # Without any detection loadRes fails, and an empty COCO finds nothing as well.
        evaluation.cocoDt = truth.loadRes(list(detections)) if detections else type(truth)()
        evaluation.evaluate()
        evaluation.accumulate()
    return evaluation


def ap_of(evaluation: Any) -> CocoAp:
    """Return AP of what :func:`matched` has returned, with the draws."""
    kind = evaluation.params.iouType
    precision = evaluation.eval["precision"][..., 0]  # (iou, recall, category, area)
    mean = _mean(precision[..., 0])
    parts = {f"{kind}_mAP": mean}
    for percent in (50, 75):
        at = np.isclose(evaluation.params.iouThrs, percent / 100)
        if at.any():
            parts[f"{kind}_mAP_{percent}"] = _mean(precision[at][..., 0])
    for index, area in enumerate(_AREAS[1:], start=1):
        parts[f"{kind}_mAP_{area}"] = _mean(precision[..., index])
    if mean < 0:
        return CocoAp(mean, parts, None)
    counts = resample_counts(len(evaluation.params.imgIds))
    recalls = np.asarray(evaluation.params.recThrs)
    drawn = [
        category_precisions(by_category(evaluation, area), counts, recalls)
        for area in range(len(_AREAS))
    ]  # (categories, R) each
    of_categories = zip(evaluation.params.catIds, drawn[0], strict=True)
    of_sizes = zip(SIZES, _AREAS[1:], drawn[1:], strict=True)
    return CocoAp(
        mean,
        parts,
        tuple(mean_precision(drawn[0]).tolist()),
        {
            int(number): _part(_mean(precision[:, :, index, 0]), own)
            for index, (number, own) in enumerate(of_categories)
            if (precision[:, :, index, 0] > -1).any()
        },
        {
            name: _part(parts[f"{kind}_mAP_{area}"], mean_precision(own))
            for name, area, own in of_sizes
            if parts[f"{kind}_mAP_{area}"] >= 0
        },
    )


def _part(value: float, drawn: np.ndarray) -> PartAp:
    """Return a fraction in percent, and the draws."""
    return (100 * value, *np.round(drawn, _DIGITS).tolist())


def _coco_eval() -> Any:
    """Return pycocotools' ``COCOeval``, made quick where there is nothing to match.

    It is imported here, because a segmenter's user needs none. Most pairs of an image and a
    category have a few detections and no object; ``COCOeval`` takes as long over them as over the
    others.
    """
    try:
        from pycocotools.cocoeval import COCOeval
    except ImportError as error:
        raise JpegPreprocError(
            f"AP needs pycocotools ({error}); pip install 'jpeg_preproc[onnx]', or pycocotools"
        ) from error

    class QuickEval(COCOeval):
        def computeIoU(self, imgId: int, catId: int) -> Any:  # noqa: N802, N803
            return super().computeIoU(imgId, catId) if self._gts[imgId, catId] else []

        def evaluateImg(self, imgId: int, catId: int, aRng: Any, maxDet: int) -> Any:  # noqa: N802, N803
            found = self._dts[imgId, catId]
            if self._gts[imgId, catId] or not found:
                return super().evaluateImg(imgId, catId, aRng, maxDet)
            best = sorted(found, key=lambda one: -one["score"])[:maxDet]
            outside = [not aRng[0] <= one["area"] <= aRng[1] for one in best]
            thresholds = len(self.params.iouThrs)
            return {
                "dtIds": [one["id"] for one in best],
                "dtMatches": np.zeros((thresholds, len(best))),
                "dtScores": [one["score"] for one in best],
                "dtIgnore": np.array([outside] * thresholds),
                "gtIgnore": _NO_OBJECTS,
            }

    return QuickEval


def _mean(precision: np.ndarray) -> float:
    """Return the mean of those entries that have an object; -1 if none has."""
    known = precision[precision > -1]
    return float(known.mean()) if known.size else -1.0


def by_category(evaluation: Any, area: int = 0) -> list[CategoryDetections]:
    """Return the matches of a ``COCOeval`` that has evaluated.

    Args:
        evaluation: The evaluation.
        area: Place of the size of objects among those evaluated; 0 for all sizes.
    """
    images, areas = len(evaluation.params.imgIds), len(evaluation.params.areaRng)
    nothing = np.empty((len(evaluation.params.iouThrs), 0), bool)
    categories = []
    # The images of one size come one after the other, then those of the next.
    for first in range(area * images, len(evaluation.evalImgs), areas * images):
        # A pair without boxes of either kind is None.
        pairs = [
            (index, pair)
            for index, pair in enumerate(evaluation.evalImgs[first : first + images])
            if pair is not None
        ]
        matched = [nothing, *(pair["dtMatches"] for _, pair in pairs)]
        ignored = [nothing, *(pair["dtIgnore"] for _, pair in pairs)]
        match, ignore = np.concatenate(matched, 1) > 0, np.concatenate(ignored, 1) > 0
        objects = np.zeros(images, np.int64)
        for index, pair in pairs:
            if len(pair["gtIgnore"]):
                objects[index] = np.count_nonzero(pair["gtIgnore"] == 0)
        categories.append(
            CategoryDetections(
                scores=np.array([score for _, pair in pairs for score in pair["dtScores"]]),
                image=np.array([at for at, pair in pairs for _ in pair["dtScores"]], int),
                hits=match & ~ignore,
                misses=~match & ~ignore,
                objects=objects,
            )
        )
    return categories
