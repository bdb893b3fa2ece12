"""Random fields against scipy and against the spectra they claim."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage, stats

from jpeg_preproc.demo.fields import (
    Draws,
    band_noise,
    crop_periodic,
    gaussian_blur,
    power_law_noise,
)


def test_draws_repeat_and_differ_between_streams_and_indices() -> None:
    first = Draws(1, 5).normal(8)
    np.testing.assert_array_equal(first, Draws(1, 5).normal(8))
    assert not np.array_equal(first, Draws(1, 6).normal(8))
    assert not np.array_equal(first, Draws(2, 5).normal(8))


def test_draws_are_pcg64_doubles() -> None:
    # The stream is numpy's own, seeded by SeedSequence([stream, index]).
    generator = np.random.Generator(np.random.PCG64([3, 4]))
    draws = Draws(3, 4)
    assert [draws.uniform(0.0, 1.0) for _ in range(3)] == list(generator.random(3))


def test_normal_is_normal() -> None:
    assert stats.kstest(Draws(0, 0).normal(4000), "norm").pvalue > 0.01


def test_power_law_has_its_distribution() -> None:
    draws = Draws(0, 1)
    sample = [draws.power_law(2.0, 50.0, 2.5) for _ in range(3000)]
    # A Pareto law of shape 1.5 cut off at 50, from scipy.
    law = stats.truncpareto(1.5, 25.0, scale=2.0)
    assert stats.kstest(sample, law.cdf).pvalue > 0.01


def test_integer_reaches_both_ends() -> None:
    draws = Draws(0, 2)
    assert {draws.integer(3, 5) for _ in range(200)} == {3, 4, 5}


@pytest.mark.parametrize("exponent", [0.8, 1.2])
def test_power_law_noise_has_its_spectrum(exponent: float) -> None:
    noise = power_law_noise(Draws(0, 3), 128, 192, exponent)
    assert noise.shape == (128, 192)
    assert abs(noise.mean()) < 1e-12
    assert noise.std() == pytest.approx(1.0)
    amplitude = np.abs(np.fft.fft2(noise))
    frequency = np.hypot(np.fft.fftfreq(128)[:, None], np.fft.fftfreq(192)[None, :])
    inner = (frequency > 0.02) & (frequency < 0.4)
    slope = stats.linregress(np.log(frequency[inner]), np.log(amplitude[inner])).slope
    assert slope == pytest.approx(-exponent, abs=0.05)


def test_band_noise_has_one_scale() -> None:
    power = np.abs(np.fft.fft2(band_noise(Draws(0, 4), 128, 128, 8.0))) ** 2
    frequency = np.hypot(np.fft.fftfreq(128)[:, None], np.fft.fftfreq(128)[None, :])
    assert (power * frequency).sum() / power.sum() == pytest.approx(1 / 8, rel=0.15)


@pytest.mark.parametrize("shape", [(40, 56), (33, 21, 3)])
def test_gaussian_blur_equals_scipy(shape: tuple[int, ...]) -> None:
    image = Draws(0, 5).normal(*shape)
    sigma = (1.5, 1.5, 0)[: len(shape)]
    expected = ndimage.gaussian_filter(image, sigma, mode="mirror", truncate=8.0)
    # scipy samples the Gaussian, ours is its continuous transform: equal to a few thousandths.
    np.testing.assert_allclose(gaussian_blur(image, 1.5), expected, atol=5e-3)


def test_no_blur_is_the_identity() -> None:
    image = Draws(0, 6).normal(9, 7)
    np.testing.assert_array_equal(gaussian_blur(image, 0.0), image)


def test_crop_periodic_wraps() -> None:
    field = np.arange(12.0).reshape(3, 4)
    np.testing.assert_array_equal(
        crop_periodic(field, 2, 3, 4, 5), np.tile(field, (4, 4))[2:6, 3:8]
    )
