"""JPEG in memory, through Pillow, so that bytes and pixels are the field's reference ones."""

from __future__ import annotations

import io
import struct
from typing import SupportsIndex

import numpy as np
import numpy.typing as npt
from PIL import Image

from jpeg_preproc.errors import ImageReadError, QualityError
from jpeg_preproc.jpeg.tables import validate_qf

#: What ``subsampling`` may be; ``'grey'`` stores luma alone.
SUBSAMPLINGS = ("4:4:4", "4:2:2", "4:2:0", "grey")

# libjpeg's JPEG_MAX_DIMENSION; the format itself allows 65535.
_MAX_SIDE = 65500


def compress_jpeg(
    image: npt.NDArray[np.uint8],
    qf: SupportsIndex,
    subsampling: str = "4:2:0",
    orientation: int = 1,
) -> bytes:
    """Return ``image`` as a baseline JPEG, byte for byte what Pillow saves at that quality.

    Args:
        image: uint8, (H, W, 3) RGB or (H, W) grey; a grey image ignores ``subsampling``.
        qf: libjpeg quality, 1-100.
        subsampling: one of :data:`SUBSAMPLINGS`; ``'grey'`` turns RGB into BT.601 luma.
        orientation: EXIF orientation to record, 1-8; 1 writes no EXIF. Pixels are not rotated.

    Raises:
        QualityError: a quality or subsampling that does not exist.
        ImageReadError: an array of another kind, an empty or too large one, or an orientation
            outside 1-8.

    >>> len(compress_jpeg(np.zeros((8, 8, 3), np.uint8), qf=10)) > 100
    True
    """
    quality = validate_qf(qf)
    if subsampling not in SUBSAMPLINGS:
        raise QualityError(
            f"JPEG subsampling {subsampling!r} is unknown; give one of {', '.join(SUBSAMPLINGS)}."
        )
    if orientation not in range(1, 9):
        raise ImageReadError(f"EXIF orientation {orientation!r} is outside 1-8.")
    picture = Image.fromarray(check_image_array(image))
    if subsampling == "grey" and picture.mode != "L":
        picture = picture.convert("L")
    exif = _orientation_exif(orientation) if orientation != 1 else b""
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


def check_image_array(image: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """Return ``image`` if it is uint8 (H, W, 3) or (H, W) with sides of 1-65500 pixels.

    Raises:
        ImageReadError: it is not; the message says what came and what to do.
    """
    if not isinstance(image, np.ndarray) or image.dtype != np.uint8:
        kind = getattr(image, "dtype", type(image).__name__)
        raise ImageReadError(f"Image array is {kind}; give a NumPy array of uint8 in 0-255.")
    if image.ndim not in (2, 3) or (image.ndim == 3 and image.shape[2] != 3):
        raise ImageReadError(
            f"Image array has shape {image.shape}; give (H, W, 3) RGB or (H, W) grey."
        )
    height, width = image.shape[:2]
    if not (1 <= height <= _MAX_SIDE and 1 <= width <= _MAX_SIDE):
        raise ImageReadError(
            f"Image array is {width}x{height} pixels; a JPEG has sides of 1 to {_MAX_SIDE}."
        )
    return np.ascontiguousarray(image)


def _orientation_exif(orientation: int) -> bytes:
    """Return an APP1 payload whose one entry is tag 0x0112 (EXIF 2.32, 4.6.4.A)."""
    # Big-endian TIFF header, IFD0 at 8, one SHORT left-justified in its 4-byte value, no IFD1.
    tiff = struct.pack(">2sHIHHHIHHI", b"MM", 42, 8, 1, 0x0112, 3, 1, orientation, 0, 0)
    return b"Exif\0\0" + tiff
