"""Which planes of an image a network restores, and how they are put back."""

from __future__ import annotations

import numpy as np
from PIL import Image


def to_planes(image: np.ndarray, channels: int) -> tuple[np.ndarray, np.ndarray | None]:
    """Split an image into what a network takes and what is kept aside.

    A colour image given to a network of one channel is restored in luma (full-range BT.601, as
    JFIF codes it) and keeps its chroma. A grey image given to a colour network is shown to it as
    three equal channels.

    Args:
        image: Pixels, uint8, (H, W, 3) RGB or (H, W) grey.
        channels: How many the network takes, 1 or 3.

    Returns:
        (channels, H, W) uint8, and what :func:`from_planes` needs besides: for restored luma the
        (H, W, 3) YCbCr image, for a grey image shown in colour an empty array, else ``None``.
    """
    if channels == 1:
        if image.ndim == 2:
            return image[None], np.empty(0)
        ycbcr = np.asarray(Image.fromarray(image).convert("YCbCr"))
        return np.ascontiguousarray(ycbcr[None, ..., 0]), ycbcr
    if image.ndim == 2:
        return np.repeat(image[None], 3, axis=0), np.empty(0)
    return image.transpose(2, 0, 1), None


def stack_planes(planes: list[np.ndarray], multiple: int) -> np.ndarray:
    """Return (C, H, W) uint8 planes as one (N, C, H', W') array, whose sides are multiples.

    Replicating the last row and column leaves the 8×8 grid where it is.
    """
    batch = planes[0][None] if len(planes) == 1 else np.stack(planes)
    height, width = batch.shape[-2:]
    padding = ((0, 0), (0, 0), (0, -height % multiple), (0, -width % multiple))
    if np.any(padding):
        return np.pad(batch, padding, "edge")
    # Torch shares the memory of an array that may be written and runs forward; of others it warns.
    shared = batch.flags.writeable and min(batch.strides) >= 0
    return batch if shared else batch.copy()


def from_planes(planes: np.ndarray, rest: np.ndarray | None) -> np.ndarray:
    """Undo :func:`to_planes`.

    Args:
        planes: Restored planes, uint8, (C, H, W).
        rest: Second value of :func:`to_planes`.

    Returns:
        uint8, (H, W, 3) RGB, or (H, W) where the image was grey.
    """
    if rest is None:
        return np.ascontiguousarray(planes.transpose(1, 2, 0))
    if rest.size:
        ycbcr = rest.copy()
        ycbcr[..., 0] = planes[0]
        return np.asarray(Image.fromarray(ycbcr, "YCbCr").convert("RGB"))
    if len(planes) == 1:
        return np.ascontiguousarray(planes[0])
    return np.rint(planes.astype(np.float32).mean(axis=0)).astype(np.uint8)
