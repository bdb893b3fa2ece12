from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.signal import correlate2d
from torch.nn import functional as F

from jpeg_preproc.restorers.d2lnet import (
    ChannelModulation,
    CorrectionBlock,
    HalfNormBlock,
    ParameterFreeAttention,
    SpatialAttention,
    SupervisedAttention,
)
from jpeg_preproc.restorers.fourier import spectrum


def lrelu(values):
    return np.where(values > 0, values, 0.2 * values)


def make_identity(block):
    """Let the two 1×1 convolutions of the Fourier branch pass everything."""
    for layer in (block.correct[0], block.correct[2]):
        torch.nn.init.dirac_(layer.weight)
        torch.nn.init.zeros_(layer.bias)


def test_an_amplitude_that_is_not_corrected_gives_the_feature_back():
    # An amplitude is not negative, so that LeakyReLU lets it pass.
    block = CorrectionBlock(6, 6, "amplitude")
    make_identity(block)
    x = torch.rand(2, 6, 16, 24) - 0.5
    torch.testing.assert_close(block.fourier(x), x, rtol=0, atol=1e-5)


def test_negative_phases_are_leaky():
    block = CorrectionBlock(6, 6, "phase").double()
    make_identity(block)
    x = torch.rand(2, 6, 16, 24, dtype=torch.float64) - 0.5
    bins = np.fft.fft2(x.numpy())
    # numpy gives bins that are real by symmetry either sign of pi; ours is always +pi.
    angle = np.angle(bins)
    real = angle[..., ::8, ::12]
    angle[..., ::8, ::12] = np.where(np.abs(real) > 3, np.pi, 0)
    expected = np.fft.ifft2(np.abs(bins) * np.exp(1j * lrelu(angle))).real
    np.testing.assert_allclose(block.fourier(x).detach().numpy(), expected, atol=1e-5)
    assert np.abs(expected - x.numpy()).max() > 0.01


@pytest.mark.parametrize("correction", ["amplitude", "phase"])
def test_a_correction_changes_only_its_half_of_the_spectrum(correction):
    block = CorrectionBlock(6, 6, correction).double()
    with torch.no_grad():
        block.correct[2].bias.fill_(0.5)
    x = torch.rand(1, 6, 16, 24, dtype=torch.float64) - 0.5
    before, after = spectrum(x), spectrum(block.fourier(x).detach())
    if correction == "amplitude":
        # The phase stays, or turns by pi where the corrected amplitude is negative.
        turn = (after / before)[before.abs() > 1e-2]
        assert (turn.imag.abs() <= 1e-6 * turn.abs() + 1e-9).all()
        assert not torch.allclose(after.abs(), before.abs(), rtol=0.1)
    else:
        # The real part of a signal with A·exp(jP'): the mean of the bin and its mirror's conjugate.
        assert (after.abs() <= before.abs() + 1e-9).all()
        assert not torch.allclose(after.angle(), before.angle(), rtol=0.1)


@pytest.mark.parametrize("correction", ["amplitude", "phase", "none"])
@pytest.mark.parametrize("attention", ["conv", "parameter_free"])
def test_a_block_puts_its_branches_together(correction, attention):
    block = CorrectionBlock(4, 6, correction, attention)
    x = torch.rand(2, 4, 8, 16)
    first = F.leaky_relu(
        F.conv2d(x, block.spatial[0].weight, block.spatial[0].bias, padding=1), 0.2
    )
    spatial = F.leaky_relu(
        F.conv2d(first, block.spatial[2].weight, block.spatial[2].bias, padding=1), 0.2
    )
    rest = torch.einsum("oi,nihw->nohw", block.project.weight[..., 0, 0], x)
    rest = rest + block.project.bias[:, None, None]
    expected = spatial + rest
    if correction != "none":
        fourier = block.fourier(rest)
        expected = block.attend(spatial - fourier) * spatial + fourier + rest
    torch.testing.assert_close(block(x), expected, rtol=1e-4, atol=1e-5)


def test_spatial_attention_against_scipy():
    attention = SpatialAttention()
    x = torch.randn(1, 5, 7, 9)
    kernel = attention.conv.weight[0].detach().numpy()
    pooled = (x[0].numpy().mean(axis=0), x[0].numpy().max(axis=0))
    maps = [correlate2d(plane, k, mode="same") for plane, k in zip(pooled, kernel, strict=True)]
    expected = 1 / (1 + np.exp(-sum(maps)))
    np.testing.assert_allclose(attention(x)[0, 0].detach().numpy(), expected, atol=1e-6)


def test_parameter_free_attention():
    x = torch.randn(2, 5, 7, 9)
    weights = ParameterFreeAttention()(x)
    exponential = np.exp(x.numpy().sum(axis=1, keepdims=True))
    expected = exponential / exponential.mean(axis=(2, 3), keepdims=True)
    np.testing.assert_allclose(weights.numpy(), expected, rtol=1e-4)


def test_supervised_attention():
    module = SupervisedAttention(4, 3)
    x, image = torch.randn(2, 4, 8, 8), torch.rand(2, 3, 8, 8)
    features, restored = module(x, image)
    torch.testing.assert_close(restored, image + module.to_image(x))
    gate = 1 / (1 + torch.exp(-module.gate(restored)))
    torch.testing.assert_close(features, x + gate * module.features(x))
    # With a gate of one half everywhere, half the convolved features are added.
    torch.nn.init.zeros_(module.gate.weight)
    torch.nn.init.zeros_(module.gate.bias)
    torch.testing.assert_close(module(x, image)[0], x + 0.5 * module.features(x))


def test_half_norm_normalises_the_first_half_only():
    block = HalfNormBlock(6)
    with torch.no_grad():
        block.norm.weight.copy_(torch.tensor([1.0, 2.0, 3.0]))
        block.norm.bias.copy_(torch.tensor([0.1, 0.2, 0.3]))
    seen = []
    block.conv2.register_forward_hook(lambda _, inputs, __: seen.append(inputs[0].detach()))
    x = torch.randn(2, 6, 8, 10)
    result = block(x).detach().numpy()
    hidden = lrelu(block.conv1(x).detach().numpy())
    half = hidden[:, :3]
    half = (half - half.mean(axis=(2, 3), keepdims=True)) / np.sqrt(
        half.var(axis=(2, 3), keepdims=True) + 1e-5
    )
    half = half * np.array([1, 2, 3])[:, None, None] + np.array([0.1, 0.2, 0.3])[:, None, None]
    np.testing.assert_allclose(seen[0].numpy(), np.concatenate([half, hidden[:, 3:]], 1), atol=1e-5)
    expected = x.numpy() + lrelu(block.conv2(seen[0]).detach().numpy())
    np.testing.assert_allclose(result, expected, atol=1e-5)


def test_channel_modulation_with_closed_gates_is_two_convolutions():
    module = ChannelModulation(8, 3)
    x = torch.randn(2, 8, 8, 8)
    assert not torch.allclose(module(x), module.tail(module.head(x)), atol=1e-3)
    torch.nn.init.constant_(module.weigh[2].bias, -100.0)
    torch.testing.assert_close(module(x), module.tail(module.head(x)))


def test_autocast_keeps_spectra_in_full_precision():
    block = CorrectionBlock(6, 6, "amplitude")
    seen = []
    for layer in (block.correct, block.spatial):
        layer.register_forward_hook(lambda _, inputs, result: seen.append(result.dtype))
    with torch.autocast("cpu", torch.bfloat16):
        result = block(torch.rand(1, 6, 16, 16))
    assert seen == [torch.bfloat16, torch.float32] and result.dtype == torch.bfloat16
