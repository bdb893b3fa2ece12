"""Coordinates through real crops and resizes, and as seen in upright images."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from jpeg_preproc.corruptions import Geometry, parse_corruption
from jpeg_preproc.errors import CorruptionError
from jpeg_preproc.jpeg import apply_orientation

RESIZED = [
    f"resized_jpeg:90,{scale},kernel={kernel}"
    for scale in (0.45, 0.77, 1, 1.6)
    for kernel in ("bilinear", "bicubic", "cv2_bilinear")
]
# Odd sizes after: no pixel's centre falls between two pixels, where nearest means nothing.
GEOMETRIES = [
    Geometry.cropped((20, 30), (4, 3, 15, 25)),
    Geometry.resized((30, 22), (23, 17)),
    Geometry.resized((14, 9), (33, 25)),
    Geometry.cropped((20, 30), (4, 3, 15, 25)).then(Geometry.resized((15, 25), (11, 21))),
]


def ramp():
    """(60, 84, 3): row and column of each pixel's centre in the first two channels, doubled."""
    rows, columns = np.mgrid[:60, :84]
    return np.stack([2 * rows + 1, 2 * columns + 1, 0 * rows], axis=-1).astype(np.uint8)


@pytest.mark.parametrize("spelling", [*RESIZED, "cropped_jpeg:90,offset=3:5", "cropped_jpeg:90"])
def test_a_grid_of_points_goes_where_the_pixels_went(spelling):
    if "cv2" in spelling:
        pytest.importorskip("cv2")
    corruption = parse_corruption(spelling)
    geometry = corruption.apply(ramp(), "name").geometry
    # Interpolation keeps a ramp a ramp, away from the edges: its values say where they come from.
    found = corruption.reference(ramp(), "name")[..., :2] / 2
    height, width = geometry.corrupted
    rows, columns = np.mgrid[5 : height - 5, 5 : width - 5] + 0.5
    points = np.stack([columns, rows, columns, rows], axis=-1).reshape(-1, 4)
    mapped = geometry.boxes_to_original(points)[:, [1, 0]]
    expected = found[5 : height - 5, 5 : width - 5].reshape(-1, 2)
    # Half of a doubled value's rounding, and what OpenCV's fixed-point kernels cut off; coordinates
    # that count from pixel centres would be off by 0.19 on average and more.
    np.testing.assert_allclose(mapped, expected, atol=0.4)
    np.testing.assert_allclose((mapped - expected).mean(axis=0), 0, atol=0.09)


@pytest.mark.parametrize("geometry", GEOMETRIES)
def test_boxes_there_and_back(geometry):
    boxes = np.random.default_rng(0).uniform(0, 30, (9, 4))
    np.testing.assert_allclose(
        geometry.boxes_to_original(geometry.boxes_to_corrupted(boxes)), boxes, atol=1e-12
    )
    assert geometry.boxes_to_original(np.zeros((0, 4), np.float32)).shape == (0, 4)
    assert geometry.boxes_to_original(np.zeros((1, 4), np.float32)).dtype == np.float32


def test_corners_map_to_corners():
    geometry = parse_corruption("resized_jpeg:50,0.37").apply(ramp()).geometry
    height, width = geometry.corrupted
    whole = geometry.boxes_to_original(np.array([[0.0, 0.0, width, height]]))
    np.testing.assert_allclose(whole, [[0, 0, 84, 60]], rtol=1e-15)


# Odd sizes, for the same reason.
@pytest.mark.parametrize("size", [(31, 23), (17, 33), (65, 1)])
@pytest.mark.parametrize("new", [(23, 17), (61, 35), (1, 1)])
def test_labels_are_resampled_as_pillow_does(size, new):
    labels = np.random.default_rng(1).integers(0, 200, size, np.uint8)
    geometry = Geometry.resized(size, new)

    def pillow(found, to):
        return np.asarray(Image.fromarray(found).resize(to[::-1], Image.Resampling.NEAREST))

    corrupted = geometry.labels_to_corrupted(labels)
    np.testing.assert_array_equal(corrupted, pillow(labels, new))
    np.testing.assert_array_equal(geometry.labels_to_original(corrupted), pillow(corrupted, size))


