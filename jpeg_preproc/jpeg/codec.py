"""JPEG in memory, through Pillow, so that bytes and pixels are the field's reference ones."""

from __future__ import annotations

import io
import shlex
from dataclasses import dataclass
from typing import SupportsIndex

import numpy as np
import numpy.typing as npt
from PIL import Image, JpegImagePlugin

from jpeg_preproc.defaults import MAX_PIXELS
from jpeg_preproc.errors import ImageReadError, QualityError
from jpeg_preproc.jpeg.exif import orientation_exif
from jpeg_preproc.jpeg.header import JpegInfo, read_jpeg_info
from jpeg_preproc.jpeg.segments import metadata_removed
from jpeg_preproc.jpeg.source import Source, source_bytes, source_name
from jpeg_preproc.jpeg.tables import validate_qf

#: What ``subsampling`` may be; ``'grey'`` stores luma alone.
SUBSAMPLINGS = ("4:4:4", "4:2:2", "4:2:0", "grey")

# So many scans may the largest image have, and a smaller one more: encoders write about ten.
_MOST_SCANS = 20
# libjpeg's JPEG_MAX_DIMENSION; the format itself allows 65535.
_MAX_SIDE = 65500


@dataclass(frozen=True, eq=False)
class JpegImage:
    """A decoded JPEG.

    Attributes:
        pixels: Pixels as uint8, (H, W, 3) RGB or (H, W) grey, in stored orientation.
        info: Header of the file.
    """

    pixels: npt.NDArray[np.uint8]
    info: JpegInfo


def compress_jpeg(
    image: npt.NDArray[np.uint8],
    qf: SupportsIndex,
    subsampling: str = "4:2:0",
    orientation: int = 1,
) -> bytes:
    """Return ``image`` as a baseline JPEG, byte for byte what Pillow saves at that quality.

    Args:
        image: Pixels as uint8, (H, W, 3) RGB or (H, W) grey; a grey image ignores ``subsampling``.
        qf: Quality of libjpeg, 1-100.
        subsampling: One of :data:`SUBSAMPLINGS`; ``'grey'`` turns RGB into BT.601 luma.
        orientation: EXIF orientation to record, 1-8; 1 writes no EXIF. Pixels are not rotated.

    Raises:
        QualityError: A quality or subsampling does not exist.
        ImageReadError: The array is of another kind, empty or too large, or the orientation is
            outside 1-8.

    >>> len(compress_jpeg(np.zeros((8, 8, 3), np.uint8), qf=10)) > 100
    True
    """
    return compress_picture(Image.fromarray(check_image_array(image)), qf, subsampling, orientation)


def compress_picture(
    picture: Image.Image, qf: SupportsIndex, subsampling: str = "4:2:0", orientation: int = 1
) -> bytes:
    """Return a picture in Pillow's memory as a JPEG: :func:`compress_jpeg` without the copies.

    Args:
        picture: Picture of mode RGB or L, with nothing in its ``info``, which Pillow would write
            too.
        qf: Quality of libjpeg, 1-100.
        subsampling: One of :data:`SUBSAMPLINGS`; a grey picture ignores it.
        orientation: EXIF orientation to record, 1-8; 1 writes no EXIF. Pixels are not rotated.

    Raises:
        QualityError: A quality or subsampling does not exist.
        ImageReadError: A side is over 65500 pixels, or the orientation is outside 1-8.
    """
    quality = validate_qf(qf)
    if subsampling not in SUBSAMPLINGS:
        raise QualityError(
            f"JPEG subsampling {subsampling!r} is unknown; give one of {', '.join(SUBSAMPLINGS)}."
        )
    exif = b"" if orientation == 1 else orientation_exif(orientation)
    _check_sides(*picture.size)
    if subsampling == "grey" and picture.mode != "L":
        picture = picture.convert("L")
    stream = io.BytesIO()
    if picture.mode == "L":
        # A grey image has nothing to subsample, and factors other than 1x1 confuse some readers.
        picture.save(stream, "JPEG", quality=quality, exif=exif)
    else:
        picture.save(stream, "JPEG", quality=quality, subsampling=subsampling, exif=exif)
    return stream.getvalue()


def roundtrip(
    image: npt.NDArray[np.uint8], qf: SupportsIndex, subsampling: str = "4:2:0"
) -> npt.NDArray[np.uint8]:
    """Return ``image`` compressed and decoded again: same dtype, and shape but for ``'grey'``.

    Arguments and errors are those of :func:`compress_jpeg`; ``'grey'`` gives (H, W).

    >>> roundtrip(np.full((5, 7, 3), 90, np.uint8), qf=50).shape
    (5, 7, 3)
    """
    with Image.open(io.BytesIO(compress_jpeg(image, qf, subsampling))) as picture:
        return np.array(picture)


def decode_jpeg(
    source: Source, name: str | None = None, max_pixels: int | None = MAX_PIXELS
) -> JpegImage:
    """Decode a JPEG to the pixels that Pillow and OpenCV give, in stored orientation.

    EXIF, colour profiles and further images in the file do not touch the pixels.

    Args:
        source: A file's path, or its bytes.
        name: What an error calls bytes that came from a file; by default the path.
        max_pixels: Most pixels that are decoded; ``None`` for any number.

    Raises:
        ImageReadError: See :func:`~jpeg_preproc.jpeg.header.read_jpeg_info`; or the file is
            truncated, CMYK, of more than 8 bits per sample, or one that libjpeg cannot decode.
            Damage that libjpeg bridges silently (bits flipped inside a scan) is not noticed.

    >>> decode_jpeg(compress_jpeg(np.zeros((9, 7, 3), np.uint8), qf=30)).pixels.shape
    (9, 7, 3)
    """
    name = source_name(source) if name is None else name
    picture, info = decode_picture(source_bytes(source), name, max_pixels=max_pixels)
    return JpegImage(pixels=np.array(picture), info=info)


