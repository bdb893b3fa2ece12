"""What the world does to a JPEG: saved twice, resized, cut, or once a frame of a video."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from jpeg_preproc.corruptions.codecs import Jpeg, chroma_label
from jpeg_preproc.corruptions.contract import Coding, Corruption, Draws, Reshaping
from jpeg_preproc.corruptions.reshaping import OPENCV_KERNELS, PILLOW_KERNELS, Cut, Resize
from jpeg_preproc.corruptions.video import VIDEO_CODECS, VideoFrame
from jpeg_preproc.jpeg.codec import SUBSAMPLINGS

# At 4:2:0 the grid of chroma repeats after 16 pixels.
_LARGEST_OFFSET = 15
_SCALES = (0.05, 20.0)


class _History(Corruption):
    """A history with an offset, which several check alike."""

    def _offset(self, setting: str, words: Sequence[str] = ()) -> None:
        """Make a setting an int or, where rows and columns differ, a pair."""
        value: Any = getattr(self, setting)
        if value in words:
            return
        try:
            rows, columns = _rows_and_columns(value)
        except (TypeError, ValueError):
            rows = columns = -1
        if not all(0 <= part <= _LARGEST_OFFSET for part in (rows, columns)):
            wanted = f"whole pixels from 0 to {_LARGEST_OFFSET}, or two such as rows:columns"
            raise self._wrong(setting, ", or ".join([wanted, *words]))
        object.__setattr__(self, setting, rows if rows == columns else (rows, columns))


@dataclass(frozen=True)
class DoubleJpeg(_History):
    """A JPEG that was opened and saved again, on the same grid or on another.

    Attributes:
        first: Quality of the first compression by libjpeg, 1-100.
        second: Quality of the second one, 1-100.
        shift: Pixels that are cut off between the two at top and left, 0-15, so that the second
            grid lies elsewhere; one number, or rows and columns.
        subsampling: Subsampling of both, one of :data:`~jpeg_preproc.jpeg.SUBSAMPLINGS`.

    Raises:
        CorruptionError: A setting has another value.
    """

    kind: ClassVar[str] = "double_jpeg"
    example: ClassVar[str] = "double_jpeg:10,95,shift=4"

    first: int
    second: int
    shift: int | tuple[int, int] = 0
    subsampling: str = "4:2:0"

    def __post_init__(self) -> None:
        self._whole("first", 1, 100)
        self._whole("second", 1, 100)
        self._offset("shift")
        self._choice("subsampling", SUBSAMPLINGS)

    def steps(self, draws: Draws) -> Sequence[Coding | Reshaping]:
        """Return the first compression, the cut if there is one, and the second compression."""
        cut = (Cut(*_pair(self.shift)),) if self.shift else ()
        return (Jpeg(self.first, self.subsampling), *cut, Jpeg(self.second, self.subsampling))

    @property
    def label(self) -> str:
        """What people read."""
        shift = f", grid shifted by {_spoken(self.shift)}" if self.shift else ""
        chroma = chroma_label(self.subsampling)
        return f"QF {self.first}, then QF {self.second}{shift}{chroma}"

    @property
    def strength(self) -> float:
        """The lower of the two qualities, which does the damage."""
        return float(min(self.first, self.second))


@dataclass(frozen=True)
class ResizedJpeg(_History):
    """A JPEG that was made smaller or larger, then kept losslessly or saved again.

    Attributes:
        first: Quality of the compression before, by libjpeg, 1-100.
        scale: New size divided by old size, 0.05-20.
        then: Quality of the compression after, by libjpeg, 1-100; None keeps the image losslessly.
        kernel: One of :data:`~.reshaping.PILLOW_KERNELS` or, where OpenCV is installed,
            :data:`~.reshaping.OPENCV_KERNELS`.
        subsampling: Subsampling of both compressions, one of
            :data:`~jpeg_preproc.jpeg.SUBSAMPLINGS`.

    Raises:
        CorruptionError: A setting has another value.
    """

    kind: ClassVar[str] = "resized_jpeg"
    example: ClassVar[str] = "resized_jpeg:20,0.75,then=90"

    first: int
    scale: float
    then: int | None = None
    kernel: str = "bicubic"
    subsampling: str = "4:2:0"

    def __post_init__(self) -> None:
        self._whole("first", 1, 100)
        self._number("scale", *_SCALES)
        if self.then is not None:
            self._whole("then", 1, 100)
        self._choice("kernel", [*PILLOW_KERNELS, *OPENCV_KERNELS])
        self._choice("subsampling", SUBSAMPLINGS)

    def steps(self, draws: Draws) -> Sequence[Coding | Reshaping]:
        """Return the compression, the change of size, and the second compression if any."""
        again = () if self.then is None else (Jpeg(self.then, self.subsampling),)
        return (Jpeg(self.first, self.subsampling), Resize(self.scale, self.kernel), *again)

    @property
    def label(self) -> str:
        """What people read."""
        verb = "reduced" if self.scale < 1 else "enlarged"
        again = "" if self.then is None else f", then QF {self.then}"
        kernel = "" if self.kernel == "bicubic" else f" by {self.kernel}"
        chroma = chroma_label(self.subsampling)
        return f"QF {self.first}, {verb} to {self.scale:g}{kernel}{again}{chroma}"

    @property
    def strength(self) -> float:
        """The lower of the qualities, which does the damage."""
        return float(self.first if self.then is None else min(self.first, self.then))


@dataclass(frozen=True)
class CroppedJpeg(_History):
    """A JPEG that was cut off its grid and kept losslessly, as a screenshot is.

    Attributes:
        first: Quality of the compression by libjpeg, 1-100.
        offset: Pixels that are cut off at top and left, 0-15; one number, or rows and columns;
            ``'random'`` draws each from 1-7 for every image.
        subsampling: One of :data:`~jpeg_preproc.jpeg.SUBSAMPLINGS`.

    Raises:
        CorruptionError: A setting has another value.
    """

    kind: ClassVar[str] = "cropped_jpeg"
    example: ClassVar[str] = "cropped_jpeg:20,offset=3"

    first: int
    offset: int | tuple[int, int] | str = "random"
    subsampling: str = "4:2:0"

    def __post_init__(self) -> None:
        self._whole("first", 1, 100)
        self._offset("offset", words=("random",))
        self._choice("subsampling", SUBSAMPLINGS)

    def steps(self, draws: Draws) -> Sequence[Coding | Reshaping]:
        """Return the compression and the cut."""
        if isinstance(self.offset, str):
            rows, columns = (int(part) for part in draws.generator().integers(1, 8, 2))
        else:
            rows, columns = _pair(self.offset)
        return Jpeg(self.first, self.subsampling), Cut(rows, columns)

    @property
    def label(self) -> str:
        """What people read."""
        offset = "at random" if isinstance(self.offset, str) else f"by {_spoken(self.offset)}"
        return f"QF {self.first}, cropped {offset}{chroma_label(self.subsampling)}"

    @property
    def strength(self) -> float:
        """The quality factor."""
        return float(self.first)


@dataclass(frozen=True)
class Transcoded(Corruption):
    """A frame of a video, saved as JPEG.

    AGARNet (Kim, Soh, Cho 2020) takes 30 frames at a bit rate; here each image is one intra frame
    of constant quality.

    Attributes:
        last: Quality of the JPEG by libjpeg, 1-100; it is 4:2:0.
        codec: ``'mpeg2'`` or ``'h264'``.
        quality: Quantiser scale of MPEG-2, 1-31, or CRF of H.264, 1-51; larger is worse.

    Raises:
        CorruptionError: A setting has another value.
    """

    kind: ClassVar[str] = "transcoded"
    example: ClassVar[str] = "transcoded:80,h264,30"

    last: int
    codec: str
    quality: int

    def __post_init__(self) -> None:
        self._whole("last", 1, 100)
        self._choice("codec", VIDEO_CODECS)
        known = VIDEO_CODECS[self.codec]
        self._whole("quality", known.low, known.high)

    def steps(self, draws: Draws) -> Sequence[Coding | Reshaping]:
        """Return the video's compression and the JPEG's."""
        return VideoFrame(self.codec, self.quality), Jpeg(self.last)

    @property
    def label(self) -> str:
        """What people read."""
        known = VIDEO_CODECS[self.codec]
        return f"{known.name} at {known.setting} {self.quality}, then QF {self.last}"

    @property
    def strength(self) -> float:
        """The JPEG's quality factor."""
        return float(self.last)


def _rows_and_columns(value: Any) -> tuple[int, int]:
    """Return a number, a pair or a text as a pair, or raise TypeError or ValueError."""
    if isinstance(value, str):
        value = tuple(int(part) for part in value.split(":"))
    if isinstance(value, (tuple, list)):
        rows, columns = value
        return operator.index(rows), operator.index(columns)
    return operator.index(value), operator.index(value)


def _pair(offset: int | tuple[int, int]) -> tuple[int, int]:
    return (offset, offset) if isinstance(offset, int) else offset


def _spoken(offset: int | tuple[int, int]) -> str:
    return f"{offset[0]} rows, {offset[1]} columns" if isinstance(offset, tuple) else str(offset)
