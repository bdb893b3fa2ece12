"""Where the 8x8 grid of an earlier compression starts, from pixels alone.

On that grid more coefficients are zero than on any other of the 64: the statistic of ZERO
(Nikoukhah, Anger, Ehret, Colom, Morel and Grompone von Gioi, "ZERO: a Local JPEG Grid Origin
Detector Based on the Number of DCT Zeros", CVPR Workshops 2019), taken over the whole image.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from jpeg_preproc.jpeg.blocks import RGB_TO_LUMA, coefficients_of, luma_blocks
from jpeg_preproc.jpeg.codec import check_image_array
from jpeg_preproc.jpeg.estimate import estimate_qf

# Of each of the 64 grids. With 512 the right one won on all of LIVE1 up to QF 98.
_BLOCKS = 512
# What rounds to 0 when coefficients are rounded to whole numbers.
_ZERO = 0.5
# Zeros per block by which the best grid must lead the second. Smooth images are taken for lightly
# compressed ones on any grid. On LIVE1, blurred or enlarged or as it is, the lead was below 0.3,
# and above 4 on crops of what was compressed at QF 5-98.
_LEAD = 1.0
# Confidences are near 0 or near 1; see estimate.py.
_FOUND = 0.5


@dataclass(frozen=True)
class GridEstimate:
    """The grid of an image's last compression.

    Attributes:
        row: First row that starts a block, 0-7.
        column: First column that starts a block, 0-7.
        qf: Quality of that compression, as in :class:`~jpeg_preproc.jpeg.estimate.QfEstimate`.
        confidence: How sure it is that there was a compression on that grid, as in
            :class:`~jpeg_preproc.jpeg.estimate.QfEstimate`.
    """

    row: int
    column: int
    qf: int
    confidence: float

    @property
    def found(self) -> bool:
        """Whether there is a grid; if not, the other fields mean nothing."""
        return self.confidence > _FOUND


def estimate_grid(image: npt.NDArray[np.uint8]) -> GridEstimate:
    """Find the 8x8 grid on which ``image`` was last compressed, and its quality there.

    A decoded JPEG has its grid at (0, 0); a crop of it elsewhere; after a resize there is none.

    Args:
        image: Pixels as uint8, (H, W, 3) RGB or (H, W) grey.

    Raises:
        ImageReadError: The array is of another kind.

    >>> estimate_grid(np.full((64, 64), 128, np.uint8)).found
    False
    """
    check_image_array(image)
    zeros = np.array([_mean_zeros(image, divmod(index, 8)) for index in range(64)])
    row, column = divmod(int(zeros.argmax()), 8)
    second, first = np.sort(zeros)[-2:]
    if first - second < _LEAD:
        return GridEstimate(0, 0, 100, 0.0)
    last = estimate_qf(image[row:, column:])
    return GridEstimate(row, column, last.qf, last.confidence)


def likely_corner(image: npt.NDArray[np.uint8]) -> tuple[int, int]:
    """Return the row and column, 0-7, at which a grid most likely starts, in a millisecond.

    In front of blocks neighbours differ most, up to QF 60 or so; whether there is a grid at all is
    for :func:`~jpeg_preproc.jpeg.estimate.estimate_qf` to say.

    Args:
        image: Pixels as uint8, (H, W, 3) RGB or (H, W) grey.

    >>> likely_corner(np.kron(np.eye(8, dtype=np.uint8) * 99, np.ones((8, 8), np.uint8))[3:, 6:])
    (5, 2)
    """
    plane = image.astype(np.float32) if image.ndim == 2 else image @ RGB_TO_LUMA
    corner = []
    for axis in (0, 1):
        steps = np.abs(np.diff(plane, axis=axis)).mean(axis=1 - axis)  # in front of line k + 1
        whole = len(steps) // 8 * 8
        if whole == 0:
            return 0, 0
        corner.append((int(steps[:whole].reshape(-1, 8).mean(axis=0).argmax()) + 1) % 8)
    return corner[0], corner[1]


def _mean_zeros(image: npt.NDArray[np.uint8], corner: tuple[int, int]) -> float:
    """Return how many of the 64 coefficients are zero, on average, on the grid from ``corner``."""
    blocks = luma_blocks(image, _BLOCKS, corner)
    if len(blocks) == 0:
        return 0.0
    return float((np.abs(coefficients_of(blocks - 128)) < _ZERO).sum(axis=1).mean())
