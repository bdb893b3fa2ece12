"""What a file stores, against an independent reader of coefficients and scipy's inverse DCT."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from jpeg_preproc.errors import ImageReadError
from jpeg_preproc.jpeg import compress_jpeg, read_jpeg_info
from jpeg_preproc.jpeg.samples import read_samples


def pillow_jpeg(image: np.ndarray, mode: str = "RGB", **options: object) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(image).convert(mode).save(stream, "JPEG", **options)
    return stream.getvalue()


@pytest.mark.parametrize("progressive", [False, True])
@pytest.mark.parametrize("subsampling", ["4:4:4", "4:2:0", "4:2:2", "grey"])
@pytest.mark.parametrize("size", [(120, 184), (119, 177), (33, 16)])
def test_samples_are_those_of_the_stored_coefficients(
    tmp_path, photo, size, subsampling, progressive
):
    jpeglib = pytest.importorskip("jpeglib", reason="needs jpeglib, the reference")
    idct = pytest.importorskip("scipy.fft").idctn
    image = np.clip(photo[: size[0], : size[1]], 20, 235)
    grey = subsampling == "grey"
    options = {} if grey else {"subsampling": subsampling}
    data = pillow_jpeg(
        image, "L" if grey else "RGB", quality=70, progressive=progressive, **options
    )
    path = tmp_path / "a.jpg"
    path.write_bytes(data)
    samples = read_samples(data)
    assert samples.planes.shape == (1 if grey else 3, *size)
    assert samples.chroma_pixels == {"4:4:4": 1, "4:2:0": 2}.get(subsampling, 0)
    stored = jpeglib.read_dct(str(path))
    for index, name in enumerate(["Y"] if grey else ["Y", "Cb", "Cr"]):
        factor = 1 if index == 0 else samples.chroma_pixels
        plane = samples.planes[index]
        if factor == 0:
            assert not plane.any()
            continue
        rows, columns = (side // (8 * factor) for side in size)
        assert not plane[8 * factor * rows :].any() and not plane[:, 8 * factor * columns :].any()
        dequantised = getattr(stored, name)[:rows, :columns] * samples.steps[index]
        blocks = idct(dequantised.astype(np.float64), axes=(-2, -1), norm="ortho") + 128
        expected = blocks.swapaxes(1, 2).reshape(8 * rows, 8 * columns)
        found = plane[: 8 * factor * rows : factor, : 8 * factor * columns : factor]
        assert np.abs(np.clip(expected, 0, 255) - found).max() < 0.6
        for shift in range(factor):  # each sample stands for all its pixels
            shifted = plane[
                shift : 8 * factor * rows : factor, shift : 8 * factor * columns : factor
            ]
            np.testing.assert_array_equal(shifted, found)


@pytest.mark.parametrize("count", [1, 2, 3])
def test_each_component_has_its_own_steps(photo, count):
    tables = [[10 + number] * 64 for number in range(count)]
    data = pillow_jpeg(photo, qtables=tables)
    assert (
        read_samples(data).steps[:, 0, 0].tolist()
        == {
            1: [10, 10, 10],
            2: [10, 11, 11],
            3: [10, 11, 12],
        }[count]
    )
    assert len(read_jpeg_info(data).qtables) == count


@pytest.mark.parametrize("size", [(1, 1), (7, 40), (15, 15), (16, 3)])
def test_images_smaller_than_a_block_say_nothing_of_it(photo, size):
    samples = read_samples(compress_jpeg(photo[: size[0], : size[1]], 50))
    assert samples.planes.shape == (3, *size) and not samples.planes[1:].any()
    assert samples.planes.any() == (min(size) >= 8)


def test_what_is_no_jpeg_has_no_samples(photo):
    stream = io.BytesIO()
    Image.fromarray(photo).save(stream, "PNG")
    assert read_samples(stream.getvalue()) is None


def test_what_stores_rgb_has_no_samples(photo):
    jpeg = pillow_jpeg(photo, subsampling="4:4:4")
    assert jpeg[2:4] == b"\xff\xe0"  # JFIF's segment, whose 18 bytes say YCbCr; Adobe's 0 says RGB
    as_rgb = jpeg[:2] + b"\xff\xee\x00\x0eAdobe\x00\x64\x00\x00\x00\x00\x00" + jpeg[20:]
    assert read_jpeg_info(as_rgb).colour_space == "RGB"
    assert read_samples(as_rgb) is None


def test_a_damaged_file_is_named(photo):
    with pytest.raises(ImageReadError, match=r"bad\.jpg is truncated"):
        read_samples(compress_jpeg(photo, 50)[:-200], "bad.jpg")
