"""What the outputs of deployed models mean: boxes, a label for each pixel, or one for the image."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch.nn import functional as F

from jpeg_preproc.errors import ModelError
from jpeg_preproc.evaluation.onnx.inputs import Fit, Size

Outputs = Mapping[str, np.ndarray]

_BOX_FORMATS = ("xyxy", "cxcywh", "xywh")


@dataclass(frozen=True, eq=False)
class Candidates:
    """Boxes that a model proposes.

    Attributes:
        boxes: Left, top, right, bottom in pixels of the model's input, (K, 4).
        scores: Score of each box, (K,).
        labels: Index of each box's class, (K,); negative for what fills an output of fixed length.
    """

    boxes: np.ndarray
    scores: np.ndarray
    labels: np.ndarray


@dataclass(frozen=True)
class YoloxDecoding:
    """YOLOX's grid (Ge et al., "YOLOX: Exceeding YOLO Series in 2021"; its ``demo_postprocess``).

    One output (1, cells, 5 + classes) over the cells of all strides, row by row: centre and
    logarithm of the size, in strides from the cell's corner, objectness and class scores. A box
    has the label of its best class, and the score of that times the objectness.

    Attributes:
        output: Its name; may be left out where the model has one output.
        strides: Pixels of the input to a cell, in the order of the output.
        decoded: Whether the model gives centre and size in pixels already.
        sigmoid: Whether objectness and scores still lack their sigmoid.
    """

    output: str | None = None
    strides: tuple[int, ...] = (8, 16, 32)
    decoded: bool = False
    sigmoid: bool = False

    def __call__(self, outputs: Outputs, size: Size, classes: int) -> Candidates:
        """Decode the outputs for an input of ``size`` (height, width).

        Raises:
            ModelError: They have another shape than the input and the classes ask for.
        """
        raw = _pick(outputs, self.output, "output")
        grids = [(size[0] // stride, size[1] // stride) for stride in self.strides]
        cells = sum(rows * columns for rows, columns in grids)
        if raw.shape not in ((1, cells, 5 + classes), (cells, 5 + classes)):
            raise ModelError(
                f"decode 'yolox' needs an output (1, {cells}, {5 + classes}) for an input of "
                f"{size} (H, W), strides {self.strides} and {classes} classes, and gets "
                f"{_listed(outputs)}; mend input_size, strides, classes or decode"
            )
        values = raw.reshape(cells, -1).astype(np.float64)
        confidence = values[:, 4:]
        if self.sigmoid:
            confidence = torch.from_numpy(confidence).sigmoid().numpy()
        elif confidence.min() < -1e-3 or confidence.max() > 1.001:
            raise ModelError(
                f"the scores lie in {confidence.min():.3g} to {confidence.max():.3g}, not in 0 to "
                "1; if the model gives them without their sigmoid, set sigmoid=True in decode"
            )
        centre, extent = values[:, :2], values[:, 2:4]
        if not self.decoded:
            corner = np.concatenate([_cells(*grid) for grid in grids])
            stride = np.repeat(self.strides, [rows * columns for rows, columns in grids])[:, None]
            with np.errstate(over="ignore"):
                centre, extent = (centre + corner) * stride, np.exp(extent) * stride
        labels = confidence[:, 1:].argmax(axis=1)
        scores = confidence[:, 0] * confidence[:, 1:].max(axis=1)
        return Candidates(np.hstack([centre - extent / 2, centre + extent / 2]), scores, labels)


@dataclass(frozen=True)
class GflDecoding:
    """Distances to the four sides as distributions: GFL's heads, as PicoDet and NanoDet have them.

    Li et al., "Generalized Focal Loss", NeurIPS 2020, eq. 5 and 6. Of each stride one output of
    class scores (1, cells, classes) and one of distributions (1, cells, 4 · bins), without their
    softmax, for left, top, right and bottom; found by their shapes.

    Attributes:
        strides: Pixels of the input to a cell.
        bins: Number of distances 0, 1, … in strides that a side is distributed over.
        offset: Where in its cell a distance is measured from, 0-1: 0.5 for PicoDet.
        sigmoid: Whether scores still lack their sigmoid.
    """

    strides: tuple[int, ...] = (8, 16, 32, 64)
    bins: int = 8
    offset: float = 0.5
    sigmoid: bool = False

    def __call__(self, outputs: Outputs, size: Size, classes: int) -> Candidates:
        """Decode the outputs for an input of ``size`` (height, width).

        Raises:
            ModelError: They have other shapes than the input and the classes ask for.
        """
        boxes, scores = [], []
        for stride in self.strides:
            rows, columns = -(-size[0] // stride), -(-size[1] // stride)
            score = self._of(outputs, rows * columns, classes, stride)
            raw = self._of(outputs, rows * columns, 4 * self.bins, stride)
            shares = torch.from_numpy(raw.reshape(-1, 4, self.bins)).softmax(dim=2).numpy()
            distances = shares @ np.arange(self.bins) * stride  # (cells, 4)
            centre = (_cells(rows, columns) + self.offset) * stride
            boxes.append(np.hstack([centre - distances[:, :2], centre + distances[:, 2:]]))
            scores.append(torch.from_numpy(score).sigmoid().numpy() if self.sigmoid else score)
        found = np.concatenate(scores)
        if found.min() < -1e-3 or found.max() > 1.001:
            raise ModelError(
                f"the scores lie in {found.min():.3g} to {found.max():.3g}, not in 0 to 1; if the "
                "model gives them without their sigmoid, set sigmoid=True in decode"
            )
        return Candidates(np.concatenate(boxes), found.max(axis=1), found.argmax(axis=1))

    def _of(self, outputs: Outputs, cells: int, values: int, stride: int) -> np.ndarray:
        """Return the one output (1, cells, values) as (cells, values) of float64."""
        fitting = [array for array in outputs.values() if array.shape == (1, cells, values)]
        if len(fitting) != 1:
            raise ModelError(
                f"decode 'gfl' needs one output (1, {cells}, {values}) for stride {stride}, and "
                f"gets {_listed(outputs)}; mend input_size, strides, bins or classes"
            )
        return fitting[0][0].astype(np.float64)


@dataclass(frozen=True)
class BoxesDecoding:
    """Boxes that need nothing more: NMS was done in the model, or is not needed.

    Either three outputs (1, K, 4), (1, K) and (1, K), or ``dets``: (1, K, 5) with the score last,
    beside labels (1, K), or (1, K, 6) with the label last. The 1 may be missing.

    Attributes:
        boxes: Name of the output with the boxes. This and the next three may be left out where the
            model calls its outputs by the names of these settings.
        scores: Name of the output with the scores.
        labels: Name of the output with the labels.
        dets: Name of the output with boxes and scores, or with labels too.
        box_format: ``'xyxy'``, ``'cxcywh'`` or ``'xywh'`` (left, top, width, height).
        normalised: Whether coordinates are shares of the input's width and height, not pixels.
    """

    boxes: str | None = None
    scores: str | None = None
    labels: str | None = None
    dets: str | None = None
    box_format: str = "xyxy"
    normalised: bool = False

    def __post_init__(self) -> None:
        if self.box_format not in _BOX_FORMATS:
            raise ModelError(
                f"decode.box_format is {self.box_format!r}; give one of {', '.join(_BOX_FORMATS)}"
            )
        if self.dets and (self.boxes or self.scores):
            raise ModelError("decode names dets, and boxes or scores too; give one or the other")

    def __call__(self, outputs: Outputs, size: Size, classes: int) -> Candidates:
        """Decode the outputs for an input of ``size`` (height, width).

        Raises:
            ModelError: An output is missing or has another shape, or a label has no class.
        """
        boxes, scores, labels = self._split(outputs)
        if boxes.ndim != 2 or boxes.shape[1] != 4 or not len(boxes) == len(scores) == len(labels):
            raise ModelError(
                "decode 'boxes' needs boxes (1, K, 4), scores (1, K) and labels (1, K), or dets "
                f"(1, K, 5) and labels, or dets (1, K, 6), and gets {_listed(outputs)}; set their "
                "names in decode, or export the model with its post-processing"
            )
        if len(labels) and labels.max() >= classes:
            raise ModelError(
                f"the model gives label {int(labels.max())}, and model.classes has {classes} "
                "names, from 0; name all, with None for those that have no category"
            )
        boxes = boxes.astype(np.float64)
        if self.normalised:
            boxes *= np.array([*size[::-1]] * 2)
        first, second = boxes[:, :2], boxes[:, 2:]
        if self.box_format == "cxcywh":
            first, second = first - second / 2, first + second / 2
        elif self.box_format == "xywh":
            second = first + second
        return Candidates(np.hstack([first, second]), scores.astype(np.float64), labels)

    def _split(self, outputs: Outputs) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return boxes, scores and labels without their batch dimension."""
        plain = not (self.boxes or self.scores or self.labels)
        only = len(outputs) == 1 and plain
        if self.dets or (plain and "dets" in outputs) or only:
            name = self.dets or ("dets" if "dets" in outputs else None)
            dets = _unbatched(_pick(outputs, name, "dets"), 2)
            if dets.ndim == 2 and dets.shape[1] == 6:
                return dets[:, :4], dets[:, 4], dets[:, 5].round().astype(np.int64)
            if dets.ndim == 2 and dets.shape[1] == 5 and (self.labels or "labels") in outputs:
                labels = _unbatched(outputs[self.labels or "labels"], 1)
                return dets[:, :4], dets[:, 4], labels.round().astype(np.int64)
            return dets, np.empty(0), np.empty(0)  # refused by the caller for its shape
        return (
            _unbatched(_pick(outputs, self.boxes or "boxes", "boxes"), 2),
            _unbatched(_pick(outputs, self.scores or "scores", "scores"), 1),
            _unbatched(_pick(outputs, self.labels or "labels", "labels"), 1)
            .round()
            .astype(np.int64),
        )


