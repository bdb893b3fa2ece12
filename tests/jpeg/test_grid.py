"""The grid's corner from pixels, against crops whose corner is known."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageFilter

from jpeg_preproc.errors import ImageReadError
from jpeg_preproc.jpeg import load_image, roundtrip
from jpeg_preproc.jpeg.grid import estimate_grid


@pytest.mark.parametrize("qf", [10, 50, 90])
@pytest.mark.parametrize("cut", [(0, 0), (3, 5), (7, 1), (0, 4)])
def test_the_corner_and_quality_of_a_crop_are_found(
    scene: np.ndarray, qf: int, cut: tuple[int, int]
) -> None:
    grid = estimate_grid(roundtrip(scene, qf)[cut[0] :, cut[1] :])
    assert grid.found
    assert (grid.row, grid.column) == (-cut[0] % 8, -cut[1] % 8)
    assert abs(grid.qf - qf) <= 1


def test_grey_is_no_different(scene: np.ndarray) -> None:
    grid = estimate_grid(roundtrip(scene, 40, "grey")[2:, 6:])
    assert (grid.found, grid.row, grid.column) == (True, 6, 2)


def test_nothing_is_found_where_there_is_nothing(scene: np.ndarray) -> None:
    resized = Image.fromarray(roundtrip(scene, 50)).resize((250, 190), Image.Resampling.BICUBIC)
    # Smooth images look lightly compressed on each grid: none leads.
    smooth = [Image.fromarray(scene).filter(ImageFilter.GaussianBlur(sigma)) for sigma in (1, 3, 6)]
    flat, tiny = np.full((40, 40), 9, np.uint8), scene[:5, :5]
    for image in (scene, resized, flat, tiny, *smooth):
        assert not estimate_grid(np.asarray(image)).found


def test_an_array_of_another_kind_is_refused() -> None:
    with pytest.raises(ImageReadError, match="float64"):
        estimate_grid(np.zeros((8, 8)))


def test_photographs(shared_data: Path) -> None:
    files = sorted((shared_data / "restoration" / "live1").glob("*.png"))[::10]
    if not files:
        pytest.skip("no LIVE1 images in ../shared/data")
    for file in files:
        pixels = load_image(file).pixels
        assert not estimate_grid(pixels).found
        for qf in (10, 75, 95):
            grid = estimate_grid(roundtrip(pixels, qf)[5:, 2:])
            assert (grid.found, grid.row, grid.column) == (True, 3, 6), (file.name, qf)
            assert abs(grid.qf - qf) <= 2
