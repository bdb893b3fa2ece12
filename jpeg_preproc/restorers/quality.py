"""By which quality an image is restored, and where that quality is from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from jpeg_preproc.jpeg import (
    QfChoice,
    estimate_qf,
    nearest_qf,
    qtables_from_qf,
    validate_quality,
)
from jpeg_preproc.restorers.inputs import DecodedImage

#: Where a quality is from: the image's own file, an estimate from its pixels, the caller, or
#: nowhere.
QualitySource = Literal["file", "estimated", "given", "blind"]


@dataclass(frozen=True)
class ImageQuality:
    """The quality that one image is restored by.

    Networks take those of a batch as a :class:`~jpeg_preproc.restorers.contract.Quality`.

    Attributes:
        source: Where it is from; see :data:`QualitySource`.
        qf: Nearest libjpeg quality factor, 1-100; ``None`` when blind.
        qtables: Tables in natural order, (T, 8, 8); ``None`` when blind.
    """

    source: QualitySource
    qf: int | None = None
    qtables: np.ndarray | None = None


def find_quality(
    image: DecodedImage,
    qf: QfChoice = "auto",
    qtables: np.ndarray | None = None,
    estimate: bool = True,
) -> ImageQuality:
    """Return the quality to restore an image by.

    Args:
        image: Its tables are taken, or else its pixels looked at, with ``'auto'`` and ``'file'``.
        qf: What to go by; see :data:`~jpeg_preproc.jpeg.QfChoice`.
        qtables: Tables in natural order, (T, 8, 8), that overrule ``qf`` and the image.
        estimate: Whether pixels without a file are looked at. A network that ignores the quality
            does not need it, and such an image is then blind.

    Raises:
        QualityError: ``qf`` or the tables are out of range.

    >>> gradient = np.tile(np.arange(64, dtype=np.uint8), (64, 1))
    >>> find_quality(DecodedImage(gradient, qtables_from_qf(30))).qf
    30
    """
    if qtables is not None:
        return ImageQuality("given", nearest_qf(qtables).qf, qtables)
    choice = validate_quality(qf)
    if choice == "blind":
        return ImageQuality("blind")
    if isinstance(choice, int):
        return ImageQuality("given", choice, qtables_from_qf(choice))
    if image.qtables is not None:
        return ImageQuality("file", nearest_qf(image.qtables).qf, image.qtables)
    if not estimate:
        return ImageQuality("blind")
    factor = estimate_qf(image.pixels).qf
    return ImageQuality("estimated", factor, qtables_from_qf(factor))
