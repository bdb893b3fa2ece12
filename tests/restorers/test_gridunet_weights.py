"""What the shipped weights of our own design promise, on photographs new to them."""

from __future__ import annotations

import numpy as np
import pytest
from skimage import data

from jpeg_preproc import JpegRestorer, compress_jpeg
from jpeg_preproc.corruptions import parse_corruption
from jpeg_preproc.evaluation.apply import as_decoded
from jpeg_preproc.evaluation.metrics import psnr
from jpeg_preproc.jpeg import decode_jpeg

# Of the loss on features the variants `task` give some away.
_TASK_GAINS = {5: 1.0, 10: 0.9, 20: 0.75, 30: 0.65, 40: 0.55, 60: 0.4, 75: 0.3, 90: 0.05}

_SMALLER_GAINS = {5: 1.0, 10: 0.95, 20: 0.85, 30: 0.75, 40: 0.65, 60: 0.5, 75: 0.3, 90: 0.05}

# Least gain in dB over the JPEG input, mean of the three crops.
GAINS = {
    "base": {5: 1.0, 10: 1.0, 20: 0.9, 30: 0.8, 40: 0.7, 60: 0.5, 75: 0.3, 90: 0.05},
    "base-task": _TASK_GAINS,
    "small": _SMALLER_GAINS,
    "small-task": _TASK_GAINS,
    "nano": _SMALLER_GAINS,
    "nano-task": _TASK_GAINS,
}


@pytest.fixture(scope="module", params=GAINS)
def restorer(request):
    return JpegRestorer(request.param)


@pytest.fixture(scope="module")
def photos():
    crops = (data.astronaut()[0:192, 128:320], data.coffee()[100:292, 200:392])
    return [np.ascontiguousarray(crop) for crop in (*crops, data.chelsea()[60:252, 100:292])]


@pytest.mark.parametrize("qf", GAINS["base"])
def test_each_quality_is_improved(restorer, photos, qf):
    gains = []
    for photo in photos:
        jpeg = compress_jpeg(photo, qf=qf)
        gains.append(psnr(photo, restorer(jpeg).image) - psnr(photo, decode_jpeg(jpeg).pixels))
    assert min(gains) > 0
    assert np.mean(gains) > GAINS[restorer.name][qf]


@pytest.mark.parametrize("subsampling", ["4:4:4", "4:2:2", "grey"])
def test_other_formats_are_improved(restorer, photos, subsampling):
    for photo in photos:
        clean = photo if subsampling != "grey" else np.rint(photo.mean(-1)).astype(np.uint8)
        jpeg = compress_jpeg(clean, qf=20, subsampling=subsampling)
        assert psnr(clean, restorer(jpeg).image) > psnr(clean, decode_jpeg(jpeg).pixels) + 0.3


def test_blind_is_nearly_as_good(restorer, photos):
    for photo in photos:
        jpeg = compress_jpeg(photo, qf=10)
        told, blind = restorer(jpeg).image, restorer(jpeg, qf="blind").image
        assert psnr(photo, blind) > psnr(photo, decode_jpeg(jpeg).pixels) + 0.5
        assert psnr(photo, told) > psnr(photo, blind) - 0.05


@pytest.mark.parametrize(
    "history",
    [
        "cropped_jpeg:10,offset=3",
        "resized_jpeg:10,0.75",
        "resized_jpeg:10,1.5",
        "double_jpeg:10,95",
        "double_jpeg:10,95,shift=3",
        "double_jpeg:10,75,shift=3",
        "resized_jpeg:10,0.75,then=90",
    ],
)
def test_whatever_happened_after_a_strong_compression_it_helps(restorer, photos, history):
    corruption = parse_corruption(history)
    gains = []
    for photo in photos:
        made, clean = corruption.apply(photo), corruption.reference(photo)
        restored = restorer.restore([as_decoded(made)])[0].image
        gains.append(psnr(clean, restored) - psnr(clean, made.pixels))
    assert min(gains) > 0.3
    assert np.mean(gains) > 0.5


def test_told_the_truth_it_does_better_than_told_wrong(restorer, photos):
    for photo in photos:
        jpeg = compress_jpeg(photo, qf=10)
        assert psnr(photo, restorer(jpeg).image) > psnr(photo, restorer(jpeg, qf=60).image) + 0.2
