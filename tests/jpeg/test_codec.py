"""Encoding and decoding against Pillow (and OpenCV where it is installed), byte for byte."""

from __future__ import annotations

import io
import warnings
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from jpeg_preproc.errors import ImageReadError, QualityError
from jpeg_preproc.jpeg import compress_jpeg, decode_jpeg, read_jpeg_info, roundtrip


def pillow_jpeg(image: np.ndarray, **options: object) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(image).save(stream, "JPEG", **options)
    return stream.getvalue()


@pytest.mark.parametrize("subsampling", ["4:4:4", "4:2:2", "4:2:0"])
@pytest.mark.parametrize("qf", [1, 10, 50, 75, 95, 100])
def test_bytes_are_pillows(photo: np.ndarray, qf: int, subsampling: str) -> None:
    data = compress_jpeg(photo, qf, subsampling)
    assert data == pillow_jpeg(photo, quality=qf, subsampling=subsampling)
    assert read_jpeg_info(data).sampling == subsampling


def test_default_subsampling_is_pillows_default(photo: np.ndarray) -> None:
    assert compress_jpeg(photo, 20) == pillow_jpeg(photo, quality=20)


@pytest.mark.parametrize("subsampling", ["4:2:0", "grey"])
def test_grey_bytes_are_pillows(photo: np.ndarray, subsampling: str) -> None:
    grey = np.ascontiguousarray(photo[..., 1])
    data = compress_jpeg(grey, 30, subsampling)
    assert data == pillow_jpeg(grey, quality=30)
    assert read_jpeg_info(data).sampling == "grey"


def test_grey_subsampling_stores_the_luma_of_a_colour_image(photo: np.ndarray) -> None:
    luma = np.array(Image.fromarray(photo).convert("L"))
    assert compress_jpeg(photo, 30, "grey") == compress_jpeg(luma, 30)


def test_opencv_agrees(photo: np.ndarray) -> None:
    cv2 = pytest.importorskip("cv2", reason="needs OpenCV")
    data = compress_jpeg(photo, 10)
    bgr = np.ascontiguousarray(photo[..., ::-1])
    theirs = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, 10])[1]
    decoded = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    np.testing.assert_array_equal(roundtrip(photo, 10), decoded[..., ::-1])
    np.testing.assert_array_equal(cv2.imdecode(theirs, cv2.IMREAD_COLOR), decoded)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation_is_kept_and_pixels_are_not_turned(photo: np.ndarray, orientation: int) -> None:
    data = compress_jpeg(photo, 40, orientation=orientation)
    with Image.open(io.BytesIO(data)) as picture:
        assert picture.getexif().get(0x0112, 1) == orientation
    assert read_jpeg_info(data).orientation == orientation
    decoded = decode_jpeg(data)
    assert decoded.info.orientation == orientation
    np.testing.assert_array_equal(decoded.pixels, roundtrip(photo, 40))


def test_a_non_contiguous_view_is_compressed_as_what_it_shows(photo: np.ndarray) -> None:
    mirrored = photo[:, ::-1]
    assert compress_jpeg(mirrored, 40) == compress_jpeg(mirrored.copy(), 40)


@pytest.mark.parametrize("shape", [(1, 1, 3), (9, 7, 3), (1, 1), (8, 300)])
def test_roundtrip_keeps_small_and_odd_shapes(shape: tuple[int, ...]) -> None:
    image = np.full(shape, 77, np.uint8)
    decoded = roundtrip(image, 90)
    assert decoded.shape == shape
    assert abs(decoded.astype(int) - 77).max() <= 2


@pytest.mark.parametrize(
    "options",
    [
        {"quality": 30},
        {"quality": 30, "progressive": True},
        {"quality": 30, "keep_rgb": True},
        {"quality": 30, "restart_marker_blocks": 2},
        {"quality": 30, "comment": b"a comment", "icc_profile": bytes(70000)},
    ],
)
def test_decoded_pixels_are_pillows(
    photo: np.ndarray, options: dict[str, object], tmp_path: Path
) -> None:
    path = tmp_path / "photo.jpg"
    path.write_bytes(pillow_jpeg(photo, **options))
    with Image.open(path) as picture:
        expected = np.array(picture)
    for source in (path, str(path), path.read_bytes()):
        np.testing.assert_array_equal(decode_jpeg(source).pixels, expected)


