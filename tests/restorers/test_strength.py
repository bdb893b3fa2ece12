"""How much of the correction is made: by the caller, or by what the weights' manifest says."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest
from stirring import stir

from jpeg_preproc import JpegRestorer, build_restorer, compress_jpeg
from jpeg_preproc.errors import QualityError
from jpeg_preproc.jpeg import decode_jpeg
from jpeg_preproc.restorers import save_weights
from jpeg_preproc.restorers.weights import read_manifest


@pytest.fixture
def network():
    return stir(build_restorer("GridUNet", "nano", blocks=[1, 1, 1, 1, 1]))


def floats(restorer, pixels):
    return restorer(pixels).image.astype(float)


@pytest.mark.parametrize("strength", [0.25, 0.5, 0.9])
def test_a_share_of_the_correction_is_made(network, photo, strength):
    jpeg = compress_jpeg(photo, 15)
    before = decode_jpeg(jpeg).pixels.astype(float)
    whole = floats(JpegRestorer(network), jpeg)
    part = floats(JpegRestorer(network, strength=strength), jpeg)
    inside = (whole > 0) & (whole < 255)  # elsewhere the correction was cut
    expected = before + strength * (whole - before)
    assert np.abs(part - expected)[inside].max() <= 1.0  # both are rounded
    assert np.abs(whole - before).max() > 3


def test_nothing_and_all_of_it(network, photo):
    jpeg = compress_jpeg(photo, 15)
    pixels = decode_jpeg(jpeg).pixels
    np.testing.assert_array_equal(JpegRestorer(network, strength=0)(jpeg).image, pixels)
    np.testing.assert_array_equal(
        JpegRestorer(network, strength=1)(jpeg).image, JpegRestorer(network)(jpeg).image
    )


@pytest.mark.parametrize("strength", [-0.1, 1.01, float("nan"), "much"])
def test_other_strengths_are_refused(network, strength):
    with pytest.raises(QualityError, match="from 0 to 1"):
        JpegRestorer(network, strength=strength)


def test_the_manifest_says_it_by_quality(tmp_path, network, photo):
    path = tmp_path / "mine.safetensors"
    save_weights(network, path, preset="nano", settings={"blocks": [1, 1, 1, 1, 1]})
    manifest = read_manifest(path)
    assert manifest.strength_at(10) == 1.0
    told = dataclasses.replace(manifest, strength={"20": 1.0, "60": 0.5, "90": 0.0})
    path.with_suffix(".json").write_text(json.dumps(dataclasses.asdict(told)))
    assert [told.strength_at(qf) for qf in (5, 20, 40, 60, 75, 95, None)] == pytest.approx(
        [1.0, 1.0, 0.75, 0.5, 0.25, 0.0, 1.0]
    )
    for qf in (10, 40, 95):
        jpeg = compress_jpeg(photo, qf)
        by_hand = JpegRestorer(network, strength=told.strength_at(qf))(jpeg).image
        np.testing.assert_array_equal(JpegRestorer(path)(jpeg).image, by_hand)
    # Images of several qualities in one batch, each by its own.
    jpegs = [compress_jpeg(photo, qf) for qf in (10, 40, 95)]
    for result, jpeg in zip(JpegRestorer(path)(jpegs), jpegs, strict=True):
        np.testing.assert_array_equal(result.image, JpegRestorer(path)(jpeg).image)
    # The caller's word counts.
    whole = JpegRestorer(path, strength=1.0)(jpegs[2]).image
    assert not np.array_equal(whole, JpegRestorer(path)(jpegs[2]).image)
