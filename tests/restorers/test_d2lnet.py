from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.signal import correlate2d
from torch.nn import functional as F

from jpeg_preproc.restorers import build_restorer, macs
from jpeg_preproc.restorers.d2lnet import (
    PHASE_FLOOR,
    ChannelModulation,
    CorrectionBlock,
    HalfNormBlock,
    ParameterFreeAttention,
    SpatialAttention,
    SupervisedAttention,
    phase,
    recombine,
    spectrum,
    swap_amplitude,
)
from jpeg_preproc.restorers.weights import load_weights, save_weights

# Four levels of the least width: the whole structure in a few milliseconds.
SMALL = {"widths": (4, 8, 8, 8)}


def small(**settings):
    torch.manual_seed(0)
    return build_restorer("D2LNet", "tiny", **{**SMALL, **settings}).eval()


def parameters(network):
    return sum(value.numel() for value in network.parameters())


def on_meta(preset, **settings):
    with torch.device("meta"):
        return build_restorer("D2LNet", preset, **settings)


def lrelu(values):
    return np.where(values > 0, values, 0.2 * values)


def make_identity(block):
    """Let the two 1×1 convolutions of the Fourier branch pass everything."""
    for layer in (block.correct[0], block.correct[2]):
        torch.nn.init.dirac_(layer.weight)
        torch.nn.init.zeros_(layer.bias)


# ---- size -------------------------------------------------------------------------------------


@pytest.mark.parametrize("preset,channels", [("paper", 3), ("paper-grey", 1)])
def test_size_of_the_published_network(preset, channels):
    # networks.md 3.3: 25,614,521 without dead layers, in colour. Each channel less takes 9 · 64
    # weights from three stems, SAM's two image convolutions and two tails, and three biases.
    network = on_meta(preset)
    less = (3 - channels) * (7 * 9 * 64 + 3)
    assert parameters(network) == 25_614_521 - less
    if channels == 3:
        # True multiply-accumulates of all convolutions; the dead layers are never run.
        assert macs(network) == pytest.approx(717.2e9, rel=0.0005)


def test_the_other_order_has_the_same_size():
    paper, code = on_meta("paper"), on_meta("paper", order="code")
    assert parameters(paper) == parameters(code) and macs(paper) == macs(code)


@pytest.mark.parametrize("preset", ["tiny", "tiny-grey"])
def test_tiny_is_small(preset):
    assert parameters(on_meta(preset)) <= 1_500_000


# ---- Fourier transform --------------------------------------------------------------------------


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


# ---- blocks -------------------------------------------------------------------------------------


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


# ---- network ------------------------------------------------------------------------------------


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("batch,train", [(1, False), (2, True)])
def test_the_smallest_image(channels, batch, train):
    # Level 4 is then 1×1, but the smallest map that is normalised is 2×2.
    network = small(channels=channels).train(train)
    image = torch.rand(batch, channels, 8, 8)
    result = network(image).image
    assert result.shape == image.shape and result.isfinite().all()


def test_forward_gives_the_second_stage():
    network = small()
    image = torch.rand(2, 3, 16, 24)
    first, second = network.stages(image)
    assert first.shape == second.shape == image.shape
    output = network(image)
    assert torch.equal(output.image, second) and output.qf is None
    assert not torch.allclose(first, second)


@pytest.mark.parametrize("order", ["paper", "code"])
def test_the_second_stage_sees_the_exchanged_spectra(order):
    network = small(order=order)
    seen = []
    network.stem2.register_forward_hook(lambda _, inputs, __: seen.append(inputs[0].detach()))
    image = torch.rand(1, 3, 16, 24)
    first = network.stages(image)[0].detach()
    amplitude, angle = (first, image) if order == "paper" else (image, first)
    expected = np.fft.ifft2(
        np.abs(np.fft.fft2(amplitude)) * np.exp(1j * np.angle(np.fft.fft2(angle)))
    ).real
    np.testing.assert_allclose(seen[0].numpy(), expected, atol=1e-3)


@pytest.mark.parametrize(
    "settings,first,second",
    [
        ({}, "amplitude", "phase"),
        ({"order": "code"}, "phase", "amplitude"),
        ({"amplitude": False}, "none", "phase"),
        ({"phase": False}, "amplitude", "none"),
        ({"order": "code", "amplitude": False}, "phase", "none"),
        ({"amplitude": False, "phase": False}, "none", "none"),
    ],
)
def test_what_each_stage_corrects(settings, first, second):
    network = small(**settings)
    for stage, expected in ((network.stage1, first), (network.stage2, second)):
        assert [block.correction for block in stage.encode] == [expected] * 4
        assert [block.correction for block in stage.decode] == ["none"] * 3


@pytest.mark.parametrize("part", ["amplitude", "phase"])
def test_an_ablation_drops_the_frequency_path_of_one_stage(part):
    full, reduced = on_meta("paper"), on_meta("paper", **{part: False})
    # Two 1×1 convolutions and a 2→1 attention map at each of four levels.
    path = sum(2 * (c * c + c) + 18 for c in (64, 128, 256, 512))
    assert parameters(full) - parameters(reduced) == path


