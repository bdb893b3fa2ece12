"""What happens to training crops: shares, what is told, and the quality of equal error."""

from __future__ import annotations

import io
from collections import Counter

import numpy as np
import pytest
from PIL import Image

from jpeg_preproc.corruptions import DoubleJpeg, Jpeg, ResizedJpeg, TableJpeg
from jpeg_preproc.jpeg import nearest_qf
from jpeg_preproc.jpeg.tables import octaves_of
from jpeg_preproc.training.data import JpegCrops
from jpeg_preproc.training.histories import Coding, equal_error_qf

MIXED = Coding(
    qf_ranges=[(5, 60, 1.0)],
    double=0.3,
    double_qf=(5, 95),
    double_shifted=0.5,
    shifted=0.2,
    resized=0.25,
    other_tables=0.2,
    believed="effective",
)


@pytest.fixture
def rng():
    return np.random.default_rng(3)


def saved(pixels, qf):
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "JPEG", quality=qf)
    with Image.open(stream) as picture:
        return np.array(picture)


def test_histories_come_in_their_shares(rng):
    drawn = [MIXED.draw(rng, 96, 400) for _ in range(1000)]
    kinds = Counter(type(history.corruption) for history in drawn)
    # Five standard deviations of 1000 draws are at most 0.08.
    assert abs(kinds[ResizedJpeg] / 1000 - 0.25) < 0.08
    assert abs(kinds[DoubleJpeg] / 1000 - 0.75 * 0.3) < 0.08
    assert abs(kinds[TableJpeg] / 1000 - 0.75 * 0.7 * 0.2) < 0.08
    assert kinds[Jpeg] == 1000 - kinds[ResizedJpeg] - kinds[DoubleJpeg] - kinds[TableJpeg]
    assert abs(np.mean([history.cut != (0, 0) for history in drawn]) - 0.75 * 0.2) < 0.08
    scales = [h.corruption.scale for h in drawn if isinstance(h.corruption, ResizedJpeg)]
    assert 0.49 < min(scales) < 0.6 and 1.7 < max(scales) < 2.05


def test_a_crop_is_as_large_as_asked_for_whatever_happened(tmp_path, photo):
    Image.fromarray(photo).save(tmp_path / "a.png")
    crops = JpegCrops([{"folder": str(tmp_path)}], crop=64, coding=MIXED)
    for index in range(60):
        item = crops[index]
        assert item["jpeg"].shape == item["clean"].shape == (3, 64, 64)


def test_where_an_image_is_no_larger_than_a_crop_nothing_is_cut_or_reduced(rng):
    drawn = [MIXED.draw(rng, 96, 96) for _ in range(200)]
    assert {history.side for history in drawn} <= set(range(97))
    assert {history.cut for history in drawn} == {(0, 0)}


def test_of_two_codings_the_coarser_one_is_told(rng):
    for _ in range(300):
        history = MIXED.draw(rng, 96, 400)
        made = history.corruption
        if isinstance(made, DoubleJpeg):
            assert (history.quality == "file") == (made.first >= made.second)
            if history.quality != "file":
                gap = octaves_of(history.quality) - octaves_of(made.first)
                assert abs(gap) < 5 * MIXED.belief_spread + 0.5  # of whole qualities
    trusting = Coding(double=1.0, double_qf=(5, 20), qf_ranges=[(80, 90, 1.0)])
    assert trusting.draw(rng, 96, 400).quality == "file"


def test_the_quality_of_equal_error_is_that_of_one_coding(photo):
    """Of an image that was coded once it is that coding's own."""
    grey = photo[..., 0]
    for qf in (5, 20, 40, 75):
        found = equal_error_qf(grey, saved(grey, qf))
        error = np.square(saved(grey, qf) - grey.astype(float)).mean()
        at_found = np.square(saved(grey, found) - grey.astype(float)).mean()
        assert at_found <= error and abs(found - qf) <= 1
    assert equal_error_qf(grey, grey) >= 98


def test_reducing_an_image_raises_its_quality_and_enlarging_lowers_it(photo, rng):
    coding = Coding(believed="effective", belief_spread=0.0)
    told = {}
    for scale in (0.5, 1.5):
        corruption = ResizedJpeg(20, scale, kernel="bicubic")
        history = type(MIXED.draw(rng, 96, 400))(corruption, 120, quality="error")
        clean, spoilt = corruption.reference(photo), corruption.apply(photo).pixels
        told[scale] = nearest_qf(coding.tables(history, None, clean, spoilt, rng)).qf
    assert told[1.5] < 20 < told[0.5]
