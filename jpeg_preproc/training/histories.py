"""What has happened to a training crop, and what a restorer is told of it, drawn at random."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from PIL import Image

from jpeg_preproc.corruptions import Corruption, DoubleJpeg, Jpeg, ResizedJpeg, TableJpeg
from jpeg_preproc.jpeg import compress_jpeg, decode_jpeg, qtables_from_qf
from jpeg_preproc.jpeg.tables import octaves_of, qf_of

#: Two blocks of luma, one of chroma at 4:2:0: what a grid may be shifted by.
GRID = 16
# How others resize: Pillow's kernels widen as they reduce, OpenCV's do not.
_KERNELS = ("bilinear", "bicubic", "lanczos", "cv2_bilinear", "cv2_bicubic", "cv2_area")
# No resizing moves the quality farther than this, in octaves. The error of a crop without detail
# says nothing about its quality, so that what is found there is clipped.
_FARTHEST = 2.5


@dataclass(frozen=True)
class History:
    """What happens to one crop.

    Attributes:
        corruption: What is done to the clean crop.
        side: Side in pixels of the clean crop that the corruption is applied to.
        cut: Rows and columns that are cut off the result at top and left.
        quality: Quality that the restorer is told, 1-100; ``'file'`` tells the tables of the last
            file, ``'error'`` the quality at which one coding has the same error.
    """

    corruption: Corruption
    side: int
    cut: tuple[int, int] = (0, 0)
    quality: int | Literal["file", "error"] = "file"


@dataclass(frozen=True)
class Coding:
    """The distribution of histories, formats and qualities.

    Attributes:
        qf_ranges: Ranges of quality factors as (low, high, weight), both bounds included; within a
            range all are equally likely.
        full_chroma: Share coded 4:4:4; the others are 4:2:0.
        grey: Share of grey images (coded as one component, shown as RGB).
        double: Share coded once before, at a quality factor of ``double_qf``.
        double_qf: Least and greatest quality factor of that coding.
        double_shifted: Share of the double codings whose first grid does not lie on the last one.
        shifted: Share cut out of the coded image off its 8×8 grid.
        resized: Share resized after coding, by a kernel of Pillow or OpenCV.
        resized_scale: Least and greatest factor of the size, drawn uniformly in octaves.
        saved_again: Share of the resized that is coded a second time afterwards.
        again_qf: Least and greatest quality factor of that coding.
        other_tables: Share of single codings with tables other than libjpeg's.
        believed: What is told of an image whose last file does not tell what it went through:
            ``'file'``, that file's tables all the same; ``'effective'``, the quality that it
            really has, a little misjudged.
        belief_spread: Standard deviation of that misjudgement, in octaves of the quantisation step.
        blind: Share whose tables are withheld.
    """

    qf_ranges: Sequence[tuple[int, int, float]] = ((5, 50, 0.6), (51, 98, 0.4))
    full_chroma: float = 0.15
    grey: float = 0.05
    double: float = 0.1
    double_qf: tuple[int, int] = (60, 95)
    double_shifted: float = 0.0
    shifted: float = 0.0
    resized: float = 0.0
    resized_scale: tuple[float, float] = (0.5, 2.0)
    saved_again: float = 0.4
    again_qf: tuple[int, int] = (60, 96)
    other_tables: float = 0.0
    believed: Literal["file", "effective"] = "file"
    belief_spread: float = 0.25
    blind: float = 0.1

    def draw(self, rng: np.random.Generator, crop: int, largest: int) -> History:
        """Draw what happens to a crop.

        Args:
            rng: Generator to draw from.
            crop: Side of the result, pixels.
            largest: Side of the largest clean crop that there is, at least ``crop``; where it is
                too small to cut anything off, nothing is cut off.
        """
        subsampling = "4:4:4" if rng.random() < self.full_chroma else "4:2:0"
        if rng.random() < self.resized:
            return self._resized(rng, crop, largest, subsampling)
        double = rng.random() < self.double
        # A grid is shifted by cutting the image between two codings, or behind the last one.
        between = double and rng.random() < self.double_shifted
        behind = rng.random() < self.shifted
        if largest - crop < GRID * (between + behind):
            between = behind = False
        side = crop + GRID * (between + behind)
        cut = _drawn_shift(rng) if behind else (0, 0)
        last = self._qf(rng)
        if not double:
            if rng.random() < self.other_tables:
                tables = _other_tables(last, rng)
                return History(TableJpeg(tables, subsampling=subsampling), side, cut)
            return History(Jpeg(last, subsampling), side, cut)
        first = _uniform(self.double_qf, rng)
        shift = _drawn_shift(rng) if between else 0
        quality: int | Literal["file"] = "file"
        if self.believed == "effective" and first < last:
            quality = self._misjudged(octaves_of(first), rng)
        return History(DoubleJpeg(first, last, shift, subsampling), side, cut, quality)

    def _resized(
        self, rng: np.random.Generator, crop: int, largest: int, subsampling: str
    ) -> History:
        low, high = np.log2(self.resized_scale)
        side = min(round(crop / 2 ** rng.uniform(low, high)), largest)
        first, kernel = self._qf(rng), _KERNELS[rng.integers(len(_KERNELS))]
        then = _uniform(self.again_qf, rng) if rng.random() < self.saved_again else None
        corruption = ResizedJpeg(first, crop / side, then, kernel, subsampling)
        quality: Literal["file", "error"] = "error"
        if self.believed == "file" and then is not None:
            quality = "file"
        return History(corruption, side, quality=quality)

    def tables(
        self,
        history: History,
        file: np.ndarray | None,
        clean: np.ndarray,
        spoilt: np.ndarray,
        rng: np.random.Generator,
    ) -> np.ndarray:
        """Return the tables that the restorer is told, (T, 8, 8).

        Args:
            history: What has happened.
            file: Tables of the last file, if there was one.
            clean: The clean crop, uint8, (H, W, 3) or (H, W).
            spoilt: The crop after its history, of the same shape.
            rng: Generator to draw from.
        """
        if history.quality == "file" and file is not None:
            return file
        if isinstance(history.quality, int):
            return qtables_from_qf(history.quality)
        nominal = int(history.corruption.strength)
        moved = octaves_of(equal_error_qf(clean, spoilt)) - octaves_of(nominal)
        effective = octaves_of(nominal) + np.clip(moved, -_FARTHEST, _FARTHEST)
        return qtables_from_qf(self._misjudged(effective, rng))

    def _qf(self, rng: np.random.Generator) -> int:
        weights = np.array([weight for _, _, weight in self.qf_ranges])
        low, high, _ = self.qf_ranges[rng.choice(len(weights), p=weights / weights.sum())]
        return _uniform((low, high), rng)

    def _misjudged(self, octaves: float, rng: np.random.Generator) -> int:
        return qf_of(octaves + rng.normal(0, self.belief_spread))


def equal_error_qf(clean: np.ndarray, spoilt: np.ndarray) -> int:
    """Return the quality at which one coding of ``clean`` has the error of ``spoilt`` in luma.

    Args:
        clean: The clean crop, uint8, (H, W, 3) or (H, W).
        spoilt: The crop after its history, of the same shape.
    """
    reference, given = (
        np.asarray(Image.fromarray(image).convert("L")) for image in (clean, spoilt)
    )

    def error(luma: np.ndarray) -> float:
        return float(np.square(luma.astype(np.float32) - reference).mean())

    wanted = error(given)
    low, high = 1, 100
    while low < high:  # the error falls as the quality rises
        middle = (low + high) // 2
        coded = decode_jpeg(compress_jpeg(reference, middle)).pixels
        low, high = (low, middle) if error(coded) <= wanted else (middle + 1, high)
    return low


def _uniform(bounds: Sequence[int], rng: np.random.Generator) -> int:
    """Draw a whole number; both bounds may be drawn."""
    return int(rng.integers(bounds[0], bounds[1] + 1))


def _drawn_shift(rng: np.random.Generator) -> tuple[int, int]:
    """Draw rows and columns to cut off, not all of which are on the grid."""
    rows, columns = (int(offset) for offset in rng.integers(0, GRID, 2))
    return (rows, columns) if rows or columns else (0, GRID // 4)


def _other_tables(qf: int, rng: np.random.Generator) -> tuple[int, ...]:
    """Return 128 entries of tables about as coarse as libjpeg's, of another slope over frequency.

    Cameras' and Photoshop's tables are flatter or steeper than Annex K, and treat chroma better.
    """
    tables = qtables_from_qf(qf).astype(np.float64)
    centre = np.exp(np.log(tables).mean(axis=(1, 2), keepdims=True))
    shaped = centre * (tables / centre) ** rng.uniform(0.3, 1.4)
    shaped[1] *= 2 ** rng.uniform(-1.0, 0.3)
    return tuple(np.clip(np.round(shaped), 1, 255).astype(int).flatten().tolist())
