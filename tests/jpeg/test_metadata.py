"""EXIF and colour profiles, read and set upright, against what Pillow reads."""

from __future__ import annotations

import io
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import ExifTags, Image, ImageCms

from jpeg_preproc.errors import ImageReadError
from jpeg_preproc.jpeg.exif import orientation_exif, parse_orientation, upright_exif
from jpeg_preproc.jpeg.metadata import Metadata, read_metadata

PROFILE = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def saved(photo: np.ndarray, kind: str = "JPEG", **options: Any) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(photo).save(stream, kind, **options)
    return stream.getvalue()


def camera_exif(endian: str) -> bytes:
    """What a camera writes: size, a maker note and a thumbnail beside the orientation."""
    exif = Image.Exif()
    exif.endian = endian
    exif[ExifTags.Base.Orientation] = 6
    exif[ExifTags.Base.Model] = "Camera"
    exif.get_ifd(ExifTags.IFD.Exif).update(
        {
            ExifTags.Base.ExifImageWidth: 184,
            ExifTags.Base.ExifImageHeight: 120,
            ExifTags.Base.MakerNote: b"absolute offsets within",
        }
    )
    tiff = bytearray(exif.tobytes()[6:])
    # Pillow reads IFD1, the thumbnail's, and does not write it: one entry, compression 6 (JPEG).
    (main,) = struct.unpack_from(f"{endian}I", tiff, 4)
    (count,) = struct.unpack_from(f"{endian}H", tiff, main)
    struct.pack_into(f"{endian}I", tiff, main + 2 + 12 * count, len(tiff))
    thumbnail = struct.pack(f"{endian}HHHIHHI", 1, ExifTags.Base.Compression, 3, 1, 6, 0, 0)
    return b"Exif\0\0" + bytes(tiff) + thumbnail


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_exif_and_profile_are_those_that_were_saved(photo: np.ndarray, kind: str) -> None:
    exif = camera_exif("<")
    metadata = read_metadata(saved(photo, kind, exif=exif, icc_profile=PROFILE))
    assert metadata == Metadata(kind, exif, PROFILE)
    assert read_metadata(saved(photo, kind)) == Metadata(kind)


def test_a_profile_in_pieces(photo: np.ndarray) -> None:
    profile = bytes(range(256)) * 600  # three segments
    data = saved(photo, icc_profile=profile)
    assert read_metadata(data).icc == profile
    first = data.index(b"ICC_PROFILE\0")
    second = data.index(b"ICC_PROFILE\0", first + 1)
    assert read_metadata(data[: second - 4] + data[second - 4 + 65535 :]).icc != profile
    lost = data.replace(b"ICC_PROFILE\0\x02\x03", b"ICC_UNKNOWN\0\x02\x03")
    assert lost != data
    assert read_metadata(lost).icc == b""


def test_what_is_cut_off_counts_as_absent(photo: np.ndarray, tmp_path: Path) -> None:
    data = saved(photo, exif=camera_exif("<"), icc_profile=PROFILE)
    (tmp_path / "cut.jpg").write_bytes(data[:600])
    cut = read_metadata(tmp_path / "cut.jpg")
    assert (cut.format, cut.icc) == ("JPEG", b"")


def test_no_image_is_an_error_by_name(tmp_path: Path) -> None:
    (tmp_path / "text.png").write_text("no image")
    with pytest.raises(ImageReadError, match=r"text\.png"):
        read_metadata(tmp_path / "text.png")


@pytest.mark.parametrize("endian", ["<", ">"])
def test_exif_set_upright(endian: str) -> None:
    original = camera_exif(endian)
    upright = upright_exif(original, 120, 184)
    before, after = Image.Exif(), Image.Exif()
    before.load(original)
    after.load(upright)
    assert before[ExifTags.Base.Orientation] == 6
    assert after[ExifTags.Base.Orientation] == 1
    assert after[ExifTags.Base.Model] == "Camera"
    inner = after.get_ifd(ExifTags.IFD.Exif)
    assert inner[ExifTags.Base.ExifImageWidth] == 120
    assert inner[ExifTags.Base.ExifImageHeight] == 184
    assert inner[ExifTags.Base.MakerNote] == b"absolute offsets within"
    assert before.get_ifd(ExifTags.IFD.IFD1)
    assert not after.get_ifd(ExifTags.IFD.IFD1)
    # Maker notes refer to places in the file: nothing may move.
    assert len(upright) == len(original)
    assert upright.index(b"absolute") == original.index(b"absolute")


@pytest.mark.parametrize(
    "damaged", [b"", b"Exif\0\0", b"Exif\0\0II*\0\xff\xff\xff\x7f", b"nothing"]
)
def test_damaged_exif_becomes_none(damaged: bytes) -> None:
    assert upright_exif(damaged, 8, 8) == b""


@pytest.mark.parametrize("orientation", range(1, 9))
def test_our_own_exif_set_upright(orientation: int) -> None:
    assert parse_orientation(upright_exif(orientation_exif(orientation), 8, 8)) == 1
