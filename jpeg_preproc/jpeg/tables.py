"""Quantisation tables: Annex K, libjpeg's scaling of it, and back to a quality factor.

Every table here is 8x8 in natural (row-major, frequency) order; files store zigzag order.
"""

from __future__ import annotations

import operator
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal, SupportsIndex, get_args

import numpy as np
import numpy.typing as npt

from jpeg_preproc.errors import QualityError

QfWord = Literal["auto", "file", "blind"]
#: How a caller says by which quality an image is restored: by the one that it really has, whatever
#: its file claims (``'auto'``), by what its file says, else its pixels show (``'file'``), by none
#: (``'blind'``), or by a libjpeg quality factor, 1-100.
QfChoice = int | QfWord
QF_WORDS: tuple[QfWord, ...] = get_args(QfWord)

#: ITU-T T.81 (1992), table K.1: luminance.
ANNEX_K_LUMA: npt.NDArray[np.uint16] = np.array(
    [
        [16, 11, 10, 16, 24, 40, 51, 61],
        [12, 12, 14, 19, 26, 58, 60, 55],
        [14, 13, 16, 24, 40, 57, 69, 56],
        [14, 17, 22, 29, 51, 87, 80, 62],
        [18, 22, 37, 56, 68, 109, 103, 77],
        [24, 35, 55, 64, 81, 104, 113, 92],
        [49, 64, 78, 87, 103, 121, 120, 101],
        [72, 92, 95, 98, 112, 100, 103, 99],
    ],
    dtype=np.uint16,
)

#: ITU-T T.81 (1992), table K.2: chrominance.
ANNEX_K_CHROMA: npt.NDArray[np.uint16] = np.array(
    [
        [17, 18, 24, 47, 99, 99, 99, 99],
        [18, 21, 26, 66, 99, 99, 99, 99],
        [24, 26, 56, 99, 99, 99, 99, 99],
        [47, 66, 99, 99, 99, 99, 99, 99],
        [99, 99, 99, 99, 99, 99, 99, 99],
        [99, 99, 99, 99, 99, 99, 99, 99],
        [99, 99, 99, 99, 99, 99, 99, 99],
        [99, 99, 99, 99, 99, 99, 99, 99],
    ],
    dtype=np.uint16,
)


def _zigzag() -> npt.NDArray[np.intp]:
    """Walk the anti-diagonals of an 8x8 block, turning at each edge (T.81, figure A.6)."""
    # Odd diagonals run downwards (row grows), even ones upwards.
    cells = sorted(
        ((row, col) for row in range(8) for col in range(8)),
        key=lambda cell: (sum(cell), cell[0] if sum(cell) % 2 else cell[1]),
    )
    return np.array([8 * row + col for row, col in cells], dtype=np.intp)


#: (64,) ``ZIGZAG[k]`` is the natural index (``8 * row + column``) of the k-th zigzag coefficient.
ZIGZAG: npt.NDArray[np.intp] = _zigzag()

for _constant in (ANNEX_K_LUMA, ANNEX_K_CHROMA, ZIGZAG):
    _constant.setflags(write=False)


@dataclass(frozen=True)
class QfMatch:
    """The libjpeg quality nearest to some tables.

    Attributes:
        qf: Quality of libjpeg, 1-100.
        distance: Mean over all entries of ``|log2(table / libjpeg's table at qf)|``, in octaves;
            0 is equal tables, 1 is off by a factor of two on average.
        exact: Whether every entry equals libjpeg's.
    """

    qf: int
    distance: float
    exact: bool


def validate_qf(qf: SupportsIndex) -> int:
    """Return ``qf`` as an int in 1-100.

    Raises:
        QualityError: The value is not a whole number, or outside 1-100.

    >>> validate_qf(75)
    75
    """
    try:
        value = operator.index(qf)
    except TypeError:
        raise QualityError(
            f"JPEG quality factor {qf!r} is no whole number; give one from 1 to 100."
        ) from None
    if isinstance(qf, bool) or not 1 <= value <= 100:
        raise QualityError(f"JPEG quality factor {qf!r} is outside 1-100; give one from 1 to 100.")
    return value


def validate_quality(qf: SupportsIndex | str) -> QfChoice:
    """Return by which quality to restore: one of :data:`QF_WORDS`, or an int in 1-100.

    Raises:
        QualityError: Neither.

    >>> validate_quality("file"), validate_quality(75)
    ('file', 75)
    """
    if isinstance(qf, str):
        for word in QF_WORDS:
            if qf == word:
                return word
        raise QualityError(
            f"Quality {qf!r} is none of {', '.join(QF_WORDS)}; give one of these, or 1 to 100."
        )
    return validate_qf(qf)


