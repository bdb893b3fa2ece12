"""Corruptions that are one lossy file: JPEG, WebP, AVIF, and by packages of their own, others."""

from __future__ import annotations

import io
from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
from PIL import Image

from jpeg_preproc.corruptions.contract import Coded, Coding, Corruption, Draws, Reshaping
from jpeg_preproc.errors import CorruptionError
from jpeg_preproc.jpeg.codec import SUBSAMPLINGS, compress_jpeg, decode_jpeg
from jpeg_preproc.jpeg.versions import encoder_versions, import_library


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
        qf: Quality of libjpeg, 1-100.
        subsampling: One of :data:`~jpeg_preproc.jpeg.SUBSAMPLINGS`. Grey images ignore it;
            ``'grey'`` makes RGB grey, so that the result is (H, W).

    Raises:
        CorruptionError: There is no such quality or subsampling.

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
        return f"JPEG at QF {self.qf}{chroma_label(self.subsampling)}"

    @property
    def strength(self) -> float:
        """The quality factor."""
        return float(self.qf)


def chroma_label(subsampling: str) -> str:
    """Return what a label says about the subsampling: nothing of the usual one."""
    return "" if subsampling == "4:2:0" else f", {subsampling}"


def decoded_jpeg(data: bytes) -> Coded:
    """Return a JPEG's pixels and tables beside its bytes."""
    image = decode_jpeg(data)
    return Coded(image.pixels, data, image.info.qtables)


class _QualityCodec(Codec):
    """A codec with a quality, whose files Pillow or the codec's own package writes."""

    quality: int
    _name: ClassVar[str]
    _range: ClassVar[tuple[int, int]] = (0, 100)

    def __post_init__(self) -> None:
        self._whole("quality", *self._range)

    @property
    def libraries(self) -> Sequence[str]:
        """What the result depends on."""
        return (self.kind,)

    @property
    def label(self) -> str:
        """What people read."""
        return f"{self._name} at quality {self.quality}"

    @property
    def strength(self) -> float:
        """The codec's own quality."""
        return float(self.quality)

    @abstractmethod
    def encode(self, pixels: npt.NDArray[np.uint8]) -> bytes:
        """Return uint8 (H, W, 3) or (H, W) pixels as a file, or raise what the codec raises."""

    def code(self, pixels: npt.NDArray[np.uint8]) -> Coded:
        """Return the pixels after coding, grey ones as grey, and the file."""
        try:
            data = self.encode(pixels)
        except CorruptionError:
            raise
        except (OSError, ValueError, RuntimeError) as error:
            height, width = pixels.shape[:2]
            raise CorruptionError(
                f"An image of {width}x{height} pixels cannot be written as {self._name} "
                f"({error}); give a smaller one or another corruption."
            ) from error
        return self.decode(data, is_grey=pixels.ndim == 2)

    def decode(self, data: bytes, is_grey: bool) -> Coded:
        """Return what is in a file, as grey or RGB pixels."""
        # Not load_image: what was just written here may be of a format that is not read from files.
        with Image.open(io.BytesIO(data)) as picture:
            return Coded(np.array(picture.convert("L" if is_grey else "RGB")), data)

    def _saved(self, pixels: npt.NDArray[np.uint8], format_: str, **options: Any) -> bytes:
        """Return what Pillow writes; a format that knows no grey gets three equal channels."""
        stream = io.BytesIO()
        Image.fromarray(pixels).save(stream, format_, quality=self.quality, **options)
        return stream.getvalue()


@dataclass(frozen=True)
class WebP(_QualityCodec):
    """Lossy WebP, which has no grey: grey images pass through RGB and back.

    Attributes:
        quality: Quality of libwebp, 0-100.

    Raises:
        CorruptionError: There is no such quality.
    """

    kind: ClassVar[str] = "webp"
    example: ClassVar[str] = "webp:30"
    axis: ClassVar[str] = "WebP quality"
    _name: ClassVar[str] = "WebP"

    quality: int

    def encode(self, pixels: npt.NDArray[np.uint8]) -> bytes:
        """Return the file, of libwebp's method 4."""
        return self._saved(pixels, "WEBP", method=4)


@dataclass(frozen=True)
class Avif(_QualityCodec):
    """AVIF by AOM's AV1 encoder at 4:2:0 and speed 6, in one thread; grey stays grey.

    Attributes:
        quality: Quality of libavif, 0-100.

    Raises:
        CorruptionError: There is no such quality.
    """

    kind: ClassVar[str] = "avif"
    example: ClassVar[str] = "avif:40"
    axis: ClassVar[str] = "AVIF quality"
    _name: ClassVar[str] = "AVIF"

    quality: int

    def encode(self, pixels: npt.NDArray[np.uint8]) -> bytes:
        """Return the file."""
        # Pillow before 11.3 would say no more than that it knows no such format.
        encoder_versions("avif")
        subsampling = "4:0:0" if pixels.ndim == 2 else "4:2:0"
        return self._saved(
            pixels, "AVIF", codec="aom", speed=6, max_threads=1, subsampling=subsampling
        )


@dataclass(frozen=True)
class JpegXL(_QualityCodec):
    """Lossy JPEG XL at effort 7, by pillow-jxl-plugin; grey stays grey.

    Attributes:
        quality: Quality of libjxl, 1-99; 100 would be lossless.

    Raises:
        CorruptionError: There is no such quality.
    """

    kind: ClassVar[str] = "jpegxl"
    example: ClassVar[str] = "jpegxl:30"
    axis: ClassVar[str] = "JPEG XL quality"
    _name: ClassVar[str] = "JPEG XL"
    _range: ClassVar[tuple[int, int]] = (1, 99)

    quality: int

    def encode(self, pixels: npt.NDArray[np.uint8]) -> bytes:
        """Return the file."""
        import_library("jpegxl")
        return self._saved(pixels, "JXL", effort=7, num_threads=1)


@dataclass(frozen=True)
class Jpegli(_QualityCodec):
    """A JPEG by jpegli, whose quantisation adapts to the image, by pyjpegli.

    Any JPEG decoder reads it; here libjpeg does. Its qualities are meant to look as good as those
    of libjpeg. It has no grey here: grey images pass through RGB and back, and the file is a colour
    one.

    Attributes:
        quality: Quality of jpegli, 1-100.

    Raises:
        CorruptionError: There is no such quality.
    """

    kind: ClassVar[str] = "jpegli"
    example: ClassVar[str] = "jpegli:30"
    axis: ClassVar[str] = "jpegli quality"
    _name: ClassVar[str] = "jpegli"
    _range: ClassVar[tuple[int, int]] = (1, 100)

    quality: int

    @property
    def libraries(self) -> Sequence[str]:
        """What the result depends on: what encodes and what decodes."""
        return ("jpegli", "jpeg")

    def encode(self, pixels: npt.NDArray[np.uint8]) -> bytes:
        """Return the file."""
        height, width = pixels.shape[:2]
        colour = np.repeat(pixels[..., None], 3, axis=2) if pixels.ndim == 2 else pixels
        encoded: bytes = import_library("jpegli").encode(
            np.ascontiguousarray(colour), width, height, quality=self.quality
        )
        return encoded

    def decode(self, data: bytes, is_grey: bool) -> Coded:
        """Return what is in a file, as grey or RGB pixels, and its tables."""
        coded = decoded_jpeg(data)
        if is_grey:
            coded = replace(coded, pixels=np.array(Image.fromarray(coded.pixels).convert("L")))
        return coded
