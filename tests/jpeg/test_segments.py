"""The parts of a JPEG stream, read from memory and from disk, and what is dropped of them."""

from __future__ import annotations

import io
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from jpeg_preproc.jpeg.header import read_jpeg_info
from jpeg_preproc.jpeg.segments import metadata_removed


def saved(photo: np.ndarray, **options) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(photo).save(stream, "JPEG", **options)
    return stream.getvalue()


def streams(photo: np.ndarray) -> dict[str, bytes]:
    plain = saved(photo, quality=80)
    return {
        "plain": plain,
        "progressive": saved(photo, progressive=True, quality=30),
        "restarts": saved(photo, restart_marker_rows=1),
        "commented": saved(photo, comment=b"mine", dpi=(300, 300)),
        "cut": plain[: len(plain) // 2],
        "cut before another": plain[: len(plain) // 2] + plain,
        "trailed": plain + b"\xff\xff tail",
    }


@pytest.mark.parametrize("scans", [True, False])
def test_a_header_is_the_same_from_memory_and_from_disk(
    photo: np.ndarray, tmp_path: Path, scans: bool
) -> None:
    for name, data in streams(photo).items():
        path = tmp_path / "a.jpg"
        path.write_bytes(data)
        found, expected = read_jpeg_info(data, scans), read_jpeg_info(path, scans)
        for each in fields(found):
            ours, theirs = getattr(found, each.name), getattr(expected, each.name)
            assert np.array_equal(ours, theirs), f"{name}: {each.name}"
        assert expected.truncated == (name.startswith("cut") if scans else None)


def test_a_file_without_metadata_is_not_copied(photo: np.ndarray) -> None:
    data = saved(photo)
    assert metadata_removed(data) is data


def test_metadata_goes_and_pixels_stay(photo: np.ndarray) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    data = saved(photo, exif=exif, icc_profile=b"profile", comment=b"mine")
    bare = metadata_removed(data)
    with Image.open(io.BytesIO(bare)) as found, Image.open(io.BytesIO(data)) as expected:
        assert not found.getexif() and not {"icc_profile", "comment"} & found.info.keys()
        np.testing.assert_array_equal(np.asarray(found), np.asarray(expected))
    assert bare == saved(photo)


def test_bytes_between_segments_go(photo: np.ndarray) -> None:
    data = saved(photo)
    at = data.index(b"\xff\xdb")
    assert metadata_removed(data[:at] + b"\xff\xff\xff" + data[at:]) == data
    assert metadata_removed(data[:at] + b"stray" + data[at:]) == data
