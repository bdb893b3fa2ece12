"""Corruptions that are one lossy file: JPEG, WebP, AVIF, and by packages of their own, others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from jpeg_preproc.corruptions.contract import Coded, Coding, Corruption, Draws, Reshaping
from jpeg_preproc.jpeg.codec import SUBSAMPLINGS, compress_jpeg, decode_jpeg


class Codec(Corruption, Coding):
    """A corruption that is a single coding, and so may be a step of others."""

    def steps(self, draws: Draws) -> Sequence[Coding | Reshaping]:
        """Return the coding itself."""
        return (self,)


@dataclass(frozen=True)
class Original(Corruption):
    """Nothing happens: the reference that other corruptions are compared with."""

    kind: ClassVar[str] = "original"
    example: ClassVar[str] = "original"

    def steps(self, draws: Draws) -> Sequence[Coding | Reshaping]:
        """Return no step."""
        return ()

    @property
    def label(self) -> str:
        """What people read."""
        return "original"

    @property
    def strength(self) -> float:
        """The quality at which nothing is lost."""
        return 100.0


@dataclass(frozen=True)
class Jpeg(Codec):
    """A JPEG of libjpeg's tables: the bytes of :func:`~jpeg_preproc.jpeg.compress_jpeg`.

    Attributes:
        qf: libjpeg quality, 1-100.
        subsampling: One of :data:`~jpeg_preproc.jpeg.SUBSAMPLINGS`; grey images ignore it, and
            ``'grey'`` makes RGB grey.

    Raises:
        CorruptionError: A quality or subsampling that does not exist.

    >>> Jpeg(10).apply(np.zeros((8, 8, 3), np.uint8)).qtables.shape
    (2, 8, 8)
    """

    kind: ClassVar[str] = "jpeg"
    example: ClassVar[str] = "jpeg:10"

    # Without field(), the attribute of the base would be the default.
    qf: int = field()
    subsampling: str = "4:2:0"

    def __post_init__(self) -> None:
        self._whole("qf", 1, 100)
        self._choice("subsampling", SUBSAMPLINGS)

    @property
    def libraries(self) -> Sequence[str]:
        """What the result depends on."""
        return ("jpeg",)

    def code(self, pixels: npt.NDArray[np.uint8]) -> Coded:
        """Return the pixels after JPEG, the file and its tables."""
        return decoded_jpeg(compress_jpeg(pixels, self.qf, self.subsampling))

    @property
    def label(self) -> str:
        """What people read."""
        chroma = "" if self.subsampling == "4:2:0" else f", {self.subsampling}"
        return f"JPEG at QF {self.qf}{chroma}"

    @property
    def strength(self) -> float:
        """The quality factor."""
        return float(self.qf)


def decoded_jpeg(data: bytes) -> Coded:
    """Return a JPEG's pixels and tables beside its bytes."""
    image = decode_jpeg(data)
    return Coded(image.pixels, data, image.info.qtables)
