"""Whether a JPEG was compressed before, more strongly, on the same grid: a hint, from its pixels.

A coefficient that was quantised with step q1 and then with q2 leaves gaps and peaks in the
histogram of its levels. For each of the lowest frequencies the likelihood of the levels under
each q1 > q2 is compared with that under no earlier quantisation (Bianchi, De Rosa and Piva,
"Improved DCT coefficient analysis for forgery localization in JPEG images", ICASSP 2011; theirs is
for parts of an image). What the coefficients were before any quantisation is estimated from the
image moved off the grid (Lukáš and Fridrich, "Estimation of primary quantization matrix in double
compressed JPEG images", DFRWS 2003, who move it by 4 pixels).
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import JpegImagePlugin

from jpeg_preproc.errors import ImageReadError
from jpeg_preproc.jpeg.blocks import Floats, coefficients_of, luma_blocks
from jpeg_preproc.jpeg.header import JpegInfo
from jpeg_preproc.jpeg.segments import metadata_removed
from jpeg_preproc.jpeg.tables import ZIGZAG, luma_steps

_Doubles = npt.NDArray[np.floating[Any]]

_MAX_BLOCKS = 4096
_MIN_BLOCKS = 64
# Not by 4 and 4: crops by that are common, and the image would be on the grid that they left.
_MOVED = (3, 5)
# The lowest frequencies: above, too few levels differ from 0 to show a pattern. The mean comes
# last, as it has the most levels and takes the most time.
_MODES = np.roll(ZIGZAG[:15], -1)
# After this many, what has gained less than so much in all, in nats per block, is given up. On
# LIVE1 they gained above 1.0 where there was an earlier compression, up to 85 and then 95.
_FIRST_MODES, _FIRST_GAIN = 4, 0.3
# What rounding RGB, and then luma, to whole numbers between the two compressions does to a
# coefficient: sqrt(0.29² + 0.19² + 0.29²).
_SIGMA = 0.45
# Multiples of a step to either side of a value between which that may matter: 7 deviations.
_REACH = 3
# Share of levels that may be anything: edited parts, clipping.
_OUTLIERS = 1e-3
# Levels beyond this magnitude are counted together.
_MAX_MAGNITUDE = 400
# Steps of an earlier compression are looked for up to this many times the file's, and this more.
_MAX_FACTOR, _MAX_STEP = 8, 121
# Nats per block that an earlier compression must gain, and nats in all for the chance that some of
# so many steps fit a few blocks. The most without one was 0.38 per block on photographs, and 1.1 on
# crops of 128x128, at most 256 blocks, which need 1.3.
_MARGIN, _MARGIN_IN_ALL = 0.5, 200.0
# Frequencies that gain less say nothing about the quality; those that gain more than 1 say enough.
_LEAST_GAIN = 0.05


@dataclass(frozen=True)
class EarlierCompression:
    """A stronger compression before the last one.

    Attributes:
        qf: Quality of libjpeg whose luma steps are nearest to those found, 1-100.
        gain: How much better these steps explain the pixels, in nats per block of 8x8 pixels.
    """

    qf: int
    gain: float


def find_earlier_compression(
    data: bytes, info: JpegInfo, name: str, most_blocks: int = _MAX_BLOCKS
) -> EarlierCompression | None:
    """Look for a stronger compression before the last one, on the same 8x8 grid.

    What is found calls for restoring by that quality instead of the file's own: base, told so,
    gave 0.8 dB more on LIVE1 at QF 75 and then 95. Not found are an earlier compression that was
    weaker or less than about five steps of quality stronger, one on another grid (the image was
    cropped or resized between), and any in a small or flat image.

    Args:
        data: Bytes of the JPEG file, of 8 bits, YCbCr or grey.
        info: Header of the file.
        name: What an error calls the file.
        most_blocks: How many blocks are looked at, at most; time goes with them.

    Returns:
        ``None`` if nothing is found.

    Raises:
        ImageReadError: The pixels cannot be decoded.
    """
    luma = _decode_luma(data, name)
    blocks = luma_blocks(luma, most_blocks)
    moved = luma_blocks(luma, most_blocks, _MOVED)
    steps = info.qtables[0].ravel()
    if min(len(blocks), len(moved)) < _MIN_BLOCKS:
        return None
    levels = np.rint(coefficients_of(blocks - 128) / steps).astype(np.int64)
    unquantised = coefficients_of(moved - 128)
    first_steps = np.ones(len(_MODES))
    gains = np.zeros(len(_MODES))
    for index, mode in enumerate(_MODES):
        step = int(steps[mode])
        candidates = np.arange(step + 1, min(_MAX_FACTOR * (step + 1), _MAX_STEP) + 1)
        if candidates.size:
            found = _gains(levels[:, mode], unquantised[:, mode], step, candidates) / len(blocks)
            first_steps[index], gains[index] = candidates[found.argmax()], max(found.max(), 0)
        if index + 1 == _FIRST_MODES and gains.sum() < _FIRST_GAIN:
            return None
    gain = float(gains.sum())
    if gain < _MARGIN + _MARGIN_IN_ALL / len(blocks):
        return None
    return EarlierCompression(_nearest_qf(first_steps, gains), gain)


def _nearest_qf(first_steps: _Doubles, gains: _Doubles) -> int:
    """Return the quality whose steps are nearest, by the mean of their ratios' logarithms."""
    weights = np.where(gains > _LEAST_GAIN, np.minimum(gains, 1), 0)
    gaps = np.abs(np.log2(luma_steps()[:, _MODES] / first_steps)) @ weights
    # Neighbours may share all these steps, as 49, 50 and 51 do; of equals the one in the middle.
    nearest = np.flatnonzero(gaps == gaps.min())
    return int(nearest[len(nearest) // 2]) + 1


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
        levels: Quantised coefficients of the file, (B,).
        unquantised: Coefficients as they may have been before any quantisation, (M,).
        step: Quantisation step of the file at that frequency.
        first_steps: Steps that an earlier compression may have had, (S,).
    """
    top = max(1, min(int(np.abs(levels).max()), _MAX_MAGNITUDE // step))
    counts = np.bincount(np.clip(levels, -top, top) + top, minlength=2 * top + 1)
    borders: _Doubles = np.arange(-top, top) * float(step) + step / 2
    # A step of 1 is what decoding to whole numbers does anyway.
    scores = [
        counts @ _log_probabilities(unquantised, int(first), borders)
        for first in (1, *first_steps.tolist())
    ]
    return np.array(scores[1:]) - scores[0]


def _log_probabilities(unquantised: Floats, first: int, borders: _Doubles) -> _Doubles:
    """Return (K + 1,): log probability of each level, whose cells lie between K ``borders``."""
    nearest = np.rint(unquantised / first).astype(np.intp)
    at_border = np.rint(borders / first).astype(np.intp)
    lowest = min(nearest.min(), at_border.min()) - _REACH - 1
    places = at_border - lowest
    shares = np.bincount(nearest - lowest, minlength=places.max() + _REACH + 1) / len(nearest)
    # Rounding carries only the multiples around a border to its other side: (K, 2 * _REACH + 1).
    around = np.arange(-_REACH, _REACH + 1)
    distances = borders[:, None] - (at_border[:, None] + around) * first
    crossing = shares[places[:, None] + around] * _normal_cdf(distances / _SIGMA)
    below = np.cumsum(shares)[places - _REACH - 1] + crossing.sum(axis=1)
    probabilities = np.diff(below, prepend=0.0, append=1.0)
    return np.log((1 - _OUTLIERS) * probabilities + _OUTLIERS / len(probabilities))


def _normal_cdf(values: _Doubles) -> _Doubles:
    grid, cumulated = _normal_table()
    return np.interp(values, grid, cumulated)


@lru_cache(maxsize=1)
def _normal_table() -> tuple[_Doubles, _Doubles]:
    grid: _Doubles = np.linspace(-6, 6, 2401)
    density: _Doubles = np.exp(-0.5 * grid**2)
    return grid, (np.cumsum(density) - density / 2) / density.sum()