def decode_picture(
    data: bytes,
    name: str,
    draft: tuple[str, int] | None = None,
    max_pixels: int | None = MAX_PIXELS,
) -> tuple[Image.Image, JpegInfo]:
    """Decode a JPEG into Pillow's memory: :func:`decode_jpeg` without a copy.

    Args:
        data: Bytes of the file.
        name: What an error calls the file.
        draft: Mode to decode to instead, ``'L'`` or ``'YCbCr'``, which leaves libjpeg's conversion
            to RGB out, and 1, or 2 for half the size.
        max_pixels: Most pixels that are decoded; ``None`` for any number.

    Returns:
        A picture of mode RGB or L, or that of ``draft``, with nothing in its ``info``, and the
        header.

    Raises:
        ImageReadError: See :func:`decode_jpeg`.
    """
    info = read_jpeg_info(data, name=name)
    refuse_undecodable(info, name, max_pixels)
    # The plugin's class, not Image.open: that one also warns of large images and parses the index
    # of further images; a damaged EXIF block is taken away for the same reason.
    try:
        with JpegImagePlugin.JpegImageFile(io.BytesIO(metadata_removed(data))) as picture:
            if draft is not None:
                mode, divisor = draft
                # Pillow takes the least size that is no smaller than this.
                picture.draft(mode, (info.width // divisor, info.height // divisor))
            # In one piece: in pieces of 64 KB libjpeg stops and goes on again at each.
            picture.decodermaxblock = len(data)
            picture.load()
    except MemoryError:
        raise
    except Exception as error:  # one error, whatever a damaged file makes Pillow raise
        # Whether libjpeg was built with arithmetic decoding differs between Pillow's builds.
        mend = (
            "its arithmetic coding may be what this build of Pillow lacks; convert it to PNG"
            if info.arithmetic
            else "fetch or export the file again"
        )
        raise ImageReadError(f"{name} cannot be decoded ({error}); {mend}.") from error
    picture.info.clear()
    return picture, info


def check_pixel_count(width: int, height: int, name: str, max_pixels: int | None) -> None:
    """Refuse an image that is larger than is allowed.

    Raises:
        ImageReadError: It has more than ``max_pixels``.
    """
    if max_pixels is not None and width * height > max_pixels:
        raise ImageReadError(
            f"{name} has {width}x{height} pixels, more than the {max_pixels} that are allowed; if "
            "you trust it, allow more (--max-pixels, in Python and in configs max_pixels)."
        )


def refuse_undecodable(info: JpegInfo, name: str, max_pixels: int | None = MAX_PIXELS) -> None:
    """Refuse a JPEG of a kind that is not supported, by its header.

    Raises:
        ImageReadError: The file is truncated, CMYK, of more than 8 bits, larger than
            ``max_pixels``, or of so many scans that decoding it takes minutes.
    """
    if info.truncated:
        raise ImageReadError(
            f"{name} is truncated: it stops before its end marker; fetch or export it again."
        )
    if info.components == 4:
        raise ImageReadError(
            f"{name} is a CMYK JPEG, which is not supported; convert it first: "
            f"magick {shlex.quote(name)} -colorspace sRGB OUT.jpg"
        )
    if info.components not in (1, 3):
        raise ImageReadError(
            f"{name} has {info.components} colour components; 1 (grey) and 3 (RGB) are supported."
        )
    if info.precision != 8:
        raise ImageReadError(
            f"{name} has {info.precision} bits per sample, and 8 are supported; convert it first: "
            f"magick {shlex.quote(name)} -depth 8 OUT.png"
        )
    check_pixel_count(info.width, info.height, name, max_pixels)
    if max_pixels and (info.scans or 1) * info.width * info.height > _MOST_SCANS * max_pixels:
        raise ImageReadError(
            f"{name} has {info.scans} scans of {info.width}x{info.height} pixels, and each is "
            "decoded one over the other; if you trust it, allow more pixels (--max-pixels, in "
            "Python and in configs max_pixels), or save it anew."
        )


def check_image_array(image: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """Return ``image`` if it is uint8 (H, W, 3) or (H, W) with sides of 1-65500 pixels.

    Raises:
        ImageReadError: The array is of another kind; the message says what came and what to do.
    """
    if not isinstance(image, np.ndarray) or image.dtype != np.uint8:
        kind = getattr(image, "dtype", type(image).__name__)
        raise ImageReadError(f"Image array is {kind}; give a NumPy array of uint8 in 0-255.")
    if image.ndim not in (2, 3) or (image.ndim == 3 and image.shape[2] != 3):
        raise ImageReadError(
            f"Image array has shape {image.shape}; give (H, W, 3) RGB or (H, W) grey."
        )
    height, width = image.shape[:2]
    _check_sides(width, height)
    return np.ascontiguousarray(image)


def _check_sides(width: int, height: int) -> None:
    if not (1 <= height <= _MAX_SIDE and 1 <= width <= _MAX_SIDE):
        raise ImageReadError(
            f"Image is {width}x{height} pixels; a JPEG has sides of 1 to {_MAX_SIDE}."
        )