def test_parameter_free_attention_drops_its_kernels_alone():
    convs, free = small().state_dict(), small(attention="parameter_free").state_dict()
    dropped = {f"stage{s}.encode.{level}.attend.conv.weight" for s in (1, 2) for level in range(4)}
    assert convs.keys() - free.keys() == dropped and not free.keys() - convs.keys()
    assert parameters(on_meta("paper")) - 8 * 18 == parameters(
        on_meta("paper", attention="parameter_free")
    )


@pytest.mark.parametrize("setting", [{"order": "code"}, {"phase_ramp": 1.0}])
def test_a_switch_without_weights_changes_the_result(setting):
    image = torch.rand(1, 3, 16, 24)
    network, other = small(), small(**setting)
    other.load_state_dict(network.state_dict())
    assert not torch.allclose(network(image).image, other(image).image, atol=1e-5)


def test_a_pixel_reaches_the_whole_image():
    network = small()
    image = torch.rand(1, 3, 64, 64)
    changed = image.clone()
    changed[..., 0, 0] += 0.5
    difference = (network(changed).image - network(image).image).abs()
    assert network.spec.receptive_radius is None and (difference > 0).float().mean() > 0.99


@pytest.mark.parametrize("order", ["paper", "code"])
@pytest.mark.parametrize("kind", ["black", "flat", "columns", "blocks"])
def test_gradients_stay_finite_where_bins_are_zero(order, kind):
    image = {
        "black": torch.zeros(2, 3, 32, 32),
        "flat": torch.full((2, 3, 32, 32), 0.5),
        "columns": torch.rand(2, 3, 1, 32).expand(-1, -1, 32, -1),
        "blocks": torch.rand(2, 3, 4, 4).repeat_interleave(8, 2).repeat_interleave(8, 3),
    }[kind].requires_grad_()
    network = small(order=order).train()
    with torch.no_grad():  # all features zero, so that every bin is
        for layer in network.stem1.modules():
            if kind == "black" and isinstance(layer, torch.nn.Conv2d):
                layer.bias.zero_()
    first, second = network.stages(image)
    (first.square().sum() + second.square().sum()).backward()
    for key, value in network.named_parameters():
        assert value.grad.isfinite().all(), key
        assert value.grad.abs().max() < 1e6, key


def test_autocast_keeps_spectra_in_full_precision():
    block = CorrectionBlock(6, 6, "amplitude")
    seen = []
    for layer in (block.correct, block.spatial):
        layer.register_forward_hook(lambda _, inputs, result: seen.append(result.dtype))
    with torch.autocast("cpu", torch.bfloat16):
        result = block(torch.rand(1, 6, 16, 16))
    assert seen == [torch.bfloat16, torch.float32] and result.dtype == torch.bfloat16


def test_autocast_is_near_full_precision():
    network, image = small(), torch.rand(2, 3, 32, 32)
    with torch.no_grad():
        exact = network(image).image
        with torch.autocast("cpu", torch.bfloat16):
            rough = network(image).image
    assert (rough - exact).abs().mean() < 0.02


def test_weights_survive_the_disk(tmp_path):
    settings = {**SMALL, "order": "code", "attention": "parameter_free"}
    network = small(**settings)
    save_weights(network, tmp_path / "d2l.safetensors", preset="tiny", settings=settings)
    loaded, manifest = load_weights(tmp_path / "d2l.safetensors")
    image = torch.rand(1, 3, 16, 16)
    assert manifest.restorer == "D2LNet" and loaded.order == "code"
    assert torch.equal(loaded(image).image, network(image).image)


@pytest.mark.parametrize(
    "settings,message",
    [
        ({"channels": 2}, "channels is 2"),
        ({"widths": (16, 32, 64)}, "four even numbers"),
        ({"widths": (15, 32, 64, 96)}, "four even numbers"),
        ({"order": "phase"}, "'paper' or 'code'"),
        ({"attention": "none"}, "'conv' or 'parameter_free'"),
        ({"phase_ramp": -0.1}, "radians"),
    ],
)
def test_wrong_settings_say_what_is_right(settings, message):
    with pytest.raises(ValueError, match=message):
        build_restorer("D2LNet", "tiny", **settings)


@pytest.mark.slow
def test_export_with_dynamic_sizes():
    class Image(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.network = small()

        def forward(self, x):
            return self.network(x).image

    dim = torch.export.Dim
    shapes = {
        "x": {
            0: dim("batch", max=64),
            2: 8 * dim("rows", min=2, max=256),
            3: 8 * dim("columns", min=2, max=256),
        }
    }
    exported = torch.export.export(Image(), (torch.rand(2, 3, 16, 24),), dynamic_shapes=shapes)
    image = torch.rand(1, 3, 40, 32)
    torch.testing.assert_close(exported.module()(image), small()(image).image, rtol=0, atol=1e-4)
