from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from network_helpers import count, on_meta, thop_macs
from stirring import stir
from torch import nn
from torch.nn import functional as F

from jpeg_preproc.errors import WeightsError
from jpeg_preproc.restorers import Quality, build_restorer, load_weights, macs, save_weights
from jpeg_preproc.restorers.dagn import (
    CrossFeatureFusion,
    GuidedBlock,
    GuidedStage,
    Guider,
    PyramidPool,
)
from jpeg_preproc.restorers.dagn_encoders import ResNetEncoder
from jpeg_preproc.restorers.weights import fill

SMALL = {"widths": (8, 8, 16, 16), "num_blocks": 1, "encoder_width": 4, "guider_widths": (16, 8)}


def build(preset="tiny", **settings):
    """A network whose every weight and every BN statistic matters."""
    torch.manual_seed(0)
    network = build_restorer("DAGN", preset, **settings)
    stir(network, 0.05)
    return network.eval()


# Size: networks.md, section 4.4.


def test_parameters_of_the_paper_network_and_of_its_parts():
    network = on_meta(build_restorer, "DAGN", "paper")
    base = (network.head, network.encode, network.down, network.middle, network.decode)
    assert count(*base, network.tail) == 57_747_203
    assert count(network.encoders) == 47_016_064
    assert count(network.fuse) == 2_360_832
    assert count(network.guiders) == 2_821_376
    assert count(network) == 109_945_475
    blocks = [module for module in network.modules() if isinstance(module, GuidedBlock)]
    assert len(blocks) == 44


def test_macs_of_the_paper_network_in_both_conventions():
    network = on_meta(build_restorer, "DAGN", "paper")
    assert macs(network) == pytest.approx(932.6e9, rel=0.005)
    image = torch.empty(1, 3, 512, 512, device="meta")
    assert thop_macs(network, image) == pytest.approx(951.60e9, rel=0.0005)


@pytest.mark.parametrize("cigm,csgm,cfm", list(itertools.product((False, True), repeat=3)))
def test_a_switch_that_is_off_leaves_its_parts_unbuilt(cigm, csgm, cfm):
    network = on_meta(build_restorer, "DAGN", "paper", cigm=cigm, csgm=csgm, cfm=cfm)
    encoders = (cigm or cfm) + csgm
    wanted = 57_747_203 + encoders * 23_508_032 + cfm * 2_360_832 + (cigm + csgm) * 1_410_688
    assert count(network) == wanted


def test_tiny_is_small_and_of_the_same_structure():
    paper, tiny = (on_meta(build_restorer, "DAGN", preset) for preset in ("paper", "tiny"))
    assert count(tiny) <= 1_500_000
    assert [key for key, _ in tiny.named_children()] == [key for key, _ in paper.named_children()]


# Equations.


@pytest.mark.parametrize("size", [(1, 1), (2, 1), (3, 5), (6, 6), (8, 8), (9, 16), (30, 20)])
def test_the_pyramid_equals_adaptive_average_pools(size):
    x = torch.randn(2, 3, *size)
    wanted = [F.adaptive_avg_pool2d(x, bins).flatten(2) for bins in (1, 2, 4, 8)]
    torch.testing.assert_close(PyramidPool()(x), torch.cat(wanted, dim=2))


def test_the_pyramid_exports_with_dynamic_size():
    dynamic = {2: torch.export.Dim("height", max=64), 3: torch.export.Dim("width", max=64)}
    exported = torch.export.export(
        PyramidPool(), (torch.randn(1, 3, 6, 9),), dynamic_shapes={"x": dynamic}
    )
    other = torch.randn(1, 3, 13, 4)
    torch.testing.assert_close(exported.module()(other), PyramidPool()(other))


