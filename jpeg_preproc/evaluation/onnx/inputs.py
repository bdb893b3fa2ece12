"""An image as a deployed model's input: fitted, padded, normalised; and the way back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch.nn import functional as F

from jpeg_preproc.errors import ModelError

Size = tuple[int, int]

_PADS = ("corner", "centre", "none")
_ORDERS = ("rgb", "bgr")
_LAYOUTS = ("NCHW", "NHWC")


@dataclass(frozen=True)
class InputSettings:
    """How an image becomes the input of a model.

    Attributes:
        channel_order: ``'rgb'`` or ``'bgr'``.
        input_size: Height and width that an image is fitted into; the model's own if it has one.
        edges: Instead of it, for models of any size: the most that the shorter and the longer
            side may have, (800, 1333) for instance.
        shorter_side: Instead of fitting the image in, scale its shorter side to this and cut
            ``input_size`` out of its centre, as classifiers are tested; what lies outside is lost.
        keep_ratio: Scale height and width alike, rather than to ``input_size`` exactly.
        pad: Where an image that keeps its ratio lies in its padding: in the upper left
            ``'corner'``, in the ``'centre'``, or ``'none'``, for models of any size.
        pad_multiple: Pad to a multiple of this rather than to ``input_size``.
        pad_value: Value of the padding before normalisation, 0-255; one number, or one for each
            channel.
        mean: Mean of pixels in 0-255; one number, or one for each channel in the model's order.
        std: What pixels are divided by after ``mean`` is subtracted; one number, or one for each
            channel in the model's order.
        antialias: Whether scaling down blurs first, as Pillow does and OpenCV does not.
        layout: ``'NCHW'`` or ``'NHWC'``; by default what the model's shape says.
        input_name: Name of the model's image input, where it has several inputs.
        extra_inputs: Name and constant value of each other input.

    Raises:
        ModelError: A value that is none of these.
    """

    channel_order: str
    input_size: Size | None = None
    edges: Size | None = None
    shorter_side: int | None = None
    keep_ratio: bool = True
    pad: str = "corner"
    pad_multiple: int | None = None
    pad_value: tuple[float, ...] = (0.0,)
    mean: tuple[float, ...] = (0.0,)
    std: tuple[float, ...] = (1.0,)
    antialias: bool = False
    layout: str | None = None
    input_name: str | None = None
    extra_inputs: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name, known in (("channel_order", _ORDERS), ("pad", _PADS), ("layout", _LAYOUTS)):
            value = getattr(self, name)
            if value not in known and not (name == "layout" and value is None):
                raise ModelError(f"model.{name} is {value!r}; give one of {', '.join(known)}")
        for name in ("input_size", "edges"):
            value = getattr(self, name)
            if value is not None and (len(value) != 2 or min(value) < 1):
                raise ModelError(f"model.{name} is {value!r}; give two numbers of pixels")
        if self.input_size and self.edges:
            raise ModelError("model.input_size and model.edges exclude each other; give one")
        if self.edges and not self.keep_ratio:
            raise ModelError("model.edges keeps the ratio; give input_size with keep_ratio=False")
        if self.shorter_side is not None:
            if self.shorter_side < 1:
                raise ModelError(
                    f"model.shorter_side is {self.shorter_side}; give 256, for instance"
                )
            if self.edges or self.pad_multiple or not self.keep_ratio:
                raise ModelError(
                    "model.shorter_side keeps the ratio and cuts input_size out; take edges, "
                    "pad_multiple and keep_ratio out"
                )
        if self.pad_multiple is not None and self.pad_multiple < 1:
            raise ModelError(f"model.pad_multiple is {self.pad_multiple}; give 32, for instance")
        for name in ("pad_value", "mean", "std"):
            if len(getattr(self, name)) not in (1, 3):
                raise ModelError(f"model.{name} is {getattr(self, name)}; give 1 or 3 numbers")
        if not all(self.std):
            raise ModelError("model.std has a 0, by which pixels cannot be divided")


@dataclass(frozen=True)
class Fit:
    """Where an image lies in the input made of it. All are (height, width), or (top, left).

    Attributes:
        image: Size of the image.
        resized: Size it is scaled to.
        offset: Where it begins in the input; below 0 where it is cut.
        size: Height and width of the input.
    """

    image: Size
    resized: Size
    offset: Size
    size: Size

    def to_image(self, boxes: np.ndarray) -> np.ndarray:
        """Return (K, 4) boxes, left, top, right, bottom in the input, in the image's pixels."""
        offset = np.array([*self.offset[::-1]] * 2, np.float64)
        scale = np.array([*self.resized[::-1]] * 2) / np.array([*self.image[::-1]] * 2)
        return (boxes - offset) / scale


