"""The EXIF that matters here, orientation: read it, write it, act on it, and set it to upright."""

from __future__ import annotations

import struct
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from jpeg_preproc.errors import ImageReadError

EXIF_PREFIX = b"Exif\0\0"

_ORIENTATION_TAG = 0x0112
_EXIF_IFD_TAG = 0x8769
_WIDTH_TAG, _HEIGHT_TAG = 0xA002, 0xA003  # PixelXDimension, PixelYDimension
# TIFF field types that writers use for a small number, by type code: BYTE, SHORT, LONG.
_TYPE_FORMATS = {1: "B", 3: "H", 4: "I"}
_BYTE_ORDERS = {b"II*\0": "<", b"MM\0*": ">"}


def parse_orientation(exif: bytes) -> int:
    """Return the orientation in an EXIF payload, 1-8; 1 where it is absent or damaged.

    Reads IFD0 alone (EXIF 2.32, 4.5 and 4.6.4), so the IFD of an embedded thumbnail, which may
    have an orientation of its own, is never taken for the image's.

    Args:
        exif: TIFF structure of either byte order, with or without the ``Exif`` prefix.

    >>> parse_orientation(orientation_exif(6)), parse_orientation(b"damaged")
    (6, 1)
    """
    tiff = exif.removeprefix(EXIF_PREFIX)
    order = _BYTE_ORDERS.get(tiff[:4])
    if order is None:
        return 1
    try:
        (offset,) = struct.unpack_from(f"{order}I", tiff, 4)
        for tag, code, at in _small_numbers(tiff, order, offset):
            if tag == _ORIENTATION_TAG:
                (value,) = struct.unpack_from(code, tiff, at)
                return value if 1 <= value <= 8 else 1
    except struct.error:  # an offset or a count that points outside the payload
        return 1
    return 1


def upright_exif(exif: bytes, width: int, height: int) -> bytes:
    """Return an EXIF payload for the same picture turned upright.

    The orientation becomes 1, the recorded size that of the upright picture, and the thumbnail,
    which shows the picture before, is no longer referred to. All else, maker notes with their
    absolute offsets too, stays byte for byte where it was.

    Args:
        exif: TIFF structure of either byte order, with or without the ``Exif`` prefix.
        width: Width of the upright picture, pixels.
        height: Height of the upright picture, pixels.

    Returns:
        With the ``Exif`` prefix; empty if ``exif`` is damaged.

    >>> parse_orientation(upright_exif(orientation_exif(6), 640, 480))
    1
    """
    tiff = bytearray(exif.removeprefix(EXIF_PREFIX))
    order = _BYTE_ORDERS.get(bytes(tiff[:4]))
    if order is None:
        return b""
    values = {_ORIENTATION_TAG: 1, _WIDTH_TAG: width, _HEIGHT_TAG: height}
    try:
        (main,) = struct.unpack_from(f"{order}I", tiff, 4)
        directories = [main]
        for directory in directories:  # grows by the EXIF directory, which IFD0 points to
            for tag, code, at in list(_small_numbers(tiff, order, directory)):
                if tag in values:
                    struct.pack_into(code, tiff, at, values[tag])
                elif tag == _EXIF_IFD_TAG and directory == main:
                    directories += struct.unpack_from(code, tiff, at)
        (count,) = struct.unpack_from(f"{order}H", tiff, main)
        struct.pack_into(f"{order}I", tiff, main + 2 + 12 * count, 0)  # no IFD1
    except struct.error:  # also a width that a SHORT cannot hold
        return b""
    return EXIF_PREFIX + bytes(tiff)


def _small_numbers(
    tiff: bytes | bytearray, order: str, offset: int
) -> Iterator[tuple[int, str, int]]:
    """Yield tag, struct format and position of each entry of an IFD that holds a whole number."""
    (count,) = struct.unpack_from(f"{order}H", tiff, offset)
    for entry in range(offset + 2, offset + 2 + 12 * count, 12):
        tag, kind = struct.unpack_from(f"{order}HH", tiff, entry)
        if kind in _TYPE_FORMATS:
            yield tag, order + _TYPE_FORMATS[kind], entry + 8


def orientation_exif(orientation: int) -> bytes:
    """Return an APP1 payload that holds ``orientation`` (1-8) and nothing else.

    Raises:
        ImageReadError: ``orientation`` is outside 1-8.
    """
    _check(orientation)
    # Big-endian TIFF header, IFD0 at 8, one SHORT left-justified in its 4-byte value, no IFD1.
    entry = struct.pack(">HHIHH", _ORIENTATION_TAG, 3, 1, orientation, 0)
    return EXIF_PREFIX + struct.pack(">2sHIH", b"MM", 42, 8, 1) + entry + struct.pack(">I", 0)


def apply_orientation(pixels: npt.NDArray[np.uint8], orientation: int) -> npt.NDArray[np.uint8]:
    """Return ``pixels`` turned from stored to upright orientation, as viewers show them.

    Args:
        pixels: Pixels in stored orientation, (H, W, ...), any dtype.
        orientation: EXIF orientation of the stored pixels, 1-8; 5-8 swap height and width.

    Raises:
        ImageReadError: ``orientation`` is outside 1-8.

    >>> apply_orientation(np.array([[1, 2], [3, 4]], np.uint8), 6).tolist()
    [[3, 1], [4, 2]]
    """
    _check(orientation)
    if orientation >= 5:
        pixels = pixels.swapaxes(0, 1)
    # After the transposition each orientation is a choice of axes to mirror.
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    return np.ascontiguousarray(pixels)


def _check(orientation: int) -> None:
    if orientation not in range(1, 9):
        raise ImageReadError(f"EXIF orientation {orientation!r} is outside 1-8; 1 is upright.")
