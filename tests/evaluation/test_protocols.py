"""Colour conversion and decoders of the protocols."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image
from skimage.color import rgb2ycbcr

from jpeg_preproc.errors import ImageReadError
from jpeg_preproc.evaluation.protocols import (
    PROTOCOLS,
    decode_for,
    decode_nearest_chroma,
    limited_range_y,
    prepare_reference,
)
from jpeg_preproc.io import sha256_bytes
from jpeg_preproc.jpeg import compress_jpeg


def pillow(data: bytes) -> np.ndarray:
    return np.array(Image.open(io.BytesIO(data)))


def test_limited_range_y_is_matlabs(photo):
    expected = np.rint(rgb2ycbcr(photo)[..., 0]).astype(np.uint8)
    assert np.array_equal(limited_range_y(photo), expected)


def test_limited_range_y_of_live1_is_the_papers_grey_set(shared_data):
    root = shared_data / "restoration"
    colour = np.array(Image.open(root / "live1" / "bikes.png").convert("RGB"))
    assert np.array_equal(
        limited_range_y(colour), np.array(Image.open(root / "live1_grey" / "bikes.png"))
    )


def test_only_the_grey_protocol_converts(photo):
    assert prepare_reference(photo, "fbcnn") is photo
    assert prepare_reference(photo, "qgac") is photo
    assert np.array_equal(prepare_reference(photo, "grey-y"), limited_range_y(photo))


def test_a_grey_image_is_not_converted_twice(photo):
    grey = photo[..., 0]
    assert prepare_reference(grey, "grey-y") is grey


@pytest.mark.parametrize("protocol", ["fbcnn", "grey-y"])
def test_default_decoder_is_pillows(photo, protocol):
    data = compress_jpeg(photo, 10)
    assert np.array_equal(decode_for(data, protocol), pillow(data))


@pytest.mark.parametrize("shape", [(2, 2), (5, 3), (16, 16), (17, 31), (118, 183)])
@pytest.mark.parametrize("qf", [10, 90])
def test_nearest_decoder_repeats_the_stored_chroma(photo, shape, qf):
    """Luma must be the full decoder's; chroma must be constant over each pair of rows, columns."""
    height, width = shape
    data = compress_jpeg(photo[:height, :width], qf)
    decoded = decode_nearest_chroma(data)
    assert decoded.shape == (height, width, 3)
    with Image.open(io.BytesIO(data)) as picture:
        picture.draft("YCbCr", picture.size)
        luma = np.array(picture)[..., 0].astype(int)
    # B - Y and R - Y depend on chroma alone; leave out clipped samples.
    whole = np.s_[: height // 2 * 2, : width // 2 * 2]
    inside = ((decoded > 0) & (decoded < 255)).all(-1)[whole]
    for channel in (0, 2):
        offset = np.where(inside, (decoded[..., channel] - luma)[whole], np.nan)
        blocks = offset.reshape(height // 2, 2, width // 2, 2).swapaxes(1, 2).reshape(-1, 4)
        blocks = blocks[~np.isnan(blocks).any(1)]
        assert len(blocks)
        assert (blocks == blocks[:, :1]).all()


@pytest.mark.parametrize("qf", [10, 50, 95])
def test_nearest_decoder_equals_pillow_where_chroma_is_flat(photo, qf):
    """Without a chroma gradient the two ways to enlarge it agree, so colour must be libjpeg's."""
    tinted = np.array(
        Image.merge(
            "YCbCr",
            [
                Image.fromarray(np.clip(photo[..., 0], 90, 150)),
                Image.new("L", photo.shape[1::-1], 100),
                Image.new("L", photo.shape[1::-1], 160),
            ],
        ).convert("RGB")
    )
    flat = compress_jpeg(tinted, qf)
    with Image.open(io.BytesIO(flat)) as picture:
        picture.draft("YCbCr", picture.size)
        chroma = np.array(picture)[..., 1:]
    assert np.ptp(chroma[..., 0]) == np.ptp(chroma[..., 1]) == 0
    assert np.array_equal(decode_nearest_chroma(flat), pillow(flat))


def test_nearest_decoder_is_libjpegs():
    """SHA-256 of what simplejpeg 1.9.0 (libjpeg-turbo) decodes with ``fastupsample=True``."""
    rows, cols = np.mgrid[0:53, 0:75]
    planes = [rows * cols % 256, (3 * rows + cols) % 200, rows**2 // 11 % 256]
    data = compress_jpeg(np.stack(planes, axis=-1).astype(np.uint8), 30)
    expected = "3f619d4a9182863e604a9526f5637a548615534906ca55e20d1f5134867721ae"
    assert sha256_bytes(decode_nearest_chroma(data).tobytes()) == expected


@pytest.mark.parametrize("subsampling", ["4:4:4", "grey"])
def test_nothing_to_enlarge(photo, subsampling):
    data = compress_jpeg(photo, 10, subsampling)
    assert np.array_equal(decode_for(data, PROTOCOLS["qgac"]), pillow(data))


def test_nearest_decoder_differs_from_the_default(photo):
    data = compress_jpeg(photo, 10)
    assert not np.array_equal(decode_nearest_chroma(data), pillow(data))


def test_nearest_decoder_refuses_other_subsampling(photo):
    with pytest.raises(ImageReadError, match=r"4:4:4 and 4:2:0"):
        decode_nearest_chroma(compress_jpeg(photo, 10, "4:2:2"))
    with pytest.raises(ImageReadError, match="1x9 pixels"):
        decode_nearest_chroma(compress_jpeg(photo[:9, :1], 10))
