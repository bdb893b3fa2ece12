"""Restoration in pipelines of ``torchvision.transforms.v2``, as timm and others use them too."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
import PIL.Image
import torch
from PIL.JpegImagePlugin import JpegImageFile
from torch import Tensor

from jpeg_preproc.defaults import MODEL_RESTORER, TILE
from jpeg_preproc.errors import ImageReadError
from jpeg_preproc.jpeg import QfChoice, validate_quality
from jpeg_preproc.restorers.contract import Restorer
from jpeg_preproc.restorers.engine import JpegRestorer
from jpeg_preproc.restorers.inputs import DecodedImage

try:
    from torchvision import tv_tensors
    from torchvision.transforms import v2
    from torchvision.transforms.v2.functional import is_pure_tensor
except ImportError as error:
    raise ModuleNotFoundError(
        f"jpeg_preproc.torchvision needs torchvision ({error}): pip install torchvision",
        name="torchvision",
    ) from error

# Pixels of 8 bits that were divided by 255 in fp32 come back so nearly.
_ROUNDING = 1e-2


class JpegRestore(v2.Transform):
    """Remove JPEG artifacts from images, in front of everything that resizes or normalises them.

    Taken are PIL images of mode ``RGB`` or ``L``, and tensors (..., C, H, W) with 3 channels (RGB)
    or 1, uint8, or floating-point in [0, 1] as 8 bits divided by 255. What comes back is of the
    same kind, size, dtype and device; boxes, masks and labels beside an image pass.

    A PIL image that is still the JPEG file it was opened from is restored by its file's tables;
    ``convert``, which loaders call, forgets these. The quality of all else is found in the pixels.

    Args:
        restorer: Name of shipped weights, path of a weights file, or a network.
        qf: Quality to restore by; see :meth:`~jpeg_preproc.JpegRestorer.__call__`.
        device: Device of torch that the network runs on.
        dtype: ``'fp32'``, ``'bf16'`` or ``'fp16'``.
        tile: Side of the tiles that larger images are cut into; ``None`` never cuts.
        strength: Share of the correction that is made, 0-1; ``None`` as the weights say.

    Raises:
        UnknownRestorerError: Unknown name or ``dtype``.
        QualityError: ``qf`` is no quality, or ``strength`` is outside 0-1.
        DeviceError: An unknown or absent device.

    Example:
        >>> transform = v2.Compose([JpegRestore("nano"), v2.CenterCrop(32)])
        >>> transform(torch.full((3, 48, 64), 128, dtype=torch.uint8)).shape
        torch.Size([3, 32, 32])
    """

    _transformed_types = (PIL.Image.Image, tv_tensors.Image, is_pure_tensor)

    def __init__(
        self,
        restorer: str | os.PathLike[str] | Restorer = MODEL_RESTORER,
        qf: QfChoice = "auto",
        device: str = "cpu",
        dtype: str = "fp32",
        tile: int | None = TILE,
        strength: float | None = None,
    ) -> None:
        super().__init__()
        self.qf = validate_quality(qf)
        self.engine = JpegRestorer(restorer, device, dtype, tile, strength=strength)

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        """Restore one image of a sample, or a batch.

        Raises:
            ImageReadError: A mode, dtype, shape or range that is not taken.
        """
        if isinstance(inpt, PIL.Image.Image):
            return self._picture(inpt)
        pixels, is_float = _pixels(inpt)
        images = [
            DecodedImage(array[0] if len(array) == 1 else array.transpose(1, 2, 0))
            for array in pixels.reshape(-1, *pixels.shape[-3:])
        ]
        arrays = [result.image for result in self.engine.restore(images, self.qf)]
        shaped = [one[None] if one.ndim == 2 else one.transpose(2, 0, 1) for one in arrays]
        restored = torch.from_numpy(np.stack(shaped)).reshape(inpt.shape).to(inpt.device)
        if is_float:
            restored = restored.to(inpt.dtype) / 255
        return tv_tensors.wrap(restored, like=inpt) if _is_wrapped(inpt) else restored

    # torchvision before 0.21 calls it so.
    _transform = transform

    def _picture(self, image: PIL.Image.Image) -> PIL.Image.Image:
        if image.mode not in ("RGB", "L"):
            raise ImageReadError(
                f"a PIL image of mode {image.mode}; JpegRestore takes RGB and L: convert it first"
            )
        found = DecodedImage(np.asarray(image), _tables(image))
        (result,) = self.engine.restore([found], self.qf)
        restored = PIL.Image.fromarray(result.image)
        restored.info = dict(image.info)
        return restored

    def extra_repr(self) -> str:
        """Return what of its settings a pipeline's text shows."""
        return f"restorer={self.engine.name!r}, qf={self.qf!r}, device={str(self.engine.device)!r}"


def _tables(image: PIL.Image.Image) -> np.ndarray | None:
    """Return the tables of a JPEG file that an image still is, (T, 8, 8) in natural order."""
    tables = image.quantization if isinstance(image, JpegImageFile) else None
    if not tables:
        return None
    return np.array([tables[key] for key in sorted(tables)]).reshape(-1, 8, 8)


def _pixels(image: Tensor) -> tuple[np.ndarray, bool]:
    """Return the uint8 pixels of a tensor, and whether they were floating-point."""
    if image.ndim < 3 or image.shape[-3] not in (1, 3):
        raise ImageReadError(
            f"a tensor of shape {tuple(image.shape)}; images are (..., C, H, W), C being 1 or 3"
        )
    plain = image.as_subclass(Tensor).detach().cpu()
    if plain.dtype == torch.uint8:
        return plain.numpy(), False
    if not plain.is_floating_point():
        raise ImageReadError(f"a tensor of {plain.dtype}; images are uint8, or float in [0, 1]")
    levels = plain.float() * 255
    whole = levels.round()
    if not bool(((levels - whole).abs() <= _ROUNDING).all()) or not _in_range(whole):
        raise ImageReadError(
            "a floating-point tensor that is not 8 bits divided by 255: put JpegRestore in front "
            "of what resizes, jitters or normalises"
        )
    return whole.to(torch.uint8).numpy(), True


def _in_range(levels: Tensor) -> bool:
    return not levels.numel() or bool(levels.min() >= 0 and levels.max() <= 255)


def _is_wrapped(image: Tensor) -> bool:
    return isinstance(image, tv_tensors.TVTensor)
