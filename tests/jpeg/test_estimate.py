"""Quality from pixels, against the quality the pixels were compressed at."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pytest

from jpeg_preproc.errors import ImageReadError
from jpeg_preproc.jpeg import QfEstimate, estimate_qf, load_image, roundtrip


@pytest.mark.parametrize("qf", [5, 8, 10, 15, 20, 30, 40, 50, 60, 70, 75, 80, 85, 90, 93, 95])
def test_the_quality_is_found(scene: np.ndarray, qf: int) -> None:
    estimate = estimate_qf(roundtrip(scene, qf))
    assert abs(estimate.qf - qf) <= 1
    assert estimate.confidence > 0.95


@pytest.mark.parametrize("subsampling", ["4:4:4", "4:2:2", "grey"])
@pytest.mark.parametrize("qf", [10, 50, 90])
def test_other_samplings_and_grey_make_no_difference(
    scene: np.ndarray, qf: int, subsampling: str
) -> None:
    assert estimate_qf(roundtrip(scene, qf, subsampling)).qf == qf


def test_the_last_compression_is_seen_behind_a_light_earlier_one(scene: np.ndarray) -> None:
    assert estimate_qf(roundtrip(roundtrip(scene, 95), 30)).qf == 30


@pytest.mark.parametrize("qf", [10, 40, 80])
@pytest.mark.parametrize("top_left", [(1, 0), (0, 1), (4, 4), (4, 0), (3, 5), (0, 6)])
def test_off_the_grid_the_answer_is_100_without_confidence(
    scene: np.ndarray, qf: int, top_left: tuple[int, int]
) -> None:
    cropped = roundtrip(scene, qf)[top_left[0] :, top_left[1] :]
    estimate = estimate_qf(cropped)
    assert estimate.qf == 100
    assert estimate.confidence < 0.1


def test_a_crop_on_the_grid_and_ragged_edges_do_not_matter(scene: np.ndarray) -> None:
    assert estimate_qf(roundtrip(scene[:237, :315], 40)).qf == 40
    assert estimate_qf(roundtrip(scene, 40)[8:, 16:]).qf == 40


def test_never_compressed_is_100_without_confidence(scene: np.ndarray) -> None:
    for image in (scene, scene[..., 1], np.rot90(roundtrip(scene[:237], 20), 2)):
        estimate = estimate_qf(image)
        assert estimate.qf == 100
        assert estimate.confidence < 0.1


@pytest.mark.parametrize("shape", [(1, 1, 3), (9, 7, 3), (7, 200), (8, 8), (64, 64, 3), (8, 8, 3)])
@pytest.mark.parametrize("value", [0, 128, 255])
def test_images_that_tell_nothing_give_100_and_say_nothing(
    shape: tuple[int, ...], value: int
) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert estimate_qf(np.full(shape, value, np.uint8)) == QfEstimate(100, 0.0)


def test_the_answer_is_the_same_each_time(scene: np.ndarray) -> None:
    image = roundtrip(scene, 35)
    assert len({estimate_qf(image) for _ in range(3)}) == 1


def test_an_array_of_another_kind_is_refused() -> None:
    with pytest.raises(ImageReadError, match="float64"):
        estimate_qf(np.zeros((8, 8)))


def test_photographs_are_estimated_exactly(shared_data: Path) -> None:
    files = sorted((shared_data / "restoration" / "live1").glob("*.png"))[::7]
    if not files:
        pytest.skip("no LIVE1 images in ../shared/data")
    for file in files:
        pixels = load_image(file).pixels
        assert estimate_qf(pixels).confidence < 0.1
        for qf in (5, 10, 25, 50, 75, 90, 95):
            estimate = estimate_qf(roundtrip(pixels, qf))
            assert abs(estimate.qf - qf) <= 2, (file.name, qf)
            assert estimate.confidence > 0.9