def test_what_was_cut_away_gets_the_nearest_kept_label():
    labels = np.arange(20 * 30).reshape(20, 30)
    kept = labels[4:19, 3:28]
    geometry = Geometry.cropped((20, 30), (4, 3, 15, 25))
    np.testing.assert_array_equal(geometry.labels_to_corrupted(labels), kept)
    padded = np.pad(kept, ((4, 1), (3, 2)), mode="edge")
    np.testing.assert_array_equal(geometry.labels_to_original(kept), padded)


def test_labels_of_another_size_are_refused():
    geometry = Geometry.resized((30, 22), (23, 17))
    with pytest.raises(CorruptionError, match="30x22"):
        geometry.labels_to_original(np.zeros((30, 22), int))
    with pytest.raises(CorruptionError, match="23x17"):
        geometry.labels_to_corrupted(np.zeros((23, 17), int))


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("geometry", GEOMETRIES)
def test_upright_label_maps_are_the_stored_ones_turned(geometry, orientation):
    labels = np.random.default_rng(2).integers(0, 99, geometry.corrupted)
    expected = apply_orientation(geometry.labels_to_original(labels), orientation)
    upright = geometry.oriented(orientation)
    turned = apply_orientation(labels, orientation)
    assert upright.corrupted == turned.shape
    assert upright.original == expected.shape
    np.testing.assert_array_equal(upright.labels_to_original(turned), expected)


def bounds(mask):
    rows, columns = np.nonzero(mask)
    return [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("scale", [1, 2])
def test_upright_boxes_are_the_stored_ones_turned(scale, orientation):
    cut = Geometry.cropped((20, 30), (4, 3, 15, 25))
    geometry = cut.then(Geometry.resized((15, 25), (15 * scale, 25 * scale)))
    corrupted = np.zeros(geometry.corrupted, bool)
    corrupted[2 * scale : 7 * scale, 4 * scale : 15 * scale] = True
    original = np.zeros(geometry.original, bool)
    original[4 + 2 : 4 + 7, 3 + 4 : 3 + 15] = True
    boxes = np.array([bounds(apply_orientation(corrupted, orientation))], float)
    expected = [bounds(apply_orientation(original, orientation))]
    upright = geometry.oriented(orientation)
    np.testing.assert_allclose(upright.boxes_to_original(boxes), expected, atol=1e-12)
    np.testing.assert_allclose(upright.boxes_to_corrupted(np.array(expected)), boxes, atol=1e-12)


def test_composition_is_one_after_the_other():
    first = Geometry.cropped((20, 30), (4, 3, 15, 25))
    second = Geometry.resized((15, 25), (10, 40))
    third = Geometry.cropped((10, 40), (1, 7, 9, 33))
    boxes = np.random.default_rng(4).uniform(0, 30, (9, 4))
    expected = first.boxes_to_original(second.boxes_to_original(third.boxes_to_original(boxes)))
    whole = first.then(second).then(third)
    np.testing.assert_allclose(whole.boxes_to_original(boxes), expected)
    assert (whole.original, whole.corrupted) == ((20, 30), (9, 33))
    with pytest.raises(CorruptionError, match="cannot follow"):
        third.then(first)


def test_identity():
    same = Geometry.unchanged((20, 30))
    assert same.is_identity
    assert all(same.oriented(orientation).is_identity for orientation in range(1, 9))
    assert not Geometry.cropped((20, 30), (1, 0, 19, 30)).is_identity
    assert not Geometry.cropped((20, 30), (0, 0, 19, 30)).is_identity
    assert not Geometry.resized((20, 30), (20, 31)).is_identity
    with pytest.raises(CorruptionError, match="1-8"):
        same.oriented(9)
