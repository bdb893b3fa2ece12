"""What the shipped tiny variants of the papers' networks promise on photographs new to them."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
import pytest
from skimage import data

from jpeg_preproc import JpegRestorer, compress_jpeg
from jpeg_preproc.evaluation.metrics import psnr
from jpeg_preproc.jpeg import decode_jpeg
from jpeg_preproc.restorers.weights import shipped_names, weights_path

# Least gain in dB over the JPEG input, mean of the photographs, at each quality factor.
GAINS = {
    "agarnet-tiny": {10: 0.5, 20: 0.5, 30: 0.45, 40: 0.4, 50: 0.32, 60: 0.3},
    "d2lnet-tiny": {10: 0.8, 20: 0.85, 30: 0.85, 40: 0.8, 50: 0.65, 60: 0.55},
    "dagn-tiny": {10: 0.6, 20: 0.75, 30: 0.85, 40: 0.85, 50: 0.8, 60: 0.8},
    "qgcn-tiny": {10: 1.0, 20: 0.9, 30: 0.8, 40: 0.65, 50: 0.5, 60: 0.38},
}
# DAGN's ablations (its Table V): weights for study, beside their configs and not in the package.
ABLATIONS = Path(__file__).resolve().parents[2] / "configs" / "restorers" / "dagn" / "ablations"
ABLATION_GAINS = {
    "dagn-tiny-baseline": {10: 0.35, 20: 0.45, 30: 0.5, 40: 0.52, 50: 0.5, 60: 0.5},
    "dagn-tiny-cigm": {10: 0.39, 20: 0.48, 30: 0.55, 40: 0.57, 50: 0.54, 60: 0.54},
    "dagn-tiny-csgm": {10: 0.38, 20: 0.46, 30: 0.51, 40: 0.53, 50: 0.51, 60: 0.51},
    "dagn-tiny-cfm": {10: 0.35, 20: 0.43, 30: 0.48, 40: 0.5, 50: 0.47, 60: 0.47},
    "dagn-tiny-full": {10: 0.42, 20: 0.52, 30: 0.57, 40: 0.57, 50: 0.54, 60: 0.54},
}
ALL_GAINS = GAINS | ABLATION_GAINS


@pytest.fixture(scope="module")
def photos():
    crops = (data.astronaut()[0:192, 128:320], data.coffee()[100:292, 200:392])
    return [np.ascontiguousarray(crop) for crop in (*crops, data.chelsea()[60:252, 100:292])]


@cache
def restorer(name: str) -> JpegRestorer:
    return JpegRestorer(ABLATIONS / f"{name}.safetensors" if name in ABLATION_GAINS else name)


def gains(name, photos, qf, told=None):
    """Return the gain in dB on each photograph, told the file's quality or another one."""
    for photo in photos:
        jpeg = compress_jpeg(photo, qf=qf)
        restored = restorer(name)(jpeg, qf="auto" if told is None else told).image
        yield psnr(photo, restored) - psnr(photo, decode_jpeg(jpeg).pixels)


def test_every_tiny_variant_is_tested_and_small():
    tiny = {name for name in shipped_names() if "tiny" in name}
    assert tiny == set(GAINS)
    ablations = sorted(ABLATIONS.glob("*.safetensors"))
    assert {path.stem for path in ablations} == set(ABLATION_GAINS)
    assert all(path.stat().st_size <= 4e6 for path in [*map(weights_path, tiny), *ablations])


@pytest.mark.parametrize("name,qf", [(name, qf) for name in ALL_GAINS for qf in ALL_GAINS[name]])
def test_each_quality_is_improved(name, qf, photos):
    measured = list(gains(name, photos, qf))
    assert min(measured) > 0
    assert np.mean(measured) > ALL_GAINS[name][qf]


@pytest.mark.parametrize("qf,wrong,least", [(10, 60, 0.15), (60, 10, 0.5), (40, 5, 0.5)])
def test_qgcn_told_the_files_tables_beats_itself_told_wrong_ones(qf, wrong, least, photos):
    right = gains("qgcn-tiny", photos, qf)
    misled = gains("qgcn-tiny", photos, qf, told=wrong)
    assert all(a > b + least for a, b in zip(right, misled, strict=True))
