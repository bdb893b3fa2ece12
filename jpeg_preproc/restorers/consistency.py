"""Restored images moved to where their files say that the originals were.

A quantised coefficient says that the encoder's lay within half a step of it. An image whose
coefficients lie elsewhere cannot be the original, and the nearest image with coefficients inside
is nearer to the original than it was. (The projection onto the "quantisation constraint set" of
A. Zakhor, "Iterative procedures for reduction of blocking effects in transform image coding",
IEEE Transactions on Circuits and Systems for Video Technology, 1992.)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from jpeg_preproc.errors import ImageReadError
from jpeg_preproc.jpeg.coefficients import quantised_range
from jpeg_preproc.jpeg.dct import block_dct, block_idct
from jpeg_preproc.jpeg.samples import FileSamples

# ITU-R BT.601, as JFIF has it: luma from R, G, B, and libjpeg's whole numbers for it (jccolor.c).
_LUMA = (0.299, 0.587, 0.114)
_LUMA_FIXED = (19595.0, 38470.0, 7471.0)
# What the level shift takes away, of samples scaled to [0, 1].
_MIDDLE = 128 / 255
# How far inside its interval a coefficient is put that lay outside: three times the 0.35 by which
# rounding R, G, B and then luma moves it (RMS), and a share of the step, at most a larger one.
_MARGIN = 1.0
_MARGIN_SHARE = (0.05, 0.35)
# At most so many times are the blocks moved again that rounding has put outside (few need more than
# two); and by how much an interval is narrower for that, for the sake of libjpeg's integer DCT.
_ATTEMPTS = 10
_SLACK = 0.1


def samples_of(pixels: np.ndarray, file: FileSamples) -> FileSamples:
    """Return what a file stores of ``pixels``: of a colour file loaded in grey, luma alone.

    Args:
        pixels: Pixels, uint8, (H, W, 3) RGB or (H, W) grey.
        file: What the file stores that they were decoded from.

    Raises:
        ImageReadError: The file is of another size, or grey where the pixels are in colour.
    """
    channels = 1 if pixels.ndim == 2 else 3
    if file.planes.shape[1:] != pixels.shape[:2] or channels > len(file.planes):
        raise ImageReadError(
            f"pixels of shape {pixels.shape} are not those of their file, whose samples are "
            f"{file.planes.shape} (C, H, W); give them as decoded, not turned, cropped or resized"
        )
    if channels == len(file.planes):
        return file
    return FileSamples(file.planes[:1], file.steps[:1], 0)


@dataclass(frozen=True)
class FileBatch:
    """What the files of a batch say; see :class:`~jpeg_preproc.jpeg.samples.FileSamples`.

    Attributes:
        planes: Samples, uint8, (N, 1, H, W) of grey files or (N, 3, H, W) of colour files.
        steps: Quantisation steps of each component, (N, C, 8, 8).
        chroma_pixels: Pixels across a sample of chroma, the same for all files; 0 where chroma is
            not known.
    """

    planes: Tensor
    steps: Tensor
    chroma_pixels: int = 0

    @classmethod
    def of(cls, files: Sequence[FileSamples], height: int, width: int) -> FileBatch:
        """Put files of one size and kind together, with unknown samples up to a larger size."""
        planes = np.stack([file.planes for file in files])
        padding = ((0, 0), (0, 0), (0, height - planes.shape[2]), (0, width - planes.shape[3]))
        steps = np.stack([file.steps for file in files])
        return cls(
            torch.from_numpy(np.pad(planes, padding)),
            torch.from_numpy(steps),
            files[0].chroma_pixels,
        )


def project(image: Tensor, files: FileBatch, margin: Tensor | float = 0.0) -> Tensor:
    """Return the image nearest to ``image`` whose coefficients the files could be quantised from.

    Nearest in luma and chroma, each at its own size; each sample of chroma is the mean of its
    pixels, as libjpeg makes it. Coefficients that are not known with certainty have wider
    intervals; blocks with clipped samples and blocks that the image does not fill stay as they
    are. The result is not clipped to [0, 1].

    Args:
        image: Batch, float32, (N, 3, H, W) RGB in [0, 1], or (N, 1, H, W) luma, for which the
            files' chroma is left alone. Three channels for a grey file are averaged.
        files: What the N files say, of the same H and W.
        margin: How much narrower each interval is at either end, in units of coefficients; a
            tensor broadcasts to (N, C, 1, 1, 8, 8).
    """
    return _project(image, files, margin)[0]


def project_to_pixels(image: Tensor, files: FileBatch) -> Tensor:
    """Return :func:`project` of ``image`` as uint8 pixels, rounded so that luma stays inside.

    An encoder with the files' tables, and chroma at full size, gives the files' own coefficients
    of luma again where they are certain; in RGB and grey, and but for a few in blocks where a
    channel is clipped.

    Args:
        image: Batch as :func:`project` takes it.
        files: What the N files say, of the same height and width.
    """
    steps = files.steps.to(image.device, torch.float32)[:, :, None, None]
    least, most = (share * steps for share in _MARGIN_SHARE)
    margin = least.clamp(min=_MARGIN).minimum(most)
    moved, low, high = _project(image, files, margin)
    pixels = (moved * 255).round().clamp(0, 255)
    rows, columns = low.shape[1:3]
    whole = (..., slice(8 * rows), slice(8 * columns))
    exact = _to_blocks(moved[whole] * 255)
    rounded = exact.round().clamp(0, 255)
    low, high = low.flatten(0, 2), high.flatten(0, 2)
    left = torch.arange(len(exact), device=image.device)
    for attempt in range(_ATTEMPTS + 1):
        found = _luma_of_pixels(rounded[left])
        outside = (found < low[left] + _SLACK) | (found > high[left] - _SLACK)
        bad = outside.flatten(1).any(1)
        if attempt == _ATTEMPTS or not bad.any():
            break
        left, found, outside = left[bad], found[bad], outside[bad]
        least, most = low[left], high[left]
        further = margin[left // (rows * columns), 0, 0, 0] * (1 + attempt / 2)
        wanted = _inside(found, least, most, further.minimum(0.45 * (most - least)))
        change = torch.where(outside, wanted - found, 0)
        # Clipped first: what is lost anyway must not pile up.
        exact[left] = exact[left].clamp(0, 255) + block_idct(change[:, None, None])[:, None]
        rounded[left] = exact[left].round().clamp(0, 255)
    pixels[whole] = _from_blocks(rounded, (len(pixels), rows, columns))
    return pixels.to(torch.uint8)


def _project(
    image: Tensor, files: FileBatch, margin: Tensor | float
) -> tuple[Tensor, Tensor, Tensor]:
    """Return :func:`project`, and the intervals of luma, (N, H/8, W/8, 8, 8) each."""
    if image.shape[1] > files.planes.shape[1]:
        grey, low, high = _project(image.mean(1, keepdim=True), files, margin)
        return grey.repeat(1, image.shape[1], 1, 1), low, high
    stored = files.planes.to(image.device)
    steps = files.steps.to(image.device, torch.float32)
    margin = torch.as_tensor(margin, device=image.device).expand(*steps.shape[:2], 1, 1, 8, 8)
    known = [(stored[:, part], steps[:, part], margin[:, part]) for part in range(steps.shape[1])]
    luma = _luma(image)
    change, low, high = _change(luma, *known[0], 1)
    moved = image + change[:, None]
    factor = files.chroma_pixels
    if image.shape[1] == 3 and factor:
        # Half a level up: planes of 0 to 1, as luma is, whose level shift takes it away again.
        blue, _, _ = _change((image[:, 2] - luma) / 1.772 + _MIDDLE, *known[1], factor)
        red, _, _ = _change((image[:, 0] - luma) / 1.402 + _MIDDLE, *known[2], factor)
        moved[:, 0] += 1.402 * red
        moved[:, 1] -= 0.344136 * blue + 0.714136 * red
        moved[:, 2] += 1.772 * blue
    return moved, low, high


def _change(
    plane: Tensor, stored: Tensor, steps: Tensor, margin: Tensor, factor: int
) -> tuple[Tensor, Tensor, Tensor]:
    """Return by how much a component changes, and the intervals of its coefficients.

    Args:
        plane: The component, (N, H, W) in [0, 1].
        stored: Samples of the files, (N, H, W), each repeated over ``factor`` pixels each way.
        steps: Quantisation steps, (N, 8, 8).
        margin: How much narrower the intervals are, (N, 1, 1, 8, 8).
        factor: Pixels across a sample, a whole number.

    Returns:
        (N, H, W), 0 where no block is whole, and twice (N, H/8/factor, W/8/factor, 8, 8).
    """
    size = plane.shape[-2:]
    height, width = (side // (8 * factor) * 8 * factor for side in size)
    low, high = quantised_range(stored[:, :height:factor, :width:factor], steps)
    low, high = (low - 0.5) * steps[:, None, None], (high + 0.5) * steps[:, None, None]
    if not low.numel():
        return torch.zeros_like(plane), low, high
    small = F.avg_pool2d(plane[:, :height, :width], factor) if factor > 1 else plane
    found = block_dct((small[:, : height // factor, : width // factor] - _MIDDLE) * 255)
    change = block_idct(_inside(found, low, high, margin) - found) / 255
    if factor > 1:
        change = change.repeat_interleave(factor, -2).repeat_interleave(factor, -1)
    return F.pad(change, (0, size[1] - width, 0, size[0] - height)), low, high


def _inside(found: Tensor, low: Tensor, high: Tensor, margin: Tensor) -> Tensor:
    """Return coefficients in ``[low + margin, high - margin]``; those in there stay."""
    return found.clamp(low + margin, high - margin)


def _luma(image: Tensor) -> Tensor:
    """Return the luma, (N, H, W), of (N, C, H, W) RGB or luma."""
    if image.shape[1] == 1:
        return image[:, 0]
    return torch.einsum("nchw,c->nhw", image, image.new_tensor(_LUMA))


def _luma_of_pixels(blocks: Tensor) -> Tensor:
    """Return the coefficients (M, 8, 8) of the luma that an encoder sees in (M, C, 8, 8) pixels."""
    if blocks.shape[1] == 1:
        luma = blocks[:, 0]
    else:
        # Below 2**24, so float32 is exact.
        luma = torch.einsum("nchw,c->nhw", blocks, blocks.new_tensor(_LUMA_FIXED))
        luma = ((luma + 32768) / 65536).floor()
    return block_dct(luma - 128)[:, 0, 0]


def _to_blocks(image: Tensor) -> Tensor:
    """Return (N, C, H, W) as (N * H/8 * W/8, C, 8, 8), in their own memory."""
    rows, columns = image.shape[-2] // 8, image.shape[-1] // 8
    blocks = image.unflatten(-1, (columns, 8)).unflatten(-3, (rows, 8))
    return blocks.permute(0, 2, 4, 1, 3, 5).flatten(0, 2).contiguous()


def _from_blocks(blocks: Tensor, layout: tuple[int, int, int]) -> Tensor:
    """Undo :func:`_to_blocks`; ``layout`` is (N, H/8, W/8)."""
    parts = blocks.unflatten(0, layout).permute(0, 3, 1, 4, 2, 5)
    return parts.flatten(-2).flatten(-3, -2)
