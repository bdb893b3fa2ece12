from __future__ import annotations

import numpy as np
import pytest
import torch

from jpeg_preproc.restorers.fourier import PHASE_FLOOR, phase, recombine, spectrum, swap_amplitude


def test_spectrum_and_phase_against_numpy():
    x = torch.rand(2, 3, 12, 10, dtype=torch.float64) - 0.5
    expected = np.fft.fft2(x.numpy()) / np.sqrt(12 * 10)
    bins = spectrum(x)
    np.testing.assert_allclose(bins.numpy(), expected, atol=1e-12)
    # Bins fade at the floor: the error is below (floor / amplitude)².
    faded = np.pi * (PHASE_FLOOR / np.abs(expected)) ** 2
    assert (np.abs(phase(bins).numpy() - np.angle(expected)) <= faded + 1e-12)[..., 1:, 1:5].all()


@pytest.mark.parametrize("size", [(1, 1), (2, 2), (8, 8), (9, 24), (64, 40)])
def test_recombining_uncorrected_amplitude_and_phase_is_the_identity(size):
    x = torch.rand(2, 3, *size) - 0.5
    bins = spectrum(x)
    torch.testing.assert_close(recombine(bins.abs(), bins), x, rtol=0, atol=1e-5)
    polar = torch.fft.ifft2(torch.polar(bins.abs(), phase(bins)), norm="ortho").real
    torch.testing.assert_close(polar, x, rtol=0, atol=1e-5)


def test_a_swapped_amplitude_against_numpy():
    image, other = torch.rand(2, 1, 3, 16, 24, dtype=torch.float64)
    amplitude = np.abs(np.fft.fft2(other.numpy()))
    expected = np.fft.ifft2(amplitude * np.exp(1j * np.angle(np.fft.fft2(image.numpy())))).real
    np.testing.assert_allclose(
        swap_amplitude(image, amplitude_of=other).numpy(), expected, atol=1e-4
    )


def test_a_bin_without_phase_adds_no_noise():
    # The spectrum of a flat image is rounding but for one bin, and rounding has no phase: what is
    # left of the other image is its mean.
    flat, other = torch.full((1, 1, 64, 40), 0.3), torch.rand(1, 1, 64, 40)
    result = swap_amplitude(flat, amplitude_of=other)
    torch.testing.assert_close(result, other.mean().expand_as(other), rtol=0, atol=0.01)


def test_mirror_bins_have_one_sign_of_pi():
    # A signal with negative mean and negative Nyquist bins, spoilt by rounding of either sign.
    bins = torch.full((1, 1, 8, 8), -1.0).to(torch.complex64)
    bins = torch.complex(bins.real, torch.full_like(bins.real, -1e-8))
    result = phase(bins)[0, 0]
    for row in (0, 4):
        for column in (0, 4):
            assert result[row, column] > 3
    assert result[1, 1] < -3


@pytest.mark.parametrize("ramp", [0.0, 0.1])
def test_the_ramp_takes_the_jump_out_of_the_phase(ramp):
    angles = torch.linspace(-torch.pi, torch.pi, 20_001, dtype=torch.float64)[:-1]
    bins = torch.zeros(2, 20_000, dtype=torch.complex128)
    bins[1] = torch.polar(torch.ones_like(angles), angles)  # the second row is mirrored nowhere
    result = phase(torch.cat([bins, bins[:1]]), ramp)[1]  # 3 rows
    jump = (result[0] - result[-1]).abs()
    assert jump > 6 if ramp == 0 else jump < 0.02
    inside = angles.abs() < torch.pi - ramp - 1e-9
    torch.testing.assert_close(result[inside], angles[inside], rtol=1e-7, atol=1e-7)
