"""Images whose parts were compressed unlike are found, and restored part by part."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from PIL import Image

from jpeg_preproc.corruptions import parse_corruption
from jpeg_preproc.restorers import JpegRestorer
from jpeg_preproc.restorers.inputs import DecodedImage
from jpeg_preproc.restorers.quality import find_quality
from jpeg_preproc.restorers.quality_estimator import Coarseness
from jpeg_preproc.restorers.regions import CELL, find_parts, join_parts, windows_differ


class ByBrightness(torch.nn.Module):
    """Takes black for the coarseness -3 and white for +3, octaves."""

    def forward(self, luma, claimed):
        octaves = 6 * luma.mean(dim=(1, 2, 3)) - 3
        return Coarseness(octaves, torch.full_like(octaves, math.log(0.1)))


def picture(height, width, *bright):
    pixels = np.zeros((height, width), np.uint8)
    for rows, columns, value in bright:
        pixels[rows, columns] = value
    return pixels


RIGHT_HALF = (slice(None), slice(256, None), 255)


def test_two_halves_are_told_apart():
    parts = find_parts(ByBrightness(), picture(384, 640, RIGHT_HALF), None)
    assert parts.octaves == pytest.approx([3, -3], abs=0.5)
    # The right one is the larger; a cell on either side of the seam may belong to either.
    expected = np.repeat([[1, 1, 1, 1, 0, 0, 0, 0, 0, 0]], 6, axis=0)
    assert (parts.of_cell != expected).sum() <= 6


def test_three_parts_are_numbered_by_their_size():
    pixels = picture(
        512, 1024, (slice(None), slice(512, 768), 128), (slice(None), slice(768, None), 255)
    )
    parts = find_parts(ByBrightness(), pixels, 1.0)
    assert len(parts.octaves) == 3 and parts.octaves[0] == pytest.approx(-3, abs=0.5)
    sizes = [(parts.of_cell == part).sum() for part in range(3)]
    assert sizes == sorted(sizes, reverse=True)
    assert parts.of_cell[3, 2] == 0 and parts.of_cell[3, 10] == parts.octaves.index(
        sorted(parts.octaves)[1]
    )


@pytest.mark.parametrize("value", [0, 90, 255])
@pytest.mark.parametrize("shape", [(384, 640), (70, 300), (64, 64), (129, 65)])
def test_an_image_of_one_kind_has_no_parts(shape, value):
    assert find_parts(ByBrightness(), np.full(shape, value, np.uint8), None) is None


def test_a_gap_of_less_than_an_octave_is_none():
    pixels = picture(384, 640, (slice(None), slice(256, None), 30))
    assert find_parts(ByBrightness(), pixels, None) is None


def test_windows_differ_by_more_than_their_errors():
    def windows(octaves, error):
        return Coarseness(torch.tensor(octaves), torch.full((len(octaves),), math.log(error)))

    assert windows_differ(windows([0.0, 2.0, 0.1], 0.2))
    assert not windows_differ(windows([0.0, 2.0, 0.1], 0.5))
    assert not windows_differ(windows([0.0, 0.9, 0.1], 0.01))
    assert not windows_differ(windows([1.0], 0.01))


@pytest.mark.parametrize("shape", [(300, 333), (300, 333, 3)])
def test_each_cell_is_of_its_own_image_with_soft_edges(shape):
    rng = np.random.default_rng(0)
    first, second = (rng.integers(0, 256, shape, dtype=np.uint8) for _ in range(2))
    of_cell = np.zeros((5, 6), int)
    of_cell[:, 3:] = 1
    joined = join_parts([first, second], of_cell)
    seam, soft = 3 * CELL, CELL // 2
    np.testing.assert_array_equal(joined[:, : seam - soft], first[:, : seam - soft])
    np.testing.assert_array_equal(joined[:, seam + soft :], second[:, seam + soft :])
    between = joined[:, seam - soft : seam + soft].astype(float)
    low = np.minimum(first, second)[:, seam - soft : seam + soft] - 1.0
    high = np.maximum(first, second)[:, seam - soft : seam + soft] + 1.0
    assert (between >= low).all() and (between <= high).all()
    np.testing.assert_array_equal(join_parts([first, first], of_cell), first)


@pytest.fixture(scope="module")
def live(shared_data):
    """A photograph that the estimator has not seen."""
    with Image.open(shared_data / "restoration" / "live1" / "lighthouse2.png") as picture:
        return np.array(picture.convert("RGB"))


def pasted(clean):
    """The photograph, of which the right half was a JPEG of QF 10 before."""
    middle = clean.shape[1] // 2 // 16 * 16
    coded = parse_corruption("jpeg:10").apply(np.ascontiguousarray(clean[:, middle:])).pixels
    return np.concatenate([clean[:, :middle], coded], axis=1), middle


def error(restored, clean):
    return np.square(restored.astype(float) - clean).mean()


def test_a_paste_is_restored_and_the_rest_left_alone(live):
    mixed, middle = pasted(live)
    result = JpegRestorer("nano")(mixed)
    assert len(result.part_qfs) == 2 and {*result.part_qfs} > {100}
    np.testing.assert_array_equal(
        result.image[:, : middle - 2 * CELL], mixed[:, : middle - 2 * CELL]
    )
    whole = JpegRestorer("nano")(mixed[:, middle:])
    own, plain = (
        error(one, live[:, middle:]) for one in (result.image[:, middle:], mixed[:, middle:])
    )
    assert 10 * np.log10(plain / own) > 0.8 * 10 * np.log10(
        plain / error(whole.image, live[:, middle:])
    )


def test_parts_that_are_as_fine_as_the_file_are_restored_by_it(live):
    mixed, _ = pasted(live)
    made = parse_corruption("jpeg:90").apply(mixed)
    found = find_quality(DecodedImage(made.pixels, made.qtables, made.data))
    assert sorted(one.source for one in found.parts) == ["estimated", "file"]
    by_file = next(one for one in found.parts if one.source == "file")
    assert by_file.qf == 90


@pytest.mark.parametrize("spelling", ["jpeg:10", "jpeg:60", "resized_jpeg:20,0.75", "original"])
def test_a_photograph_of_one_history_has_no_parts(live, spelling):
    made = parse_corruption(spelling).apply(live)
    assert find_quality(DecodedImage(made.pixels, made.qtables)).parts == ()