@pytest.mark.parametrize("normalise,divisor", [(False, 1), (True, 85 * np.sqrt(6))])
def test_equation_10(normalise, divisor):
    torch.manual_seed(0)
    fusion = CrossFeatureFusion(10, 6, normalise)
    stir(fusion, 0.05)
    base, insensitive = torch.randn(2, 6, 8, 12), torch.randn(2, 10, 4, 6)

    def conv(layer, x):
        weight, bias = layer.weight.detach().numpy()[:, :, 0, 0], layer.bias.detach().numpy()
        return np.einsum("oc,nchw->nohw", weight, x.numpy()) + bias[:, None, None]

    def pool(x):
        values = []
        for bins in (1, 2, 4, 8):
            for row, column in itertools.product(range(bins), repeat=2):
                rows = slice(row * 4 // bins, -(-(row + 1) * 4 // bins))
                columns = slice(column * 6 // bins, -(-(column + 1) * 6 // bins))
                values.append(x[:, :, rows, columns].mean((2, 3)))
        return np.stack(values, axis=2)

    query = conv(fusion.query, base).reshape(2, 6, 96)
    theta, phi = pool(conv(fusion.theta, insensitive)), pool(conv(fusion.phi, insensitive))
    assert theta.shape == phi.shape == (2, 6, 85)
    similarity = np.einsum("ncp,ncb->npb", query, theta) / divisor
    assert similarity.shape == (2, 96, 85)
    fused = np.einsum("npb,ncb->npc", similarity, phi) + base.numpy().reshape(2, 6, 96).swapaxes(
        1, 2
    )
    wanted = fused.swapaxes(1, 2).reshape(2, 6, 8, 12)
    with torch.no_grad():
        result = fusion(base, insensitive).numpy()
    np.testing.assert_allclose(result, wanted, rtol=1e-4, atol=1e-4)


def block_formula(block, x, scale, bias):
    """x + scale ⊙ conv(ReLU(BN(conv x))) + bias, BN written out."""
    hidden = F.conv2d(x, block.conv1.weight, block.conv1.bias, padding=1)
    mean, variance, weight, shift = (
        value[:, None, None]
        for value in (
            block.norm.running_mean,
            block.norm.running_var,
            block.norm.weight,
            block.norm.bias,
        )
    )
    hidden = ((hidden - mean) / (variance + 1e-5).sqrt() * weight + shift).clamp_min(0)
    return x + scale * F.conv2d(hidden, block.conv2.weight, block.conv2.bias, padding=1) + bias


def random_guide(channels):
    return torch.rand(2, channels, 1, 1), torch.randn(2, channels, 1, 1)


@torch.no_grad()
def test_equations_12_and_13():
    torch.manual_seed(0)
    block = GuidedBlock(4).eval()
    stir(block, 0.05)
    x, guide = torch.randn(2, 4, 5, 6), random_guide(4)
    torch.testing.assert_close(block(x, guide), block_formula(block, x, *guide))
    torch.testing.assert_close(block(x), block_formula(block, x, 1, 0))


@torch.no_grad()
def test_equation_11_runs_the_sensitive_blocks_first():
    torch.manual_seed(0)
    stage = GuidedStage(6, 4, num_blocks=2).eval()
    stir(stage, 0.05)
    x, skip = torch.randn(2, 2, 6, 3, 4)
    sensitive, insensitive = random_guide(4), random_guide(4)

    def formula(first, second):
        y = F.conv_transpose2d(x + skip, stage.up.weight, stage.up.bias, stride=2)
        for blocks, guide in (first, second):
            for block in blocks:
                y = block_formula(block, y, *guide)
        return y

    csg, cig = (stage.csg, sensitive), (stage.cig, insensitive)
    result = stage(x, skip, sensitive, insensitive)
    assert result.shape == (2, 4, 6, 8)
    torch.testing.assert_close(result, formula(csg, cig))
    assert not torch.allclose(result, formula(cig, csg))


@torch.no_grad()
def test_a_guider_is_a_three_layer_mlp_with_two_layers_shared():
    torch.manual_seed(0)
    guider = Guider(12, (10, 8), (4, 2, 1))
    stir(guider, 0.05)
    features = torch.randn(2, 12, 3, 5)
    first, second = guider.shared[0], guider.shared[2]
    hidden = (features.mean((2, 3)) @ first.weight.T + first.bias).clamp_min(0)
    hidden = (hidden @ second.weight.T + second.bias).clamp_min(0)
    guides = guider(features)
    for head, channels, (scale, bias) in zip(guider.heads, (4, 2, 1), guides, strict=True):
        values = hidden @ head.weight.T + head.bias
        torch.testing.assert_close(scale[:, :, 0, 0], 1 / (1 + (-values[:, :channels]).exp()))
        torch.testing.assert_close(bias[:, :, 0, 0], values[:, channels:].tanh())


def test_the_guides_halve_as_the_decoder_does():
    network = on_meta(build_restorer, "DAGN", "paper")
    for guider in network.guiders.values():
        assert [head.out_features for head in guider.heads] == [2 * 256, 2 * 128, 2 * 64]


# Switches: each does what putting its part out of action does, and nothing else.


class Neutral(nn.Module):
    """Scale 1 and bias 0 for every stage."""

    def forward(self, features):
        return [(torch.ones(1, 1, 1, 1), torch.zeros(1, 1, 1, 1))] * 3


class PassOn(nn.Module):
    """The bottleneck as it is."""

    def forward(self, base, insensitive):
        return base


@pytest.mark.parametrize("switch", ["cigm", "csgm", "cfm"])
@torch.no_grad()
def test_a_switch(switch):
    image = torch.rand(2, 3, 32, 48)
    full = build(**SMALL)
    before = full(image).image
    without = build(**SMALL, **{switch: False})
    given = without.state_dict()
    without.load_state_dict({k: v for k, v in full.state_dict().items() if k in given})
    if switch == "cfm":
        full.fuse = PassOn()
    else:
        full.guiders["insensitive" if switch == "cigm" else "sensitive"] = Neutral()
    result = without(image).image
    torch.testing.assert_close(result, full(image).image)
    assert not torch.allclose(result, before, atol=1e-3)


@torch.no_grad()
def test_normalising_the_fusion_needs_the_same_weights():
    literal = build(**SMALL)
    normalised = build(**SMALL, normalise_cfm=True)
    image = torch.rand(1, 3, 32, 32)
    assert not torch.allclose(literal(image).image, normalised(image).image)
    with torch.no_grad():  # The similarities are linear in the query.
        normalised.fuse.query.weight.mul_(85 * 16**0.5)
        normalised.fuse.query.bias.mul_(85 * 16**0.5)
    torch.testing.assert_close(normalised(image).image, literal(image).image)


@torch.no_grad()
def test_it_is_blind():
    network = build(**SMALL)
    image = torch.rand(2, 3, 16, 16)
    results = [network(image, quality) for quality in (None, Quality.from_qf([10, 90]))]
    assert torch.equal(results[0].image, results[1].image)
    assert results[0].qf is None


@torch.no_grad()
def test_bf16_autocast_agrees_with_fp32():
    network = build(**SMALL)
    image = torch.rand(1, 3, 32, 32)
    wanted = network(image).image
    with torch.autocast("cpu", torch.bfloat16):
        result = network(image).image.float()
    assert (result - wanted).abs().mean() < 0.02 * wanted.abs().mean()


# Training in two stages.


def test_frozen_encoders_do_not_move():
    network = build(**SMALL)
    trained = ResNetEncoder(4, (1, 1, 1, 1))
    network.encoders["sensitive"].load_state_dict(trained.state_dict())
    network.freeze_encoders()
    before = {key: value.clone() for key, value in network.encoders.state_dict().items()}
    network.train()
    assert network.training and network.fuse.training and not network.encoders.training
    network(torch.rand(2, 3, 16, 16)).image.square().sum().backward()
    assert all(value.grad is None for value in network.encoders.parameters())
    for key, value in network.encoders.state_dict().items():
        assert torch.equal(value, before[key]), key
    for key, value in network.named_parameters():
        if not key.startswith("encoders."):
            assert value.grad is not None and value.grad.abs().sum() > 0, key


def test_encoders_that_are_not_frozen_are_trained():
    network = build(**SMALL).train()
    network(torch.rand(2, 3, 16, 16)).image.square().sum().backward()
    assert network.encoders.training
    for key, value in network.encoders.named_parameters():
        assert value.grad is not None and value.grad.abs().sum() > 0, key


# Weights and wrong use.


@torch.no_grad()
def test_weights_survive_a_round_trip(tmp_path):
    network = build()
    save_weights(network, tmp_path / "dagn.safetensors", preset="tiny")
    loaded, manifest = load_weights(tmp_path / "dagn.safetensors")
    assert manifest.restorer == "DAGN" and manifest.parameters == count(network)
    image = torch.rand(1, 3, 16, 32)
    assert torch.equal(loaded(image).image, network(image).image)


def test_weights_of_an_ablation_do_not_fit_the_whole():
    with pytest.raises(WeightsError, match=r"absent \(first fuse\.phi\.bias\)"):
        fill(build(**SMALL), build(**SMALL, cfm=False).state_dict(), source="x")


@pytest.mark.parametrize(
    "settings,message",
    [
        ({"widths": (8, 8, 8)}, "widths"),
        ({"encoder_blocks": (1, 1, 0, 1)}, "encoder_blocks"),
        ({"guider_widths": (8,)}, "guider_widths"),
        ({"num_blocks": 0}, "num_blocks"),
        ({"encoder_width": 0}, "encoder_width"),
    ],
)
def test_settings_that_make_no_network_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        build(**settings)
