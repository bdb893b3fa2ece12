"""By which quality an image is restored, and where that quality is from.

In order of trust: the file's own tables, where the pixels do not contradict them; an exact finding
in the pixels, on the grid of an earlier compression, wherever that starts; and what a small learned
estimator sees, which holds after a resize and after a second, weaker compression as well.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal, get_args

import numpy as np

from jpeg_preproc.errors import QualityError
from jpeg_preproc.jpeg import (
    QfChoice,
    estimate_qf,
    nearest_qf,
    qtables_from_qf,
    read_jpeg_info,
    validate_quality,
)
from jpeg_preproc.jpeg.grid import likely_corner
from jpeg_preproc.jpeg.recompression import find_earlier_compression
from jpeg_preproc.jpeg.tables import octaves_of, qf_of
from jpeg_preproc.restorers.inputs import DecodedImage
from jpeg_preproc.restorers.quality_estimator import estimate, load_estimator
from jpeg_preproc.restorers.regions import Parts, find_parts, windows_differ

#: Where a quality is from: the image's own file; an earlier compression than its file's, on the
#: same grid; a compression whose grid starts elsewhere than at the corner; an estimate from the
#: pixels; the caller; or nowhere.
QualitySource = Literal["file", "earlier", "grid", "estimated", "given", "blind"]
QUALITY_SOURCES: tuple[QualitySource, ...] = get_args(QualitySource)

# Pixels contradict what is claimed where they look coarser by this many octaves, beside the error
# that the estimator expects; by more where little is claimed, the pixels tell less, and to be wrong
# costs more. See configs/restorers/quality_estimator/README.md for what that gets wrong.
_CONTRADICTION = 0.5
_CONTRADICTION_OF_FINE = 0.8
_CONTRADICTION_OF_CLEAN = 1.5
_FINE = octaves_of(77)
# Of each image, for the exact findings.
_BLOCKS = 1024
# Confidences of exact findings are near 0 or, in small images, above this.
_FOUND = 0.2
# What looks at least as fine was never compressed, or so lightly that nothing is to be mended; no
# finer claims were shown to the estimator.
_CLEAN = octaves_of(96)
# In smaller images the estimator sees too little.
_LEAST_SIDE = 64


@dataclass(frozen=True)
class ImageQuality:
    """The quality that one image is restored by.

    Networks take those of a batch as a :class:`~jpeg_preproc.restorers.contract.Quality`.

    Attributes:
        source: Where it is from; see :data:`QualitySource`.
        qf: Nearest libjpeg quality factor, 1-100; ``None`` when blind.
        qtables: Tables in natural order, (T, 8, 8); ``None`` when blind.
        confidence: Probability, 0-1, that the steps are within half an octave of those that the
            image is best restored by; 1 for what a file or the caller says; ``None`` when blind.
        corner: Row and column, 0-7, at which the first whole block of the grid starts.
        is_clean: Whether nothing was found that restoring could mend; the image stays as it is.
        parts: Qualities of an image whose parts were compressed unlike, the largest one's first,
            whose other attributes are the image's too; empty where all of it is alike.
        of_cell: Number of the part that each cell belongs to, (rows, columns); see
            :mod:`~jpeg_preproc.restorers.regions`.
    """

    source: QualitySource
    qf: int | None = None
    qtables: np.ndarray | None = None
    confidence: float | None = None
    corner: tuple[int, int] = (0, 0)
    is_clean: bool = False
    parts: tuple[ImageQuality, ...] = ()
    of_cell: np.ndarray | None = None

    @classmethod
    def of_qf(
        cls,
        source: QualitySource,
        qf: int,
        confidence: float = 1.0,
        corner: tuple[int, int] = (0, 0),
    ) -> ImageQuality:
        """Return that of a libjpeg quality, 1-100."""
        return cls(source, qf, qtables_from_qf(qf), confidence, corner)


def find_quality(
    image: DecodedImage,
    qf: QfChoice = "auto",
    qtables: np.ndarray | None = None,
    estimate: bool = True,
) -> ImageQuality:
    """Return the quality to restore an image by.

    Args:
        image: Its tables and pixels are looked at with ``'auto'``; with ``'file'`` its tables or,
            without any, its pixels on the grid of the corner.
        qf: What to go by; see :data:`~jpeg_preproc.jpeg.QfChoice`.
        qtables: Tables in natural order, (T, 8, 8), that overrule ``qf`` and the image.
        estimate: Whether pixels are looked at. A network that ignores the quality does not need
            it, and an image without a file is then blind.

    Raises:
        QualityError: ``qf`` or the tables are out of range.

    >>> gradient = np.tile(np.arange(64, dtype=np.uint8), (64, 1))
    >>> find_quality(DecodedImage(gradient, qtables_from_qf(30)), "file").qf
    30
    """
    if qtables is not None:
        return ImageQuality("given", nearest_qf(qtables).qf, qtables, 1.0)
    choice = validate_quality(qf)
    if choice == "blind":
        return ImageQuality("blind")
    if isinstance(choice, int):
        return ImageQuality.of_qf("given", choice)
    claimed = None
    if image.qtables is not None:
        claimed = ImageQuality("file", nearest_qf(image.qtables).qf, image.qtables, 1.0)
    if not estimate:
        return claimed or ImageQuality("blind")
    if choice == "file" or min(image.pixels.shape[:2]) < _LEAST_SIDE:
        return claimed or _on_grid(image.pixels)
    return _effective(image, claimed)


def validate_strength(strength: float) -> float:
    """Return the share of a correction that is to be made, if it is a number from 0 to 1.

    Raises:
        QualityError: It is not.

    >>> validate_strength(1)
    1.0
    """
    try:
        value = float(strength)
    except (TypeError, ValueError):
        value = -1.0
    if not 0 <= value <= 1:
        raise QualityError(f"Strength {strength!r} is none; give a number from 0 to 1.")
    return value


def _on_grid(pixels: np.ndarray, corner: tuple[int, int] = (0, 0)) -> ImageQuality:
    """Return the quality of the last compression on a grid; of no confidence where there is none.

    Args:
        pixels: Pixels as uint8, (H, W, 3) RGB or (H, W) grey.
        corner: Where the first whole block starts.
    """
    found = estimate_qf(pixels[corner[0] :, corner[1] :], _BLOCKS)
    source: QualitySource = "estimated" if corner == (0, 0) else "grid"
    return ImageQuality.of_qf(source, found.qf, found.confidence, corner)


def _effective(image: DecodedImage, claimed: ImageQuality | None) -> ImageQuality:
    """Return the quality that an image really has, whatever its file claims."""
    claim = None if claimed is None else _octaves(claimed)
    seen, error, windows = estimate(load_estimator(), image.pixels, claim)
    if windows_differ(windows):
        parts = find_parts(load_estimator(), image.pixels, claim)
        if parts is not None:
            return _of_parts(parts, claimed, error)

    def explains(quality: ImageQuality) -> bool:
        """Tell whether the pixels look no coarser than a quality makes them."""
        return seen - error < _coarsest(quality)

    if claimed is not None and explains(claimed):
        return claimed
    corner = likely_corner(image.pixels)
    for start in dict.fromkeys([corner, (0, 0)]):
        exact = _on_grid(image.pixels, start)
        if (exact.confidence or 0.0) > _FOUND and explains(exact):
            is_earlier = claimed is not None and start == (0, 0)
            return replace(exact, source="earlier") if is_earlier else exact
    if claimed is not None and image.data is not None:
        earlier = find_earlier_compression(
            image.data, read_jpeg_info(image.data), image.name, _BLOCKS
        )
        if earlier is not None:
            exact = ImageQuality.of_qf("earlier", earlier.qf)
            if explains(exact):
                return exact
    return _estimated(seen, error, claimed)


def _octaves(quality: ImageQuality) -> float:
    """Return the coarseness of a quality as the estimator knows it."""
    return max(octaves_of(quality.qf or 100), _CLEAN)


def _coarsest(quality: ImageQuality) -> float:
    """Return how coarse pixels look at most that a quality explains, in octaves."""
    claim = _octaves(quality)
    if claim <= _CLEAN:
        return claim + _CONTRADICTION_OF_CLEAN
    return claim + (_CONTRADICTION if claim > _FINE else _CONTRADICTION_OF_FINE)


def _estimated(seen: float, error: float, claimed: ImageQuality | None) -> ImageQuality:
    """Return the quality of what looks as coarse as ``seen``, in octaves."""
    # Of a Laplace distribution, which is what the estimator was trained for.
    confidence = float(1 - np.exp(-0.5 / error))
    if claimed is None and seen <= _CLEAN:
        return replace(ImageQuality.of_qf("estimated", 100, confidence), is_clean=True)
    return ImageQuality.of_qf("estimated", qf_of(seen), confidence)


def _of_parts(parts: Parts, claimed: ImageQuality | None, error: float) -> ImageQuality:
    """Return the quality of an image whose parts look unlike; those as fine as the file are its."""
    qualities = []
    for octaves in parts.octaves:
        quality = _estimated(octaves, error, claimed)
        if claimed is not None and octaves < _coarsest(claimed):
            quality = claimed
        qualities.append(quality)
    return replace(qualities[0], parts=tuple(qualities), of_cell=parts.of_cell)
