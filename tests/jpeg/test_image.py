"""Image files of every kind: read as Pillow reads them, or refused by one error."""

from __future__ import annotations

import io
import struct
import time
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from jpeg_preproc.errors import ImageReadError
from jpeg_preproc.jpeg import compress_jpeg, load_image


@pytest.fixture(autouse=True)
def _any_warning_fails() -> None:
    warnings.simplefilter("error")


def saved(picture: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    stream = io.BytesIO()
    picture.save(stream, kind, **options)
    return stream.getvalue()


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "BMP", "PPM"])
def test_lossless_colour_and_grey_come_back_unchanged(
    photo: np.ndarray, kind: str, tmp_path: Path
) -> None:
    for pixels in (photo, np.ascontiguousarray(photo[..., 0])):
        path = tmp_path / f"image.{kind.lower()}"
        path.write_bytes(saved(Image.fromarray(pixels), kind))
        loaded = load_image(path)
        np.testing.assert_array_equal(loaded.pixels, pixels)
        assert (loaded.info, loaded.orientation, loaded.path) == (None, 1, path)
        assert loaded.pixels.flags.writeable


def test_a_jpeg_brings_its_header(photo: np.ndarray, tmp_path: Path) -> None:
    data = compress_jpeg(photo, 30, orientation=6)
    path = tmp_path / "photo.jpg"
    path.write_bytes(data)
    loaded = load_image(str(path))
    assert loaded.info is not None
    assert (loaded.info.qf, loaded.orientation, loaded.path) == (30, 6, path)
    np.testing.assert_array_equal(loaded.pixels, np.array(Image.open(io.BytesIO(data))))
    assert load_image(data).path is None


@pytest.mark.parametrize("shape", [(1, 1, 3), (9, 7, 3), (1, 1), (9, 7)])
@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
def test_tiny_images_are_read(shape: tuple[int, ...], kind: str) -> None:
    data = saved(Image.fromarray(np.full(shape, 128, np.uint8)), kind)
    assert load_image(data).pixels.shape == shape


def test_a_palette_is_looked_up(photo: np.ndarray) -> None:
    palette = Image.fromarray(photo).quantize(16)
    expected = np.array(palette.convert("RGB"))
    np.testing.assert_array_equal(load_image(saved(palette)).pixels, expected)
    # Transparency as bytes makes Pillow warn when the palette is looked up.
    see_through = saved(palette, transparency=bytes(range(16)))
    np.testing.assert_array_equal(load_image(see_through).pixels, expected)
    np.testing.assert_array_equal(load_image(saved(palette, "GIF")).pixels, expected)


def test_one_bit_becomes_black_and_white() -> None:
    bits = np.array([[True, False, True], [False, False, True]])
    loaded = load_image(saved(Image.fromarray(bits)))
    np.testing.assert_array_equal(loaded.pixels, bits * np.uint8(255))


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "WEBP"])
def test_alpha_is_dropped_and_colours_are_not_blended(photo: np.ndarray, kind: str) -> None:
    alpha = np.full(photo.shape[:2], 3, np.uint8)
    picture = Image.fromarray(np.dstack([photo, alpha]))
    options = {"lossless": True, "exact": True} if kind == "WEBP" else {}
    np.testing.assert_array_equal(load_image(saved(picture, kind, **options)).pixels, photo)
    if kind != "WEBP":
        grey = picture.convert("LA")
        loaded = load_image(saved(grey, kind))
        np.testing.assert_array_equal(loaded.pixels, np.array(grey)[..., 0])


def test_alpha_is_dropped_as_opencv_does(photo: np.ndarray) -> None:
    cv2 = pytest.importorskip("cv2", reason="needs OpenCV")
    alpha = np.arange(photo.shape[0] * photo.shape[1], dtype=np.uint8).reshape(photo.shape[:2])
    data = saved(Image.fromarray(np.dstack([photo, alpha])))
    bgr = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    np.testing.assert_array_equal(load_image(data).pixels, bgr[..., ::-1])


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "JPEG"])
def test_orientation_is_read_and_not_applied(photo: np.ndarray, kind: str) -> None:
    exif = Image.Exif()
    exif[0x0112] = 8
    loaded = load_image(saved(Image.fromarray(photo), kind, exif=exif))
    assert loaded.orientation == 8
    assert loaded.pixels.shape == photo.shape


def test_a_tiff_that_pillow_turns_is_not_turned_twice(photo: np.ndarray) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    data = saved(Image.fromarray(photo), "TIFF", exif=exif)
    loaded = load_image(data)
    np.testing.assert_array_equal(loaded.pixels, np.array(Image.open(io.BytesIO(data))))
    upright = loaded.pixels.shape[0] == photo.shape[1]
    assert loaded.orientation == (1 if upright else 6)


