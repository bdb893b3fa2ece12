"""Files that are written: what Pillow reads from them, and the note inside."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms

from jpeg_preproc.errors import ImageReadError, QualityError
from jpeg_preproc.jpeg.encode import Encoding, encode_image, read_note
from jpeg_preproc.jpeg.exif import orientation_exif

PROFILE = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
NOTE = '{"quotes": "<&> \\"", "qf": 10}'


@pytest.mark.parametrize("kind", ["png", "webp"])
def test_lossless_formats_keep_each_pixel(photo: np.ndarray, kind: str) -> None:
    for image in (photo, photo[..., 0], photo[:1, :1]):
        with Image.open(io.BytesIO(encode_image(image, Encoding(kind)))) as picture:
            shown = np.asarray(picture.convert("RGB" if image.ndim == 3 else "L"))
        np.testing.assert_array_equal(shown, image)


def test_jpeg_is_pillows_without_subsampling(photo: np.ndarray) -> None:
    stream = io.BytesIO()
    Image.fromarray(photo).save(stream, "JPEG", quality=80, subsampling="4:4:4")
    assert encode_image(photo, Encoding("jpeg", 80)) == stream.getvalue()


@pytest.mark.parametrize("kind", ["png", "webp", "jpeg"])
def test_metadata_and_note_are_inside(photo: np.ndarray, kind: str, tmp_path: Path) -> None:
    exif = orientation_exif(1)
    data = encode_image(photo, Encoding(kind), exif, PROFILE, NOTE)
    with Image.open(io.BytesIO(data)) as picture:
        assert picture.getexif()[0x0112] == 1
        assert picture.info["icc_profile"] == PROFILE
    (tmp_path / "file").write_bytes(data)
    assert read_note(data) == read_note(tmp_path / "file") == NOTE


@pytest.mark.parametrize("kind", ["png", "webp", "jpeg"])
def test_files_of_others_have_no_note(photo: np.ndarray, kind: str) -> None:
    stream = io.BytesIO()
    options = {"jpeg": {"comment": b"of somebody"}, "webp": {"xmp": b"<x/>"}}.get(kind, {})
    Image.fromarray(photo).save(stream, kind, **options)
    assert read_note(stream.getvalue()) is None
    assert read_note(encode_image(photo, Encoding(kind))) is None
    assert read_note(b"no image") is None


def test_what_cannot_be_written_is_refused(photo: np.ndarray) -> None:
    with pytest.raises(QualityError, match="png, webp, jpeg"):
        Encoding("bmp")
    with pytest.raises(QualityError, match="101"):
        Encoding("jpeg", 101)
    with pytest.raises(ImageReadError, match="16383"):
        encode_image(np.zeros((1, 16384), np.uint8), Encoding("webp"))
    with pytest.raises(ImageReadError, match="leave out its metadata"):
        encode_image(photo, Encoding("jpeg"), exif=b"Exif\0\0" + bytes(70000))