@dataclass(frozen=True)
class LogitsDecoding:
    """A segmenter's output: (1, classes, h, w) logits, or (1, h, w) or (1, 1, h, w) labels.

    It may be smaller than the input. Logits are scaled bilinearly to the input, cut to the image's
    part of it, scaled to the image, and give each pixel its highest class, as mmseg does; labels
    go the same way, by the nearest.

    Attributes:
        output: Its name; may be left out where the model has one output.
        align_corners: How logits are scaled; as the network was trained.
    """

    output: str | None = None
    align_corners: bool = False

    def __call__(self, outputs: Outputs, where: Fit, classes: int, layout: str) -> np.ndarray:
        """Return the class of each pixel of the image, (H, W) int64.

        Args:
            outputs: Outputs of the model, by name.
            where: The image lies in the input.
            classes: Number of the model's classes.
            layout: Layout of the model; logits are (1, h, w, classes) with ``'NHWC'``.

        Raises:
            ModelError: They have another shape than the classes ask for.
        """
        raw = _pick(outputs, self.output, "output")
        if raw.ndim == 4 and layout == "NHWC":
            raw = raw.transpose(0, 3, 1, 2)
        if raw.ndim == 4 and raw.shape[:2] == (1, classes) and classes > 1:
            return self._scaled(raw, where).argmax(1)[0].numpy()
        whole = raw.ndim == 3 or np.issubdtype(raw.dtype, np.integer)
        if raw.ndim == 4 and raw.shape[1] == 1 and whole:
            raw = raw[:, 0]
        if raw.ndim != 3 or len(raw) != 1:
            raise ModelError(
                f"decode 'logits' needs logits (1, {classes}, h, w) or labels (1, h, w), and gets "
                f"{_listed(outputs)}; name the output in decode, or mend model.classes"
            )
        labels = self._scaled(raw[None], where, nearest=True)[0, 0].round().long().numpy()
        if labels.min() < 0 or labels.max() >= classes:
            raise ModelError(
                f"the model gives labels {labels.min()} to {labels.max()}, and model.classes has "
                f"{classes} names, from 0"
            )
        return labels

    def _scaled(self, raw: np.ndarray, where: Fit, nearest: bool = False) -> torch.Tensor:
        """Return (1, C, h, w) values scaled to the input, cut, and scaled to the image."""

        def scale(values: torch.Tensor, size: Size) -> torch.Tensor:
            if values.shape[-2:] == size:
                return values
            if nearest:
                return F.interpolate(values, size, mode="nearest-exact")
            return F.interpolate(values, size, mode="bilinear", align_corners=self.align_corners)

        (top, left), (height, width) = where.offset, where.resized
        filled = scale(torch.from_numpy(np.ascontiguousarray(raw)).float(), where.size)
        return scale(filled[..., top : top + height, left : left + width], where.image)