def rgb16_png() -> bytes:
    """A 2x2 RGB PNG of 16 bits per channel, which Pillow cannot write."""
    import zlib

    def chunk(kind: bytes, payload: bytes) -> bytes:
        crc = struct.pack(">I", zlib.crc32(kind + payload))
        return struct.pack(">I", len(payload)) + kind + payload + crc

    header = struct.pack(">IIBBBBB", 2, 2, 16, 2, 0, 0, 0)
    rows = zlib.compress((b"\0" + bytes(12)) * 2)
    signature = b"\x89PNG\r\n\x1a\n"
    return signature + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def rgb16_tiff() -> bytes:
    """A 2x2 RGB TIFF of 16 bits per channel: header, IFD of 8 entries, BitsPerSample, pixels."""
    depth_at = 8 + 2 + 12 * 8 + 4
    fields = [(256, 3, 1, 2), (257, 3, 1, 2), (258, 3, 3, depth_at), (259, 3, 1, 1)]
    fields += [(262, 3, 1, 2), (273, 4, 1, depth_at + 6), (277, 3, 1, 3), (279, 4, 1, 24)]
    entries = b"".join(struct.pack("<HHII", *field) for field in fields)
    depths = struct.pack("<HHH", 16, 16, 16)
    return b"II*\0\x08\0\0\0" + struct.pack("<H", 8) + entries + bytes(4) + depths + bytes(24)


@pytest.mark.parametrize(
    ("data", "suffix"),
    [
        (saved(Image.fromarray(np.zeros((4, 4), np.uint16))), "png"),
        (saved(Image.fromarray(np.zeros((4, 4), np.uint16)), "TIFF"), "tif"),
        (saved(Image.fromarray(np.zeros((4, 4), np.int32)), "TIFF"), "tif"),
        (saved(Image.fromarray(np.zeros((4, 4), np.float32)), "TIFF"), "tif"),
        (rgb16_png(), "png"),
        (rgb16_tiff(), "tif"),
        (b"P6 2 2 65535\n" + bytes(24), "ppm"),
    ],
)
def test_more_than_8_bits_are_refused_with_the_command_that_mends_it(
    data: bytes, suffix: str, tmp_path: Path
) -> None:
    path = tmp_path / f"deep.{suffix}"
    path.write_bytes(data)
    with pytest.raises(ImageReadError, match=rf"8 bits per channel.*magick .*deep\.{suffix} -dep"):
        load_image(path)


@pytest.mark.parametrize("kind", ["TIFF", "JPEG"])
def test_cmyk_is_refused_with_the_command_that_mends_it(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "inks"
    path.write_bytes(saved(Image.new("CMYK", (8, 8)), kind))
    with pytest.raises(ImageReadError, match=r"inks is a CMYK.*magick .*inks -colorspace sRGB"):
        load_image(path)


def test_an_exotic_colour_mode_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "lab.tif"
    path.write_bytes(saved(Image.new("LAB", (8, 8)), "TIFF"))
    with pytest.raises(ImageReadError, match=r"lab\.tif has colour mode LAB"):
        load_image(path)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "TIFF", "BMP", "WEBP", "GIF"])
@pytest.mark.parametrize("share", [0.02, 0.5, 0.9])
def test_a_file_cut_short_is_one_error(
    photo: np.ndarray, kind: str, share: float, tmp_path: Path
) -> None:
    data = saved(Image.fromarray(photo), kind)
    path = tmp_path / "cut"
    path.write_bytes(data[: int(share * len(data))])
    with pytest.raises(ImageReadError, match=r"cut (is|has|cannot)"):
        load_image(path)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "TIFF", "WEBP", "MPO"])
def test_damaged_bytes_give_an_image_or_one_error(photo: np.ndarray, kind: str) -> None:
    exif = Image.Exif()
    exif[0x0112] = 3
    data = saved(Image.fromarray(photo[:32, :40]), kind, exif=exif)
    rng = np.random.default_rng(5)
    refused = 0
    for _ in range(200):
        damaged = bytearray(data)
        for place in rng.integers(0, min(len(data), 400), 3):
            damaged[place] = rng.integers(256)
        try:
            assert load_image(bytes(damaged)).pixels.dtype == np.uint8
        except ImageReadError:
            refused += 1
    assert refused > 0


@pytest.mark.parametrize("data", [b"no image at all", b"<svg></svg>", bytes(100)])
def test_a_file_that_is_no_image_is_named(data: bytes, tmp_path: Path) -> None:
    path = tmp_path / "notes.jpg"
    path.write_bytes(data)
    with pytest.raises(ImageReadError, match=r"notes\.jpg is no image.*convert it to PNG"):
        load_image(path)


