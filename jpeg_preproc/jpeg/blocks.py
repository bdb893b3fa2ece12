"""8x8 blocks of luma and their DCT, in NumPy: what pixels say about an earlier compression."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]

#: ITU-R BT.601, red, green and blue.
RGB_TO_LUMA = np.array([0.299, 0.587, 0.114], dtype=np.float32)


@lru_cache(maxsize=1)
def dct_basis() -> npt.NDArray[np.float64]:
    """Return (8, 8): row u is the u-th cosine, sqrt((1 + [u > 0]) / 8) cos((2x + 1) u pi / 16)."""
    u, x = np.mgrid[:8, :8]
    basis = np.sqrt(np.where(u == 0, 1, 2) / 8) * np.cos((2 * x + 1) * u * np.pi / 16)
    basis.setflags(write=False)
    return basis


def coefficients_of(blocks: Floats) -> Floats:
    """Return the orthonormal DCT of (B, 8, 8) blocks as (B, 64), in natural order.

    >>> coefficients_of(np.ones((1, 8, 8), np.float32))[0, :2].round(4).tolist()
    [8.0, 0.0]
    """
    return blocks.reshape(-1, 64) @ block_basis().T.astype(np.float32)


@lru_cache(maxsize=1)
def block_basis() -> npt.NDArray[np.float64]:
    """Return (64, 64), whose rows are the 8x8 patterns: one matrix product for a whole block."""
    basis = np.kron(dct_basis(), dct_basis()).astype(np.float64)
    basis.setflags(write=False)
    return basis


def luma_blocks(
    image: npt.NDArray[np.uint8], limit: int, corner: tuple[int, int] = (0, 0)
) -> Floats:
    """Return (B, 8, 8) luma in 0-255 of the blocks that tell something, spread evenly.

    Left out are blocks with clipped pixels, whose coefficients are no multiples of their steps
    any more, and blocks that are constant along an axis: there all pixels round alike, so that
    the error of a coefficient is no sum of independent ones but up to 4.

    Args:
        image: Pixels as uint8, (H, W, 3) RGB or (H, W) grey.
        limit: How many blocks are looked at, at most.
        corner: Row and column at which the first block starts.
    """
    image = image[corner[0] :, corner[1] :]
    height, width = image.shape[0] // 8, image.shape[1] // 8
    count = height * width
    if count == 0:
        return np.empty((0, 8, 8), dtype=np.float32)
    chosen = np.linspace(0, count - 1, min(count, limit)).astype(np.intp)
    grid = image[: 8 * height, : 8 * width].reshape(height, 8, width, 8, -1)
    # (B, 8, 8, C): the two index arrays move to the front.
    blocks = grid[chosen // width, :, chosen % width]
    clipped = ((blocks == 0) | (blocks == 255)).any(axis=(1, 2, 3))
    if blocks.shape[-1] == 1:
        luma = blocks[..., 0].astype(np.float32)
    else:
        # Rounding undoes what rounding R, G and B did to the decoder's whole-number luma.
        luma = np.rint(blocks @ RGB_TO_LUMA)
    varies_down = (luma != luma[:, :1]).any(axis=(1, 2))
    varies_across = (luma != luma[:, :, :1]).any(axis=(1, 2))
    return luma[varies_down & varies_across & ~clipped]