def qtables_from_qf(qf: SupportsIndex) -> npt.NDArray[np.uint16]:
    """Return libjpeg's tables at a quality: (2, 8, 8), luma then chroma, each entry in 1-255.

    Equal to ``jpeg_set_quality(qf, force_baseline=TRUE)``, which Pillow and OpenCV call.

    Raises:
        QualityError: ``qf`` is outside 1-100.

    >>> qtables_from_qf(50)[0, 0, :4].tolist()
    [16, 11, 10, 16]
    """
    value = validate_qf(qf)
    percent = 5000 // value if value < 50 else 200 - 2 * value
    base = np.stack([ANNEX_K_LUMA, ANNEX_K_CHROMA]).astype(np.int64)
    return np.clip((base * percent + 50) // 100, 1, 255).astype(np.uint16)


@lru_cache(maxsize=1)
def luma_steps() -> npt.NDArray[np.int64]:
    """Return (100, 64): libjpeg's steps of luma at QF 1-100, in natural order."""
    steps = np.stack([qtables_from_qf(qf)[0].ravel() for qf in range(1, 101)]).astype(np.int64)
    steps.setflags(write=False)
    return steps


def octaves_of(qf: float) -> float:
    """Return how coarse the tables of a libjpeg quality are, in octaves of the quantisation step.

    log2 of the factor by which libjpeg scales Annex K's tables: 0 at quality 50, an octave more
    where steps are twice as large.

    Args:
        qf: Quality, 1-100; above 99.5 it counts as 99.5, where no step gets any finer.

    >>> octaves_of(50), octaves_of(75), octaves_of(25)
    (0.0, -1.0, 1.0)
    """
    percent = 5000 / qf if qf < 50 else 200 - 2 * qf
    return float(np.log2(max(percent, 1) / 100))


def qf_of(octaves: float) -> int:
    """Return the libjpeg quality, 1-100, whose tables are about as coarse; see :func:`octaves_of`.

    >>> [qf_of(octaves_of(qf)) for qf in (5, 10, 50, 75, 95)]
    [5, 10, 50, 75, 95]
    """
    percent = 100 * 2.0**octaves
    return int(np.clip(round(5000 / percent if percent > 100 else (200 - percent) / 2), 1, 100))


@lru_cache(maxsize=1)
def _log2_of_all_tables() -> npt.NDArray[np.float64]:
    """Return (100, 2, 8, 8): log2 of libjpeg's tables for QF 1-100."""
    return np.log2(np.stack([qtables_from_qf(qf) for qf in range(1, 101)]).astype(np.float64))


def nearest_qf(qtables: npt.ArrayLike) -> QfMatch:
    """Return the libjpeg quality whose tables are nearest, and how near they are.

    The first table is compared with luma, each further one with chroma. Ties go to the lower
    quality: where tables saturate, the stronger compression is the safer belief.

    Args:
        qtables: Tables (T, 8, 8), or one (8, 8), in natural order, entries 1-65535.

    Raises:
        QualityError: The shape is another, there is no table, or entries are such as no file can
            hold.

    >>> nearest_qf(qtables_from_qf(30))
    QfMatch(qf=30, distance=0.0, exact=True)
    """
    tables = np.asarray(qtables)
    if tables.ndim == 2:
        tables = tables[None]
    if tables.ndim != 3 or tables.shape[0] == 0 or tables.shape[1:] != (8, 8):
        raise QualityError(
            f"Quantisation tables have shape {np.shape(qtables)}; give (T, 8, 8) in natural order."
        )
    if tables.dtype.kind not in "iu" or tables.min() < 1 or tables.max() > 65535:
        raise QualityError(
            "Quantisation tables hold entries that are not whole numbers in 1-65535; "
            "check that they were read from an undamaged file."
        )
    return _nearest(tables.astype(np.uint16).tobytes())


@lru_cache(maxsize=256)
def _nearest(entries: bytes) -> QfMatch:
    """Return the match of (T, 8, 8) uint16 tables; most files of a dataset have the same ones."""
    tables = np.frombuffer(entries, np.uint16).reshape(-1, 8, 8)
    # (100, T, 8, 8): every libjpeg table against the given one of the same role.
    role = np.minimum(np.arange(len(tables)), 1)
    gap = np.abs(_log2_of_all_tables()[:, role] - np.log2(tables.astype(np.float64)))
    distances = gap.mean(axis=(1, 2, 3))
    best = int(distances.argmin())
    return QfMatch(qf=best + 1, distance=float(distances[best]), exact=not gap[best].any())
