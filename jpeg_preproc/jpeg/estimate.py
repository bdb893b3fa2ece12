"""The quality at which decoded pixels were last compressed, from the pixels alone.

Coefficients of a decoded JPEG lie near multiples of the quantisation step (Fan and de Queiroz,
"Identification of bitmap compression history", IEEE TIP 2003). Each of libjpeg's 100 luma tables
is scored by the likelihood of the coefficients of all 64 frequencies.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from jpeg_preproc.jpeg.blocks import Floats, coefficients_of, luma_blocks
from jpeg_preproc.jpeg.codec import check_image_array
from jpeg_preproc.jpeg.tables import luma_steps

_MAX_BLOCKS = 8192
# Coefficients are counted in bins of 1/8, on which the lattice of whole pixel values falls.
_BINS_PER_UNIT = 8
_MAX_COEFFICIENT = 1024
# What rounding the decoded luma to whole numbers does to a coefficient: uniform, 1 / sqrt(12).
_SIGMA = 0.3
# Share of coefficients that lie anywhere: clipping, editing, another encoder's rounding.
_OUTLIERS = 0.02
# Nats per block by which a table must beat no compression. On LIVE1 compressed at QF 99 or lower
# the least gain was 8.3; cropped off its grid, or never compressed, the largest was 2.5.
_MARGIN = 5.0
# Coefficients of one image are not independent and the model is not exact, so the evidence of a
# whole image is discounted, as if this share of the coefficients were independent.
_EVIDENCE = 0.05


@dataclass(frozen=True)
class QfEstimate:
    """A quality seen in pixels.

    Attributes:
        qf: Quality of libjpeg, 1-100; 100 also where no 8x8 JPEG grid was found.
        confidence: Discounted posterior probability, 0-1, that the image was compressed on the
            grid of its top left corner at a quality within 2 of ``qf``; near 0 at QF 100, which
            cannot be told from no compression.
    """

    qf: int
    confidence: float


def estimate_qf(image: npt.NDArray[np.uint8], most_blocks: int = _MAX_BLOCKS) -> QfEstimate:
    """Estimate the libjpeg quality at which ``image`` was last compressed.

    Only the grid that starts at the top left corner is looked for: after a crop by other than a
    multiple of 8, a resize or a rotation the answer is 100 with low confidence, and restoring
    such an image on the grid would be wrong as well. An image compressed strongly and then
    lightly on the same grid (QF 75, then 95) shows the stronger one, whose artefacts it has.
    Blocks with clipped pixels or without texture in both directions tell nothing, so that a small,
    flat or overexposed image may give low confidence too.

    Args:
        image: Pixels as uint8, (H, W, 3) RGB or (H, W) grey, as decoded, in stored orientation.
        most_blocks: How many blocks are looked at, at most; time goes with them.

    Raises:
        ImageReadError: The array is of another kind.

    >>> estimate_qf(np.full((64, 64), 128, np.uint8))
    QfEstimate(qf=100, confidence=0.0)
    """
    blocks = luma_blocks(check_image_array(image), most_blocks)
    if len(blocks) == 0:
        return QfEstimate(qf=100, confidence=0.0)
    scores = _log_likelihoods(_histogram(blocks))
    scores[0] += _MARGIN * len(blocks)
    posterior = np.exp(_EVIDENCE * (scores - scores.max()))
    posterior /= posterior.sum()
    qf = int(scores.argmax()) or 100
    confidence = posterior[max(qf - 2, 1) : qf + 3].sum()
    return QfEstimate(qf=qf, confidence=float(confidence))


def _histogram(blocks: Floats) -> Floats:
    """Return (64, bins): how often each coefficient magnitude occurs, by natural frequency."""
    coefficients = coefficients_of(blocks - 128)
    bins = np.rint(np.abs(coefficients) * _BINS_PER_UNIT).astype(np.int64)
    bins = np.minimum(bins, _BINS_PER_UNIT * _MAX_COEFFICIENT)
    size = int(bins.max()) + 1
    counts = np.bincount((bins + size * np.arange(64)).ravel(), minlength=64 * size)
    return counts.reshape(64, size).astype(np.float32)


def _log_likelihoods(histogram: Floats) -> npt.NDArray[np.float64]:
    """Return (101,): log likelihood of no quantisation at all, then of QF 1-100."""
    levels, residuals = _models()
    # (64, 256) each, by frequency and step; index 0 is the model without steps.
    zeros, level_sum, scores = np.empty((3, 64, 256))
    for frequency, row in enumerate(histogram):
        bins = np.flatnonzero(row)
        counts = row[bins]
        zeros[frequency] = counts @ (levels[bins] == 0)
        level_sum[frequency] = counts @ levels[bins]
        scores[frequency] = counts @ residuals[bins]
    total = histogram.sum(axis=1, dtype=np.float64)[:, None]
    # Levels: zero or not, either sign, then geometric; each with its maximum likelihood parameter.
    nonzeros = total - zeros
    scores += _x_log_x(zeros) + _x_log_x(nonzeros) - _x_log_x(total) - nonzeros * np.log(2)
    scores += _x_log_x(level_sum - nonzeros) + _x_log_x(nonzeros) - _x_log_x(level_sum)
    of_tables = scores[np.arange(64), luma_steps()].sum(axis=1)
    return np.concatenate([scores[:, :1].sum(axis=0), of_tables])


@lru_cache(maxsize=1)
def _models() -> tuple[Floats, Floats]:
    """Return the level and the log probability within it of each magnitude, under each step.

    Both are (bins, 256). Column q is the step q; column 0 has cells of 1 in which, but for the one
    around 0, any value is as likely as another.
    """
    magnitudes = np.arange(_BINS_PER_UNIT * _MAX_COEFFICIENT + 1) / _BINS_PER_UNIT
    levels = np.empty((256, len(magnitudes)), dtype=np.float32)
    residuals = np.empty_like(levels)
    for step in range(1, 256):
        cell = np.arange(-step * _BINS_PER_UNIT // 2, step * _BINS_PER_UNIT // 2) / _BINS_PER_UNIT
        norm = np.exp(-0.5 * (cell / _SIGMA) ** 2).sum()
        level = np.floor(magnitudes / step + 0.5)
        near = np.exp(-0.5 * ((magnitudes - level * step) / _SIGMA) ** 2) / norm
        levels[step] = level
        residuals[step] = np.log((1 - _OUTLIERS) * near + _OUTLIERS / len(cell))
    # Flat image parts have coefficients of exactly 0, which fit every step. A cell of 1 cuts off
    # the tails of the rounding noise and so would gain on each of them: score them all alike.
    residuals[1] = np.where(levels[1] == 0, residuals[2], residuals[1])
    levels[0] = levels[1]
    residuals[0] = np.where(levels[0] == 0, residuals[2], -np.log(_BINS_PER_UNIT))
    return np.ascontiguousarray(levels.T), np.ascontiguousarray(residuals.T)


def _x_log_x(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    return values * np.log(np.maximum(values, 1))
