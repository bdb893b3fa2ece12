"""Orientation: read against Pillow's EXIF, applied against Pillow's transposition."""

from __future__ import annotations

import struct

import numpy as np
import pytest
from PIL import Image, ImageOps

from jpeg_preproc.errors import ImageReadError
from jpeg_preproc.jpeg import apply_orientation
from jpeg_preproc.jpeg.exif import orientation_exif, parse_orientation


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation_is_what_pillow_wrote(orientation: int, order: str) -> None:
    exif = Image.Exif()
    exif.endian = order
    exif[0x010F] = "a maker"
    exif[0x0112] = orientation
    exif[0x011A] = 72.0
    payload = exif.tobytes()
    assert parse_orientation(payload) == orientation
    assert parse_orientation(payload.removeprefix(b"Exif\0\0")) == orientation


@pytest.mark.parametrize("orientation", range(1, 9))
def test_pillow_reads_what_is_written(orientation: int) -> None:
    exif = Image.Exif()
    exif.load(orientation_exif(orientation))
    assert dict(exif) == {0x0112: orientation}


@pytest.mark.parametrize(("kind", "code"), [(1, "B3x"), (3, "H2x"), (4, "I")])
def test_any_whole_number_type_is_understood(kind: int, code: str) -> None:
    entry = struct.pack("<HHI" + code, 0x0112, kind, 1, 5)
    assert parse_orientation(b"II*\0\x08\0\0\0\x01\0" + entry) == 5


@pytest.mark.parametrize("value", [0, 9, 65535])
def test_a_value_without_meaning_is_upright(value: int) -> None:
    entry = struct.pack(">HHIHH", 0x0112, 3, 1, value, 0)
    assert parse_orientation(b"Exif\0\0MM\0*\0\0\0\x08\0\x01" + entry) == 1


def test_damage_never_raises() -> None:
    whole = orientation_exif(6)
    results = {parse_orientation(whole[:length]) for length in range(len(whole))}
    assert results == {1, 6}  # cut behind the entry it is still readable
    assert parse_orientation(whole[: 6 + 8 + 2 + 11]) in (1, 6)
    rng = np.random.default_rng(3)
    for _ in range(500):
        damaged = bytearray(whole)
        for place in rng.integers(0, len(whole), 3):
            damaged[place] = rng.integers(256)
        assert 1 <= parse_orientation(bytes(damaged)) <= 8


def test_no_exif_and_exif_without_orientation_are_upright() -> None:
    assert parse_orientation(b"") == 1
    assert parse_orientation(b"Exif\0\0MM\0*\0\0\0\x08\0\0") == 1


@pytest.mark.parametrize("shape", [(5, 7), (5, 7, 3), (1, 1, 3)])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_pixels_turn_as_pillows_do(orientation: int, shape: tuple[int, ...]) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    picture = Image.fromarray(pixels)
    picture.getexif()[0x0112] = orientation
    upright = apply_orientation(pixels, orientation)
    np.testing.assert_array_equal(upright, np.array(ImageOps.exif_transpose(picture)))
    assert upright.flags.c_contiguous


@pytest.mark.parametrize("orientation", [0, 9])
def test_an_orientation_that_does_not_exist_is_refused(orientation: int) -> None:
    with pytest.raises(ImageReadError, match=f"orientation {orientation}"):
        apply_orientation(np.zeros((2, 2), np.uint8), orientation)
