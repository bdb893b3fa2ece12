"""JpegRestore(consistent=True) against the public restorer."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image
from toys import LOAD, run

import jpeg_preproc.openmmlab  # noqa: F401 - registers the transforms
from jpeg_preproc.jpeg import compress_jpeg
from jpeg_preproc.restorers.engine import JpegRestorer


@pytest.mark.parametrize("orientation", [1, 6])
@pytest.mark.parametrize("subsampling", ["4:4:4", "4:2:0", "grey"])
def test_a_consistent_result_is_the_public_restorers(
    tmp_path, photo, small_weights, subsampling, orientation
):
    path = tmp_path / "a.jpg"
    path.write_bytes(compress_jpeg(photo[:99], 20, subsampling, orientation))
    restore = dict(type="JpegRestore", restorer=str(small_weights))
    plain, found = (
        run([LOAD, {**restore, **more}], path)["img"] for more in ({}, {"consistent": True})
    )
    expected = JpegRestorer(small_weights, consistent=True)(path).image
    if expected.ndim == 2:
        expected = np.repeat(expected[..., None], 3, axis=2)
    np.testing.assert_array_equal(found, expected[..., ::-1])
    assert (found != plain).any()


def test_consistent_with_what_the_transform_before_compressed(tmp_path, photo, small_weights):
    Image.fromarray(photo).save(tmp_path / "a.png")
    steps = [
        LOAD,
        dict(type="JpegCompress", qf=15, subsampling="4:4:4"),
        dict(type="JpegRestore", restorer=str(small_weights), consistent=True),
    ]
    expected = JpegRestorer(small_weights, consistent=True)(compress_jpeg(photo, 15, "4:4:4")).image
    np.testing.assert_array_equal(run(steps, tmp_path / "a.png")["img"], expected[..., ::-1])


def test_consistent_leaves_what_is_no_jpeg_or_of_a_given_quality(tmp_path, photo, small_weights):
    (tmp_path / "a.jpg").write_bytes(compress_jpeg(photo, 20))
    Image.fromarray(photo).save(tmp_path / "a.png")
    for path, more in ((tmp_path / "a.png", {}), (tmp_path / "a.jpg", {"qf": 30})):
        restore = dict(type="JpegRestore", restorer=str(small_weights), **more)
        results = [run([LOAD, {**restore, "consistent": on}], path)["img"] for on in (False, True)]
        np.testing.assert_array_equal(*results)


@pytest.mark.parametrize("color_type", ["grayscale", "color"])
def test_consistent_of_a_colour_file_loaded_in_grey(tmp_path, photo, small_weights, color_type):
    (tmp_path / "a.jpg").write_bytes(compress_jpeg(photo, 20))
    restore = dict(type="JpegRestore", restorer=str(small_weights), consistent=True)
    load = dict(**LOAD, color_type=color_type)
    image = run([load, restore], tmp_path / "a.jpg")["img"]
    assert image.ndim == (2 if color_type == "grayscale" else 3)
