"""The hint of an earlier compression, on images that were compressed once or twice."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from jpeg_preproc.errors import ImageReadError
from jpeg_preproc.jpeg import compress_jpeg, load_image, read_jpeg_info, roundtrip
from jpeg_preproc.jpeg.recompression import EarlierCompression, find_earlier_compression


def look(data: bytes) -> EarlierCompression | None:
    return find_earlier_compression(data, read_jpeg_info(data), "a file")


@pytest.mark.parametrize("subsampling", ["4:2:0", "4:4:4", "grey"])
@pytest.mark.parametrize("first,last", [(50, 75), (75, 90), (60, 95), (30, 60)])
def test_a_stronger_compression_before_is_found(
    scene: np.ndarray, first: int, last: int, subsampling: str
) -> None:
    found = look(compress_jpeg(roundtrip(scene, first), last, subsampling))
    assert found is not None
    assert abs(found.qf - first) <= 2
    assert found.gain > 1


@pytest.mark.parametrize("qf", [10, 50, 75, 90, 95, 100])
def test_one_compression_alone_gives_no_hint(scene: np.ndarray, qf: int) -> None:
    assert look(compress_jpeg(scene, qf)) is None


def test_what_leaves_no_trace_gives_no_hint(scene: np.ndarray) -> None:
    same = compress_jpeg(roundtrip(scene, 75), 75)
    weaker = compress_jpeg(roundtrip(scene, 95), 50)
    assert look(same) is None
    assert look(weaker) is None


@pytest.mark.parametrize("qf", [10, 50])
@pytest.mark.parametrize("corner", [(4, 4), (1, 6), (2, 4), (7, 2)])
def test_another_grid_gives_no_hint(scene: np.ndarray, qf: int, corner: tuple[int, int]) -> None:
    row, column = corner
    assert look(compress_jpeg(roundtrip(scene, qf)[row:, column:], 75)) is None


def test_small_and_flat_images_give_no_hint(scene: np.ndarray) -> None:
    for image in (scene[:40, :40], np.full((200, 200, 3), 77, np.uint8), scene[:1, :1]):
        assert look(compress_jpeg(roundtrip(image, 30), 90)) is None


def test_damage_is_named(scene: np.ndarray) -> None:
    data = compress_jpeg(scene, 50)
    info = read_jpeg_info(data)
    with pytest.raises(ImageReadError, match=r"damaged\.jpg cannot be decoded"):
        find_earlier_compression(data[:900], info, "damaged.jpg")


def test_photographs(shared_data: Path) -> None:
    files = sorted((shared_data / "restoration" / "live1").glob("*.png"))[::10]
    if not files:
        pytest.skip("no LIVE1 images in ../shared/data")
    for file in files:
        pixels = load_image(file).pixels
        for qf in (50, 75, 90):
            assert look(compress_jpeg(pixels, qf)) is None, (file.name, qf)
        for first, last in ((50, 75), (75, 90), (80, 95)):
            found = look(compress_jpeg(roundtrip(pixels, first), last))
            assert found is not None, (file.name, first, last)
            assert abs(found.qf - first) <= 2