@dataclass(frozen=True)
class ScoresDecoding:
    """A score for each class, (1, classes), logits or probabilities: the image is the highest's.

    Attributes:
        output: Its name; may be left out where the model has one output.
    """

    output: str | None = None

    def __call__(self, outputs: Outputs, classes: int) -> int:
        """Return the index of the image's class.

        Raises:
            ModelError: They have another shape than the classes ask for, or one is no number.
        """
        raw = _pick(outputs, self.output, "output")
        scores = raw.ravel()
        if scores.shape != (classes,) or raw.shape[-1:] != (classes,):
            raise ModelError(
                f"decode 'scores' needs an output (1, {classes}), a score for each of the "
                f"{classes} classes, and gets {_listed(outputs)}; name the output in decode, or "
                "name the model's classes in model.classes, in its order"
            )
        if np.isnan(scores).any():
            raise ModelError("the model gives scores that are no numbers (NaN)")
        return int(scores.argmax())


Decoding = YoloxDecoding | GflDecoding | BoxesDecoding | LogitsDecoding | ScoresDecoding

DETECTOR_DECODINGS: dict[str, type[Decoding]] = {
    "yolox": YoloxDecoding,
    "gfl": GflDecoding,
    "boxes": BoxesDecoding,
}
SEGMENTOR_DECODINGS: dict[str, type[Decoding]] = {"logits": LogitsDecoding}
CLASSIFIER_DECODINGS: dict[str, type[Decoding]] = {"scores": ScoresDecoding}


def _cells(rows: int, columns: int) -> np.ndarray:
    """Return x and y of each cell's corner, row by row, (rows * columns, 2)."""
    y, x = np.mgrid[:rows, :columns]
    return np.stack([x.ravel(), y.ravel()], axis=1)


def _pick(outputs: Outputs, name: str | None, role: str) -> np.ndarray:
    """Return the output of a name, or the only one."""
    if name is None and len(outputs) == 1:
        return next(iter(outputs.values()))
    if name is None or name not in outputs:
        asked = "does not name it" if name is None else f"asks for {name!r}"
        raise ModelError(
            f"which output is {role!r} is not clear: decode {asked}, and the model has "
            f"{_listed(outputs)}; set decode=dict(type=..., {role}='NAME')"
        )
    return outputs[name]


def _unbatched(array: np.ndarray, dimensions: int) -> np.ndarray:
    """Return an array without a first dimension of 1, if it has one more than it should."""
    return array[0] if array.ndim == dimensions + 1 and len(array) == 1 else array


def _listed(outputs: Outputs) -> str:
    """Return names and shapes of outputs, for messages."""
    return ", ".join(f"{name!r} {tuple(array.shape)}" for name, array in outputs.items())