def fit(image: Size, settings: InputSettings) -> Fit:
    """Return how an image of a size (height, width) is fitted into the input.

    >>> fit((300, 400), InputSettings("rgb", input_size=(416, 416)))
    Fit(image=(300, 400), resized=(312, 416), offset=(0, 0), size=(416, 416))
    """
    if settings.shorter_side and settings.input_size:
        return _covered(image, settings.shorter_side, settings.input_size)
    if settings.edges:
        shorter, longer = settings.edges
        scale = min(shorter / min(image), longer / max(image))
    elif settings.input_size:
        scale = min(want / have for want, have in zip(settings.input_size, image, strict=True))
    else:
        scale = 1.0
    if settings.input_size and not settings.keep_ratio:
        resized = settings.input_size
    else:  # rounded as mmcv does
        resized = (max(int(image[0] * scale + 0.5), 1), max(int(image[1] * scale + 0.5), 1))
    size = resized
    if settings.pad_multiple:
        multiple = settings.pad_multiple
        size = (-(-resized[0] // multiple) * multiple, -(-resized[1] // multiple) * multiple)
    elif settings.input_size and settings.pad != "none":
        size = settings.input_size
    offset = (0, 0)
    if settings.pad == "centre":
        offset = ((size[0] - resized[0]) // 2, (size[1] - resized[1]) // 2)
    return Fit(image, resized, offset, size)


def _covered(image: Size, shorter: int, size: Size) -> Fit:
    """Return how the centre of an image becomes the input, rounded as torchvision does."""
    scaled = (shorter * image[0] // min(image), shorter * image[1] // min(image))
    offset = (-round((scaled[0] - size[0]) / 2), -round((scaled[1] - size[1]) / 2))
    return Fit(image, scaled, offset, size)


def resize(image: np.ndarray, size: Size, antialias: bool) -> np.ndarray:
    """Scale (H, W, 3) uint8 pixels bilinearly to (height, width), with half-pixel centres.

    Without ``antialias`` as OpenCV's ``INTER_LINEAR``, with it as Pillow's ``BILINEAR``; either
    may round a value differently by 1.
    """
    if image.shape[:2] == size:
        return image
    pixels = torch.from_numpy(image).permute(2, 0, 1)[None].float()
    scaled = F.interpolate(pixels, size, mode="bilinear", align_corners=False, antialias=antialias)
    return scaled[0].permute(1, 2, 0).round().clamp(0, 255).to(torch.uint8).numpy()


def make_input(
    image: np.ndarray, settings: InputSettings, layout: str, dtype: np.dtype[Any]
) -> tuple[np.ndarray, Fit]:
    """Return the input that a model takes, a batch of one, and where the image lies in it.

    Args:
        image: Image to fit: uint8, (H, W, 3) RGB or (H, W) grey.
        settings: How it becomes the input.
        layout: ``'NCHW'`` or ``'NHWC'``.
        dtype: Dtype of the model's input.
    """
    colour = np.repeat(image[..., None], 3, axis=2) if image.ndim == 2 else image
    where = fit((image.shape[0], image.shape[1]), settings)
    pixels = resize(np.ascontiguousarray(colour), where.resized, settings.antialias)
    if settings.channel_order == "bgr":
        pixels = pixels[..., ::-1]
    canvas = np.empty((*where.size, 3), np.float32)
    canvas[:] = settings.pad_value
    rows, columns = (
        slice(max(-offset, 0), size - offset)
        for offset, size in zip(where.offset, where.size, strict=True)
    )
    pixels = pixels[rows, columns]
    top, left = (max(offset, 0) for offset in where.offset)
    canvas[top : top + pixels.shape[0], left : left + pixels.shape[1]] = pixels
    mean, std = (np.asarray(value, np.float32) for value in (settings.mean, settings.std))
    normalised = (canvas - mean) / std
    if layout == "NCHW":
        normalised = normalised.transpose(2, 0, 1)
    return np.ascontiguousarray(normalised[None], dtype), where
