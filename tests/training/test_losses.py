"""The losses against numpy's Fourier transform and means."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from jpeg_preproc.training.losses import (
    LOSSES,
    amplitude_loss,
    charbonnier,
    feature_hinge,
    feature_loss,
    phase_loss,
)


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


def test_the_feature_loss_is_a_share_of_the_clean_features_spread():
    torch.manual_seed(0)
    clean = {"a": torch.randn(2, 4, 5, 6) * 3 + 10, "b": torch.randn(2, 8, 2, 3)}
    restored = {name: value + torch.randn_like(value) for name, value in clean.items()}
    shares = []
    for name, value in clean.items():
        wanted, found = value.double().numpy(), restored[name].double().numpy()
        deviation = wanted - wanted.mean(axis=(0, 2, 3), keepdims=True)
        shares.append(np.abs(found - wanted).mean() / np.abs(deviation).mean())
    assert float(feature_loss(restored, clean)) == pytest.approx(np.mean(shares), rel=1e-5)
    # What tells nothing of an image, its features' mean, is off by all of the spread.
    means = {
        name: value.mean((0, 2, 3), keepdim=True).expand_as(value) for name, value in clean.items()
    }
    assert float(feature_loss(means, clean)) == pytest.approx(1.0, rel=1e-5)
    assert float(feature_loss(clean, clean)) == 0


def test_the_feature_loss_has_no_gradient_through_the_clean_image_and_a_finite_one_of_flat_maps():
    clean = torch.zeros(1, 2, 3, 3, requires_grad=True)
    restored = torch.ones(1, 2, 3, 3, requires_grad=True)
    feature_loss({"a": restored}, {"a": clean}).backward()
    assert clean.grad is None and torch.isfinite(restored.grad).all()


def test_feature_maps_of_two_sizes_have_equal_say():
    """Numbers a hundred times as large and maps four times as wide change nothing."""
    torch.manual_seed(0)
    clean, restored = torch.rand(2, 3, 6, 6), torch.rand(2, 3, 6, 6)
    once = feature_loss({"x": restored}, {"x": clean})
    wide = [(100 * image + 7).repeat(1, 1, 2, 2) for image in (restored, clean)]
    both = feature_loss({"x": restored, "y": wide[0]}, {"x": clean, "y": wide[1]})
    assert both.item() == pytest.approx(once.item(), rel=1e-4)


def test_the_hinge_counts_what_is_further_from_the_clean_features_than_jpeg():
    torch.manual_seed(0)
    clean = {"a": torch.randn(2, 4, 5, 6) * 3 + 10, "b": torch.randn(2, 8, 2, 3)}
    jpeg, restored = (
        {name: value + torch.randn_like(value) for name, value in clean.items()} for _ in range(2)
    )
    harm = []
    for name, value in clean.items():
        wanted = value.double().numpy()
        deviation = np.abs(wanted - wanted.mean(axis=(0, 2, 3), keepdims=True)).mean()
        before, after = (
            np.abs(found[name].double().numpy() - wanted).mean(axis=1) for found in (jpeg, restored)
        )
        harm.append(np.maximum(after - before, 0).mean() / deviation)
    found = feature_hinge(restored, clean, jpeg)
    assert float(found) == pytest.approx(np.mean(harm), rel=1e-5) and float(found) > 0
    # Halfway from JPEG to the clean image nothing is further away, nor is JPEG from itself.
    halfway = {name: torch.lerp(jpeg[name], clean[name], 0.5) for name in clean}
    assert float(feature_hinge(halfway, clean, jpeg)) == 0
    assert float(feature_hinge(jpeg, clean, jpeg)) == 0


def test_the_hinge_has_a_gradient_through_the_restored_image_alone():
    torch.manual_seed(0)
    clean, jpeg, restored = (torch.rand(1, 2, 3, 3, requires_grad=True) for _ in range(3))
    feature_hinge({"a": restored}, {"a": clean}, {"a": jpeg}).backward()
    assert clean.grad is None and jpeg.grad is None
    assert restored.grad is not None and restored.grad.abs().sum() > 0