@pytest.mark.parametrize("kind", ["EPS", "ICNS", "BLP", "DDS", "SGI", "TGA", "ICO", "MSP"])
def test_a_format_on_no_list_is_not_opened_whatever_the_name(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "photo.jpg"
    mode = {"BLP": "P", "MSP": "1"}.get(kind, "RGB")
    path.write_bytes(saved(Image.new(mode, (16, 16)), kind))
    with Image.open(path) as picture:  # Pillow itself would
        assert picture.format == kind
    monkeypatch.setitem(Image.OPEN, kind, (lambda *_: pytest.fail("it was opened"), None))
    with pytest.raises(ImageReadError, match=r"photo\.jpg is no image that is opened here"):
        load_image(path)


def test_every_plain_and_raw_netpbm_format_is_read() -> None:
    bits = np.array([[0, 255, 0], [255, 255, 0]], np.uint8)
    grey = np.array([[0, 7, 200], [255, 1, 2]], np.uint8)
    text = b" ".join(b"%d" % value for value in grey.flat)
    for data, expected in (
        (b"P1 3 2\n1 0 1\n0 0 1\n", bits),  # 1 is black
        (b"P4 3 2\n" + bytes((0b10100000, 0b00100000)), bits),
        (b"P2 3 2 255\n" + text, grey),
        (b"P5 3 2 255\n" + grey.tobytes(), grey),
        (b"P3 2 1 255\n" + text, grey.reshape(1, 2, 3)),
        (b"P6 2 1 255\n" + grey.tobytes(), grey.reshape(1, 2, 3)),
    ):
        np.testing.assert_array_equal(load_image(data).pixels, expected)


@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
@pytest.mark.parametrize("raised", [ZeroDivisionError, NotImplementedError, AssertionError])
def test_whatever_a_decoder_raises_is_one_error(
    kind: str, raised: type[Exception], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "odd.img"
    path.write_bytes(saved(Image.new("RGB", (8, 8)), kind))

    def load(self: object) -> None:
        raise raised("inside")

    monkeypatch.setattr("PIL.ImageFile.ImageFile.load", load)
    with pytest.raises(ImageReadError, match=r"odd\.img (is corrupt|cannot be decoded).*inside"):
        load_image(path)


def test_too_little_memory_is_not_taken_for_a_damaged_file(monkeypatch: pytest.MonkeyPatch) -> None:
    def load(self: object) -> None:
        raise MemoryError

    monkeypatch.setattr("PIL.ImageFile.ImageFile.load", load)
    for kind in ("PNG", "JPEG"):
        with pytest.raises(MemoryError):
            load_image(saved(Image.new("RGB", (8, 8)), kind))


def test_empty_and_missing_files_are_named(tmp_path: Path) -> None:
    path = tmp_path / "empty.png"
    path.touch()
    with pytest.raises(ImageReadError, match=r"empty\.png is empty"):
        load_image(path)
    with pytest.raises(ImageReadError, match=r"absent\.png does not exist"):
        load_image(tmp_path / "absent.png")


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "TIFF", "WEBP"])
def test_large_images_pass_and_larger_ones_are_refused(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = saved(Image.new("L", (100, 60)), kind)
    # Ours is the limit, and Pillow's is as it was afterwards.
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)
    for limit in (6000, None):
        assert load_image(data, max_pixels=limit).pixels.shape[:2] == (60, 100)
    with pytest.raises(ImageReadError, match=r"100x60 pixels, more than the 5999.*--max-pixels"):
        load_image(data, "a", max_pixels=5999)
    assert Image.MAX_IMAGE_PIXELS == 10


def claiming(width: int, height: int, scans: int = 1) -> bytes:
    """A progressive JPEG whose header claims a size, and whose first scan comes so many times."""
    data = saved(Image.new("L", (8, 8)), "JPEG", progressive=True)
    frame = data.index(b"\xff\xc2")
    data = data[: frame + 5] + struct.pack(">HH", height, width) + data[frame + 9 :]
    start = data.index(b"\xff\xda")
    return data[:start] + data[start:-2] * scans + data[-2:]


def test_a_few_bytes_that_claim_much_are_refused_by_the_header() -> None:
    begin = time.perf_counter()
    with pytest.raises(ImageReadError, match=r"13000x13000 pixels, more than the 100000000"):
        load_image(claiming(13000, 13000))
    with pytest.raises(ImageReadError, match=r"has \d+ scans of 9000x9000 pixels"):
        load_image(claiming(9000, 9000, 60))
    assert time.perf_counter() - begin < 2


def test_reading_in_threads_leaves_the_warning_filters_alone(photo: np.ndarray) -> None:
    before = list(warnings.filters)
    files = [saved(Image.fromarray(photo), kind) for kind in ("PNG", "JPEG", "BMP", "TIFF")] * 8
    with ThreadPoolExecutor(4) as pool:
        shapes = {loaded.pixels.shape for loaded in pool.map(load_image, files)}
    assert shapes == {photo.shape}
    assert list(warnings.filters) == before
