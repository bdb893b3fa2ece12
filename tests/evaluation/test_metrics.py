"""Metrics against scikit-image, SciPy and the papers' definitions, and their catalogue of laws."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.ndimage import uniform_filter
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from jpeg_preproc.errors import ImageReadError, JpegPreprocError
from jpeg_preproc.evaluation import PROTOCOLS, measure, psnr, psnr_b, ssim
from jpeg_preproc.evaluation.protocols import limited_range_y
from jpeg_preproc.jpeg import roundtrip

METRICS = {"psnr": psnr, "ssim": ssim, "psnr_b": psnr_b}
COLOUR = ["fbcnn", "qgac"]


@pytest.fixture(scope="module", params=["colour", "grey"])
def pair(request, photo):
    """A clean image and its JPEG; sides that are no multiples of 8."""
    clean = photo[:117, :181]
    if request.param == "grey":
        clean = limited_range_y(clean)
    return clean, roundtrip(clean, 10)


def test_psnr_is_scikit_images(pair):
    assert psnr(*pair) == pytest.approx(peak_signal_noise_ratio(*pair), abs=1e-9)


def test_gaussian_ssim_is_scikit_images(pair):
    options = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False}
    if pair[0].ndim == 3:
        options["channel_axis"] = 2
    expected = structural_similarity(*pair, data_range=255, **options)
    assert ssim(*pair, "fbcnn") == pytest.approx(expected, abs=1e-9)


def test_uniform_ssim_is_that_of_scipys_filter(pair):
    def plane(x, y):
        def mean(values):
            # An even window is centred half a sample off; cut to where it lies inside.
            return uniform_filter(values, 8)[4:-3, 4:-3]

        x, y = x.astype(float), y.astype(float)
        mx, my = mean(x), mean(y)
        vx, vy, cov = mean(x * x) - mx**2, mean(y * y) - my**2, mean(x * y) - mx * my
        c1, c2 = 2.55**2, 7.65**2
        return np.mean(
            (2 * mx * my + c1) * (2 * cov + c2) / ((mx**2 + my**2 + c1) * (vx + vy + c2))
        )

    planes = [np.atleast_3d(image).transpose(2, 0, 1) for image in pair]
    expected = np.mean([plane(x, y) for x, y in zip(*planes, strict=True)])
    assert ssim(*pair, "qgac") == pytest.approx(expected, abs=1e-9)


def naive_block_effect(plane: np.ndarray, partial_blocks: bool) -> float:
    """Yim and Bovik 2011, eqs. 4-9, one neighbour at a time."""
    height, width = plane.shape
    at, off = 0, 0
    for y in range(height):
        for x in range(width - 1):
            step = (int(plane[y, x]) - int(plane[y, x + 1])) ** 2
            at, off = (at + step, off) if x % 8 == 7 else (at, off + step)
    for y in range(height - 1):
        for x in range(width):
            step = (int(plane[y, x]) - int(plane[y + 1, x])) ** 2
            at, off = (at + step, off) if y % 8 == 7 else (at, off + step)
    across, down = (width / 8, height / 8) if partial_blocks else (width // 8, height // 8)
    count = height * (across - 1) + width * (down - 1)
    rest = height * (width - 1) + width * (height - 1) - count
    weight = math.log2(8) / math.log2(min(height, width)) if at / count > off / rest else 0
    return weight * (at / count - off / rest)


def test_psnr_b_adds_the_block_effect_of_the_tested_images_luma(pair):
    clean, coded = pair
    luma = limited_range_y(coded) if coded.ndim == 3 else coded
    effect = naive_block_effect(luma, partial_blocks=True)
    assert effect > 0
    expected = 10 * math.log10(255**2 / (np.mean((clean - coded.astype(float)) ** 2) + effect))
    assert psnr_b(clean, coded, "fbcnn") == pytest.approx(expected, abs=1e-9)


def test_psnr_b_of_qgac_is_the_mean_over_channels(pair):
    planes = [np.atleast_3d(image).transpose(2, 0, 1) for image in pair]
    values = []
    for clean, coded in zip(*planes, strict=True):
        error = np.mean((clean - coded.astype(float)) ** 2)
        effect = naive_block_effect(coded, partial_blocks=False)
        values.append(10 * math.log10(255**2 / (error + effect)))
    assert psnr_b(*pair, "qgac") == pytest.approx(np.mean(values), abs=1e-9)


@pytest.mark.parametrize("protocol", COLOUR)
def test_equal_images(photo, protocol):
    assert psnr(photo, photo, protocol) == math.inf
    assert ssim(photo, photo, protocol) == pytest.approx(1, abs=1e-12)
    # Edges inside blocks alone: no block effect is left to be added to no error.
    stripes = np.repeat((np.arange(64, dtype=np.uint8)[None] + 2) // 4 * 12, 64, axis=0)
    assert psnr_b(stripes, stripes, protocol) == math.inf


def test_equal_images_with_block_edges_have_a_finite_psnr_b(photo):
    blocky = roundtrip(photo, 5)
    assert psnr_b(blocky, blocky) < 50


@pytest.mark.parametrize("protocol", COLOUR)
def test_psnr_and_ssim_are_symmetric(pair, protocol):
    assert psnr(*pair, protocol) == psnr(*pair[::-1], protocol)
    assert ssim(*pair, protocol) == pytest.approx(ssim(*pair[::-1], protocol), abs=1e-12)


@pytest.mark.parametrize("protocol", COLOUR)
def test_psnr_b_is_not_symmetric(pair, protocol):
    clean, coded = pair
    assert psnr_b(clean, coded, protocol) < psnr_b(coded, clean, protocol) - 0.1


@pytest.mark.parametrize("protocol", COLOUR)
def test_psnr_b_never_exceeds_psnr_of_one_channel(pair, protocol):
    planes = [limited_range_y(image) if image.ndim == 3 else image for image in pair]
    assert psnr_b(*planes, protocol) <= psnr(*planes, protocol)


@pytest.mark.parametrize("protocol", COLOUR)
def test_black_against_white(protocol):
    black, white = np.zeros((16, 24, 3), np.uint8), np.full((16, 24, 3), 255, np.uint8)
    assert psnr(black, white, protocol) == 0
    assert psnr_b(black, white, protocol) == 0
    # Means of 0 and 255, no variance: C1 / (255^2 + C1).
    assert ssim(black, white, protocol) == pytest.approx(2.55**2 / (255**2 + 2.55**2), rel=1e-9)


def test_one_grey_level_off():
    grey = np.full((16, 16), 100, np.uint8)
    assert psnr(grey, grey + np.uint8(1)) == pytest.approx(20 * math.log10(255), abs=1e-12)


def test_the_difference_of_unsigned_bytes_does_not_wrap():
    low, high = np.full((16, 16), 10, np.uint8), np.full((16, 16), 20, np.uint8)
    assert psnr(low, high) == psnr(high, low) == pytest.approx(10 * math.log10(255**2 / 100))


@pytest.mark.parametrize("protocol", COLOUR)
@pytest.mark.parametrize("seed", range(3))
def test_ranges_on_noise(protocol, seed):
    rng = np.random.default_rng(seed)
    noise, other = rng.integers(0, 256, (2, 16, 17, 3), np.uint8)
    assert 0 <= psnr(noise, other, protocol) <= 20
    assert -1 <= ssim(noise, other, protocol) <= 1
    assert ssim(noise, 255 - noise, protocol) < 0


@pytest.mark.parametrize("name", METRICS)
def test_more_compression_scores_lower(photo, name):
    values = [METRICS[name](photo, roundtrip(photo, qf)) for qf in (5, 20, 50, 90)]
    assert values == sorted(values)
    assert len(set(values)) == 4


def test_measure_returns_all_three(pair):
    scores = measure(*pair, "qgac")
    assert (scores.psnr, scores.ssim, scores.psnr_b) == tuple(
        metric(*pair, "qgac") for metric in METRICS.values()
    )


def test_non_contiguous_images_are_taken(photo):
    flipped, coded = photo[:, ::-1], roundtrip(photo, 10)[:, ::-1]
    assert measure(flipped, coded) == measure(flipped.copy(), coded.copy())


@pytest.mark.parametrize("metric", METRICS.values(), ids=METRICS)
@pytest.mark.parametrize(
    ("reference", "tested", "message"),
    [
        (np.zeros((16, 16)), np.zeros((16, 16)), "float64"),
        ([[0]], np.zeros((16, 16), np.uint8), "list"),
        (np.zeros((16, 16), np.uint8), np.zeros((16, 17), np.uint8), "must agree"),
        (np.zeros((16, 16), np.uint8), np.zeros((16, 16, 3), np.uint8), "must agree"),
        (np.zeros((3, 16, 16), np.uint8), np.zeros((3, 16, 16), np.uint8), "H, W, 3"),
        (np.zeros((0, 16), np.uint8), np.zeros((0, 16), np.uint8), "shape"),
    ],
)
def test_other_arrays_are_refused(metric, reference, tested, message):
    with pytest.raises(ImageReadError, match=message):
        metric(reference, tested)


@pytest.mark.parametrize("metric", METRICS.values(), ids=METRICS)
def test_colour_is_refused_where_grey_is_measured(metric, photo):
    with pytest.raises(ImageReadError, match="prepare_reference"):
        metric(photo, photo, "grey-y")


@pytest.mark.parametrize("metric", METRICS.values(), ids=METRICS)
def test_unknown_protocol_lists_the_known(metric, photo):
    with pytest.raises(JpegPreprocError, match="fbcnn, qgac, grey-y"):
        metric(photo, photo, "matlab")


@pytest.mark.parametrize(("protocol", "side"), [("fbcnn", 11), ("grey-y", 11), ("qgac", 8)])
def test_ssim_needs_room_for_its_window(protocol, side):
    fits, small = np.zeros((side, side), np.uint8), np.zeros((side - 1, 64), np.uint8)
    assert ssim(fits, fits, protocol) == 1
    with pytest.raises(ImageReadError, match=f"64x{side - 1} pixels.*at least {side}"):
        ssim(small, small, protocol)


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("shape", [(1, 1), (9, 7), (7, 64), (8, 8)])
def test_psnr_b_needs_a_block_boundary(protocol, shape):
    image = np.zeros(shape, np.uint8)
    with pytest.raises(ImageReadError, match=f"{shape[1]}x{shape[0]} pixels.*boundary"):
        psnr_b(image, image, protocol)


def test_psnr_takes_a_single_pixel():
    assert psnr(np.zeros((1, 1), np.uint8), np.full((1, 1), 255, np.uint8)) == 0
