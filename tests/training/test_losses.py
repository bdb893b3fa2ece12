"""The losses against numpy's Fourier transform."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from jpeg_preproc.training.losses import LOSSES, amplitude_loss, charbonnier, phase_loss


@pytest.fixture
def pair():
    torch.manual_seed(0)
    # Odd sides: of even ones some bins are real, and the sign of -0.0 decides between pi and -pi.
    return torch.rand(2, 3, 11, 15), torch.rand(2, 3, 11, 15)


@pytest.mark.parametrize(
    "loss,part", [(amplitude_loss, np.abs), (phase_loss, np.angle)], ids=["amplitude", "phase"]
)
def test_fourier_losses_are_numpys(pair, loss, part):
    spectra = [part(np.fft.fft2(image.double().numpy(), norm="ortho")) for image in pair]
    assert float(loss(*pair)) == pytest.approx(np.abs(spectra[0] - spectra[1]).mean(), rel=1e-3)


def test_a_shift_is_seen_by_the_phase_alone(pair):
    image = pair[0]
    shifted = image.roll(3, dims=-1)
    assert float(amplitude_loss(image, shifted)) == pytest.approx(0, abs=1e-5)
    assert float(phase_loss(image, shifted)) > 0.5


def test_gradients_are_finite_where_a_spectrum_is_zero():
    flat = torch.zeros(1, 1, 8, 8, requires_grad=True)
    (
        amplitude_loss(flat, torch.ones(1, 1, 8, 8)) + phase_loss(flat, torch.rand(1, 1, 8, 8))
    ).backward()
    assert torch.isfinite(flat.grad).all()


@pytest.mark.parametrize("name", sorted(LOSSES))
def test_pixel_losses_are_least_where_images_agree(pair, name):
    image, other = pair
    assert float(LOSSES[name](image, image)) < 1.1e-3 < float(LOSSES[name](image, other))


def test_charbonnier_is_l1_far_from_zero():
    ones, zeros = torch.ones(1, 1, 4, 4), torch.zeros(1, 1, 4, 4)
    assert float(charbonnier(ones, zeros)) == pytest.approx(1.0, abs=1e-6)
    assert float(charbonnier(zeros, zeros)) == pytest.approx(1e-3)