def test_decoding_says_nothing_of_damaged_exif_and_foreign_settings(photo: np.ndarray) -> None:
    damaged = b"Exif\0\0II*\0\x08\0\0\0\xff\xff" + b"\xab" * 40
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        decoded = decode_jpeg(pillow_jpeg(photo, quality=75, exif=damaged))
    np.testing.assert_array_equal(decoded.pixels, roundtrip(photo, 75))


def test_decoded_pixels_can_be_written_to(photo: np.ndarray) -> None:
    assert decode_jpeg(compress_jpeg(photo, 50)).pixels.flags.writeable
    assert roundtrip(photo, 50).flags.writeable


@pytest.mark.parametrize("share", [0.3, 0.6, 0.99])
def test_a_truncated_file_is_one_error_even_where_pillow_is_told_to_bear_it(
    photo: np.ndarray, share: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("PIL.ImageFile.LOAD_TRUNCATED_IMAGES", True)
    data = compress_jpeg(photo, 50)
    path = tmp_path / "cut.jpg"
    path.write_bytes(data[: int(share * len(data))])
    with pytest.raises(ImageReadError, match=r"cut\.jpg is truncated.*again"):
        decode_jpeg(path)


@pytest.mark.parametrize(
    ("frame", "mend"), [(b"\xff\xc0", "export the file again"), (b"\xff\xc9", "arithmetic.*PNG")]
)
def test_what_libjpeg_cannot_decode_is_one_error_with_the_mend(
    photo: np.ndarray, frame: bytes, mend: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Builds of libjpeg differ in what they can decode, so its refusal is put in by hand.
    def refuse(self: object) -> None:
        raise OSError("broken data stream when reading image file")

    monkeypatch.setattr("PIL.JpegImagePlugin.JpegImageFile.load", refuse)
    data = compress_jpeg(photo, 50).replace(b"\xff\xc0", frame, 1)
    with pytest.raises(ImageReadError, match=f"cannot be decoded.*broken data.*{mend}"):
        decode_jpeg(data)


def test_cmyk_is_refused_with_the_command_that_mends_it(tmp_path: Path) -> None:
    path = tmp_path / "four inks.jpg"
    Image.new("CMYK", (16, 16)).save(path)
    with pytest.raises(ImageReadError, match=r"CMYK.*magick '.*four inks\.jpg' -colorspace sRGB"):
        decode_jpeg(path)
    assert read_jpeg_info(path).components == 4


def test_an_image_over_the_limit_is_refused_before_it_is_decoded(
    photo: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = compress_jpeg(photo, 50)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)  # Pillow's own is not asked
    pixels = photo.shape[0] * photo.shape[1]
    assert decode_jpeg(data, max_pixels=pixels).pixels.shape == photo.shape
    assert decode_jpeg(data, max_pixels=None).pixels.shape == photo.shape
    with pytest.raises(ImageReadError, match=f"more than the {pixels - 1} that are allowed"):
        decode_jpeg(data, max_pixels=pixels - 1)


@pytest.mark.parametrize("qf", [0, 101])
def test_a_quality_that_does_not_exist_is_refused(photo: np.ndarray, qf: int) -> None:
    with pytest.raises(QualityError, match=str(qf)):
        compress_jpeg(photo, qf)


def test_an_unknown_subsampling_lists_the_known(photo: np.ndarray) -> None:
    with pytest.raises(QualityError, match=r"4:1:3.*4:2:0"):
        compress_jpeg(photo, 50, "4:1:3")


@pytest.mark.parametrize(
    ("image", "what"),
    [
        (np.zeros((8, 8, 3), np.float32), "float32"),
        (np.zeros((8, 8, 3), np.uint16), "uint16"),
        (np.zeros((8, 8, 4), np.uint8), r"\(8, 8, 4\)"),
        (np.zeros((2, 8, 8, 3), np.uint8), r"\(2, 8, 8, 3\)"),
        (np.zeros((0, 8, 3), np.uint8), "8x0"),
        (np.zeros((1, 65501), np.uint8), "65501"),
        ([[1, 2], [3, 4]], "list"),
    ],
)
def test_arrays_of_other_kinds_are_refused_by_what_they_are(image: np.ndarray, what: str) -> None:
    with pytest.raises(ImageReadError, match=what):
        compress_jpeg(image, 50)


def test_an_orientation_that_does_not_exist_is_refused(photo: np.ndarray) -> None:
    with pytest.raises(ImageReadError, match="orientation 9"):
        compress_jpeg(photo, 50, orientation=9)
