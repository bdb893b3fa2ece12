"""Whether a JPEG was compressed before, more strongly, on the same grid: a hint, from its pixels.

A coefficient that was quantised with step q1 and then with q2 leaves gaps and peaks in the
histogram of its levels. The levels' likelihood under each of libjpeg's tables as q1 is compared
with that under no earlier quantisation, where the distribution before any quantisation is
estimated from the image moved by 4 pixels, off the grid. Moved images: Lukáš and Fridrich,
"Estimation of primary quantization matrix in double compressed JPEG images", DFRWS 2003. The
likelihood of double quantisation: Bianchi, De Rosa and Piva, "Improved DCT coefficient analysis
for forgery localization in JPEG images", ICASSP 2011; their method is for parts of an image, and
leaves q1 free for each frequency.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt
from PIL import JpegImagePlugin

from jpeg_preproc.errors import ImageReadError
from jpeg_preproc.jpeg.blocks import Floats, coefficients_of, luma_blocks
from jpeg_preproc.jpeg.header import JpegInfo
from jpeg_preproc.jpeg.segments import metadata_removed
from jpeg_preproc.jpeg.tables import ZIGZAG, nearest_qf, qtables_from_qf

_Doubles = npt.NDArray[np.float64]

_MAX_BLOCKS = 4096
_MIN_BLOCKS = 64
# The lowest frequencies: above, too few levels differ from 0 to show a pattern.
_MODES = ZIGZAG[:15]
# What rounding RGB, and then luma, to whole numbers between the two compressions does to a
# coefficient: sqrt(0.29² + 0.19² + 0.29²).
_SIGMA = 0.45
# Share of levels that may be anything: edited parts, clipping.
_OUTLIERS = 1e-3
# Levels beyond this magnitude are counted together.
_MAX_MAGNITUDE = 400
# Nats per block by which an earlier table must beat none.
_MARGIN = 0.35


@dataclass(frozen=True)
class EarlierCompression:
    """A stronger compression before the last one.

    Attributes:
        qf: libjpeg quality that explains the pixels best, 1-100.
        gain: by how much it does, in nats per block of 8x8 pixels.
    """

    qf: int
    gain: float


def find_earlier_compression(data: bytes, info: JpegInfo, name: str) -> EarlierCompression | None:
    """Look for a stronger compression before the last one, on the same 8x8 grid.

    What is found calls for restoring by that quality instead of the file's own. Not found are an
    earlier compression that was weaker or only a few steps of quality stronger, one on another
    grid (the image was cropped or resized between), and any in a small or flat image.

    Args:
        data: the JPEG file; 8 bits, YCbCr or grey.
        info: its header.
        name: what an error calls it.

    Returns:
        ``None`` if nothing is found.

    Raises:
        ImageReadError: the pixels cannot be decoded.
    """
    luma = _decode_luma(data, name)
    blocks = luma_blocks(luma, _MAX_BLOCKS)
    moved = luma_blocks(luma, _MAX_BLOCKS, (4, 4))
    steps = info.qtables[0].ravel()
    stronger = np.arange(1, nearest_qf(info.qtables[0]).qf)  # qualities below the file's own
    if min(len(blocks), len(moved)) < _MIN_BLOCKS or not stronger.size:
        return None
    levels = np.rint(coefficients_of(blocks - 128) / steps).astype(np.int64)
    unquantised = coefficients_of(moved - 128)
    gains = np.zeros(len(stronger))
    for mode in _MODES:
        first_steps = _luma_steps()[stronger - 1, mode]
        candidates, back = np.unique(first_steps, return_inverse=True)
        gains += _gains(levels[:, mode], unquantised[:, mode], int(steps[mode]), candidates)[back]
    gains /= len(blocks)
    best = int(gains.argmax())
    if gains[best] < _MARGIN:
        return None
    return EarlierCompression(qf=int(stronger[best]), gain=float(gains[best]))


def _decode_luma(data: bytes, name: str) -> npt.NDArray[np.uint8]:
    """Return (H, W): the decoder's own luma, which a way through RGB would round again."""
    try:
        with JpegImagePlugin.JpegImageFile(io.BytesIO(metadata_removed(data))) as picture:
            picture.draft("L", picture.size)
            return np.array(picture)
    except (OSError, SyntaxError, ValueError, EOFError) as error:
        raise ImageReadError(f"{name} cannot be decoded ({error}).") from error


def _gains(
    levels: npt.NDArray[np.int64], unquantised: Floats, step: int, first_steps: npt.NDArray[np.int_]
) -> _Doubles:
    """Return by how much each first step beats none, in nats, for one frequency.

    Args:
        levels: (B,) quantised coefficients of the file.
        unquantised: (M,) coefficients as they may have been before any quantisation.
        step: the file's.
        first_steps: (S,).
    """
    top = max(1, min(int(np.abs(levels).max()), _MAX_MAGNITUDE // step))
    counts = np.bincount(np.clip(levels, -top, top) + top, minlength=2 * top + 1)
    borders = (np.arange(-top, top) + 0.5) * step
    # A step of 1 is what decoding to whole numbers does anyway.
    scores = [
        counts @ _log_probabilities(unquantised, int(first), borders)
        for first in (1, *first_steps.tolist())
    ]
    return np.array(scores[1:]) - scores[0]


def _log_probabilities(unquantised: Floats, first: int, borders: _Doubles) -> _Doubles:
    """Return (K + 1,): log probability of each level, whose cells lie between K ``borders``."""
    nearest, counts = np.unique(np.rint(unquantised / first), return_counts=True)
    below = counts / len(unquantised) @ _normal_cdf((borders - nearest[:, None] * first) / _SIGMA)
    probabilities = np.diff(below, prepend=0.0, append=1.0)
    return np.log((1 - _OUTLIERS) * probabilities + _OUTLIERS / len(probabilities))


def _normal_cdf(values: _Doubles) -> _Doubles:
    grid, cumulated = _normal_table()
    return np.interp(values, grid, cumulated)


@lru_cache(maxsize=1)
def _normal_table() -> tuple[_Doubles, _Doubles]:
    grid = np.linspace(-6, 6, 2401)
    density = np.exp(-0.5 * grid**2)
    cumulated = np.cumsum(density) - density / 2
    return grid, cumulated / density.sum()


@lru_cache(maxsize=1)
def _luma_steps() -> npt.NDArray[np.int_]:
    """Return (100, 64): libjpeg's luma steps at QF 1-100."""
    return np.stack([qtables_from_qf(qf)[0].ravel() for qf in range(1, 101)]).astype(np.int_)
