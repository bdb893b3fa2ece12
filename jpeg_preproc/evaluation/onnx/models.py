"""``OnnxDetector``, ``OnnxSegmentor``, ``OnnxClassifier``: an image in; boxes or labels out."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Generic, TypeVar

import numpy as np
import torch

from jpeg_preproc.errors import ModelError
from jpeg_preproc.evaluation.onnx.decode import Candidates
from jpeg_preproc.evaluation.onnx.inputs import Fit, InputSettings, make_input
from jpeg_preproc.evaluation.onnx.session import OnnxSession
from jpeg_preproc.evaluation.onnx.settings import (
    ClassifierSettings,
    DetectorSettings,
    SegmentorSettings,
)


@dataclass(frozen=True, eq=False)
class Boxes:
    """What a detector found in an image, best first.

    Attributes:
        boxes: Left, top, right, bottom in the image's pixels, (K, 4); they may reach beyond it.
        scores: Score of each box, (K,).
        labels: Index of each box's class among the model's, (K,).
    """

    boxes: np.ndarray
    scores: np.ndarray
    labels: np.ndarray


Settings = TypeVar("Settings", DetectorSettings, SegmentorSettings, ClassifierSettings)


class _OnnxModel(Generic[Settings]):
    """A session with the settings of its input and output."""

    def __init__(
        self, path: str | os.PathLike[str], settings: Settings, device: str = "cpu"
    ) -> None:
        self.path = Path(path)
        self.settings: Settings = settings
        self.session = OnnxSession(path, settings.input, device)
        self._input = self._complete(settings.input)

    def _complete(self, settings: InputSettings) -> InputSettings:
        """Take the input size from a model that has one, and see to it that inputs have it."""
        own = self.session.size
        if own is None:
            if settings.input_size is None and settings.shorter_side is not None:
                raise ModelError(
                    f"{self.path} takes any size; set model.input_size to what is to be cut out "
                    "of images, or leave shorter_side out"
                )
            if settings.input_size is None and not settings.keep_ratio:
                raise ModelError(
                    f"{self.path} takes any size; set model.input_size to what images are to be "
                    "scaled to, or keep_ratio=True"
                )
            return settings
        uneven = settings.keep_ratio and (settings.pad == "none" or settings.pad_multiple)
        if settings.input_size not in (None, own) or settings.edges or uneven:
            raise ModelError(
                f"{self.path} takes images of {own} (H, W) alone; set model.input_size to that or "
                "leave it out, without edges and pad_multiple, and set pad='corner' or 'centre', "
                "or keep_ratio=False"
            )
        return replace(settings, input_size=own)

    def _run(self, image: np.ndarray) -> tuple[dict[str, np.ndarray], Fit]:
        batch, where = make_input(image, self._input, self.session.layout, self.session.dtype)
        return self.session.run(batch), where

    @contextmanager
    def _named(self) -> Iterator[None]:
        """Let errors of decoding begin with the model's path."""
        try:
            yield
        except ModelError as error:
            raise ModelError(f"{self.path}: {error}") from error


class OnnxDetector(_OnnxModel[DetectorSettings]):
    """A detector as an ONNX file.

    Args:
        path: The file.
        settings: What it takes and gives; see
            :func:`~jpeg_preproc.evaluation.onnx.settings.model_settings`.
        device: ``'cpu'``, or ``'cuda'`` with onnxruntime-gpu.

    Raises:
        ModelError: It cannot be loaded, or its inputs are not those of the settings.
    """

    def __call__(self, image: np.ndarray) -> Boxes:
        """Return the boxes in an image.

        Args:
            image: Image to look at: uint8, (H, W, 3) RGB or (H, W) grey.

        Raises:
            ModelError: The model cannot take the image, or its outputs are not as ``decode`` says.
        """
        outputs, where = self._run(image)
        with self._named():
            found = self.settings.decode(outputs, where.size, len(self.settings.classes))
        kept = self._select(found)
        return Boxes(where.to_image(found.boxes[kept]), found.scores[kept], found.labels[kept])

    def _select(self, found: Candidates) -> np.ndarray:
        """Return the indices of the boxes that stay, best first."""
        select = self.settings.select
        good = (found.scores >= select.score_threshold) & (found.labels >= 0)
        kept = np.flatnonzero(good & np.isfinite(found.boxes).all(axis=1))
        kept = kept[np.argsort(-found.scores[kept], kind="stable")]
        if select.nms is not None:
            kept = kept[_nms(found, kept, select.nms.iou)]
        return kept[: select.max_detections]


class OnnxSegmentor(_OnnxModel[SegmentorSettings]):
    """A semantic segmenter as an ONNX file.

    Args:
        path: The file.
        settings: What it takes and gives; see
            :func:`~jpeg_preproc.evaluation.onnx.settings.model_settings`.
        device: ``'cpu'``, or ``'cuda'`` with onnxruntime-gpu.

    Raises:
        ModelError: It cannot be loaded, or its inputs are not those of the settings.
    """

    def __call__(self, image: np.ndarray) -> np.ndarray:
        """Return the index of each pixel's class, (H, W) int64.

        Args:
            image: Image to look at: uint8, (H, W, 3) RGB or (H, W) grey.

        Raises:
            ModelError: The model cannot take the image, or its output is not as ``decode`` says.
        """
        outputs, where = self._run(image)
        with self._named():
            return self.settings.decode(
                outputs, where, len(self.settings.classes), self.session.layout
            )


class OnnxClassifier(_OnnxModel[ClassifierSettings]):
    """A classifier as an ONNX file.

    Args:
        path: The file.
        settings: What it takes and gives; see
            :func:`~jpeg_preproc.evaluation.onnx.settings.model_settings`.
        device: ``'cpu'``, or ``'cuda'`` with onnxruntime-gpu.

    Raises:
        ModelError: It cannot be loaded, or its inputs are not those of the settings.
    """

    def __call__(self, image: np.ndarray) -> int:
        """Return the index of the image's class among the model's.

        Args:
            image: Image to look at: uint8, (H, W, 3) RGB or (H, W) grey.

        Raises:
            ModelError: The model cannot take the image, or its output is not as ``decode`` says.
        """
        outputs, _ = self._run(image)
        with self._named():
            return self.settings.decode(outputs, len(self.settings.classes or ()))


def _nms(found: Candidates, chosen: np.ndarray, iou: float) -> np.ndarray:
    """Return which of the chosen boxes outlive those of their own class, best first."""
    try:
        from torchvision.ops import batched_nms
    except ImportError as error:
        raise ModelError(
            f"nms needs torchvision ({error}); pip install 'jpeg_preproc[onnx]'"
        ) from error
    columns = (found.boxes, found.scores, found.labels)
    boxes, scores, labels = (torch.from_numpy(column[chosen]) for column in columns)
    return batched_nms(boxes, scores, labels, iou).numpy()
