from __future__ import annotations

import math

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from jpeg_preproc import JpegRestorer, compress_jpeg
from jpeg_preproc.errors import WeightsError
from jpeg_preproc.jpeg import qtables_from_qf
from jpeg_preproc.restorers import Quality, build_restorer, load_weights, macs, save_weights
from jpeg_preproc.restorers.fbcnn import (
    FBCNN,
    QualityAttentionBlock,
    ResidualBlock,
    from_official,
)
from jpeg_preproc.restorers.weights import fill

PAPER_WIDTHS = (64, 128, 256, 512)
# All different, so that no tensor fits where another belongs.
SMALL = {"widths": (6, 10, 14, 18), "embedding": 22}


def official_shapes(channels, widths=PAPER_WIDTHS, embedding=512):
    """Names and shapes of the authors' fbcnn_color.pth (3 channels) or fbcnn_gray.pth (1)."""
    w1, w2, w3, w4 = widths
    e = embedding
    layers = {
        "m_head": (w1, channels, 3, 3),
        "m_down1.4": (w2, w1, 2, 2),
        "m_down2.4": (w3, w2, 2, 2),
        "m_down3.4": (w4, w3, 2, 2),
        "m_up3.0": (w4, w3, 2, 2),
        "m_up2.0": (w3, w2, 2, 2),
        "m_up1.0": (w2, w1, 2, 2),
        "m_tail": (channels, w1, 3, 3),
        "qf_pred.6": (e, w4),
        "qf_pred.8": (e, e),
        "qf_pred.10": (1, e),
        "qf_embed.0": (e, 1),
        "qf_embed.2": (e, e),
        "qf_embed.4": (e, e),
        "to_gamma_3.0": (w3, e),
        "to_beta_3.0": (w3, e),
        "to_gamma_2.0": (w2, e),
        "to_beta_2.0": (w2, e),
        "to_gamma_1.0": (w1, e),
        "to_beta_1.0": (w1, e),
    }
    stages = {
        **{"m_down1": w1, "m_down2": w2, "m_down3": w3},
        **{"m_body_encoder": w4, "m_body_decoder": w4, "qf_pred": w4},
        **{"m_up3": w3, "m_up2": w2, "m_up1": w1},
    }
    for stage, width in stages.items():
        first = 1 if stage.startswith("m_up") else 0
        for index in range(first, first + 4):
            for convolution in (0, 2):
                layers[f"{stage}.{index}.res.{convolution}"] = (width, width, 3, 3)
    shapes = {}
    for name, shape in layers.items():
        transposed = name in ("m_up1.0", "m_up2.0", "m_up3.0")
        shapes[f"{name}.weight"] = shape
        shapes[f"{name}.bias"] = (shape[1] if transposed else shape[0],)
    return shapes


def official_state(channels, **sizes):
    """Random values under the authors' names, of a size that keeps features near one."""
    generator = torch.Generator().manual_seed(3)
    state = {}
    for name, shape in official_shapes(channels, **sizes).items():
        scale = math.prod(shape[1:]) ** -0.5 if len(shape) > 1 else 0.1
        state[name] = torch.randn(shape, generator=generator) * scale
    return state


def reference(state, image, q=None):
    """The network in formulas, on the authors' names; ``q`` (N, 1) replaces the prediction."""

    def conv(x, name, **options):
        return F.conv2d(x, state[f"{name}.weight"], state[f"{name}.bias"], **options)

    def linear(x, name):
        return x @ state[f"{name}.weight"].T + state[f"{name}.bias"]

    def branch(x, name):
        inner = conv(x, f"{name}.res.0", padding=1).clamp(min=0)
        return conv(inner, f"{name}.res.2", padding=1)

    def stage(x, name):
        for index in range(4):
            x = x + branch(x, f"{name}.{index}")
        return x

    x1 = conv(image, "m_head", padding=1)
    x2 = conv(stage(x1, "m_down1"), "m_down1.4", stride=2)
    x3 = conv(stage(x2, "m_down2"), "m_down2.4", stride=2)
    x4 = conv(stage(x3, "m_down3"), "m_down3.4", stride=2)
    x = stage(x4, "m_body_encoder")
    pooled = stage(x, "qf_pred").mean(dim=(-2, -1))
    hidden = linear(linear(pooled, "qf_pred.6").clamp(min=0), "qf_pred.8").clamp(min=0)
    predicted = 1 / (1 + torch.exp(-linear(hidden, "qf_pred.10")))
    embedded = predicted if q is None else q
    for name in ("qf_embed.0", "qf_embed.2", "qf_embed.4"):
        embedded = linear(embedded, name).clamp(min=0)
    x = stage(x, "m_body_decoder")
    for level, skip in ((3, x4), (2, x3), (1, x2)):
        gamma = 1 / (1 + torch.exp(-linear(embedded, f"to_gamma_{level}.0")))
        beta = torch.tanh(linear(embedded, f"to_beta_{level}.0"))
        up = f"m_up{level}"
        x = F.conv_transpose2d(x + skip, state[f"{up}.0.weight"], state[f"{up}.0.bias"], stride=2)
        for index in range(1, 5):
            x = x + gamma[..., None, None] * branch(x, f"{up}.{index}") + beta[..., None, None]
    return conv(x + x1, "m_tail", padding=1), predicted


def thop_macs(network, size=512):
    """MACs as thop counts them: a transposed convolution as k·k·inputs an output element."""
    total = 0

    def count(module, inputs, output):
        nonlocal total
        if isinstance(module, nn.Linear):
            total += output.numel() * module.in_features
        else:
            total += output.numel() * module.in_channels * math.prod(module.kernel_size)

    for module in network.modules():
        if isinstance(module, (nn.Conv2d, nn.ConvTranspose2d, nn.Linear)):
            module.register_forward_hook(count)
    network(torch.empty(1, network.channels, size, size, device="meta"))
    return total


def small_network(channels=3):
    network = FBCNN(channels, **SMALL).eval()
    state = official_state(channels, **SMALL)
    fill(network, from_official(state), source="test")
    return network, state


@pytest.mark.parametrize(
    "preset,parameters,true,thop",
    # networks.md, section 5. Grey has two 3×3 layers of 64 features with two channels less:
    # 2·2·576 weights and 2 biases, and 0.6 G.
    [
        ("paper", 71_921_796, 709.6e9, 728.9e9),
        ("paper-grey", 71_921_796 - 2306, 709.0e9, 728.3e9),
    ],
)
def test_sizes_of_the_published_networks(preset, parameters, true, thop):
    with torch.device("meta"):
        network = build_restorer("FBCNN", preset)
    assert sum(value.numel() for value in network.parameters()) == parameters
    assert macs(network) == pytest.approx(true, rel=1e-4)
    assert thop_macs(network) == pytest.approx(thop, rel=1e-4)


@pytest.mark.parametrize("preset,channels", [("paper", 3), ("paper-grey", 1)])
def test_the_authors_checkpoint_fits_tensor_by_tensor(preset, channels):
    with torch.device("meta"):
        network = build_restorer("FBCNN", preset)
        state = {key: torch.empty(shape) for key, shape in official_shapes(channels).items()}
    renamed = from_official(state)
    assert len(renamed) == len(state) == 2 * (20 + 9 * 4 * 2)
    assert {key: value.shape for key, value in renamed.items()} == {
        key: value.shape for key, value in network.state_dict().items()
    }


def test_the_authors_checkpoint_runs_at_full_size():
    state = official_state(3)
    with torch.device("meta"):
        network = build_restorer("FBCNN", "paper").eval()
    network.load_state_dict(from_official(state), assign=True)
    image = torch.rand(1, 3, 16, 24)
    with torch.no_grad():
        output = network(image)
        expected, q = reference(state, image)
    torch.testing.assert_close(output.image, expected, rtol=1e-3, atol=1e-4)
    torch.testing.assert_close(output.qf, 100 - 100 * q[:, 0], rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("channels", [1, 3])
def test_the_authors_names_in_formulas_give_the_same(channels):
    network, state = small_network(channels)
    image = torch.rand(2, channels, 16, 40)
    with torch.no_grad():
        blind = network(image)
        given = network(image, Quality.from_qf([10, 70]))
        expected, q = reference(state, image)
        steered, _ = reference(state, image, torch.tensor([[0.9], [0.3]]))
    torch.testing.assert_close(blind.image, expected, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(blind.qf, 100 - 100 * q[:, 0], rtol=1e-5, atol=1e-4)
    torch.testing.assert_close(given.image, steered, rtol=1e-4, atol=1e-5)
    assert given.qf.tolist() == [10, 70]
    assert (blind.image - given.image).abs().max() > 1e-3


def test_a_given_factor_overrides_the_prediction_image_by_image():
    network, _ = small_network()
    image = torch.rand(3, 3, 16, 16)
    tables = Quality.from_qf([10, 50, 90])
    unknown = Quality(
        torch.full_like(tables.qtables, torch.nan),
        torch.tensor([10, torch.nan, 90]),
        torch.tensor([True, False, True]),
    )
    with torch.no_grad():
        mixed, given, blind = network(image, unknown), network(image, tables), network(image)
    for row, source in enumerate((given, blind, given)):
        torch.testing.assert_close(mixed.image[row], source.image[row], rtol=1e-4, atol=1e-6)
        torch.testing.assert_close(mixed.qf[row], source.qf[row])
    assert ((blind.qf > 0) & (blind.qf < 100)).all()


def test_the_factor_steers_and_the_tables_do_not():
    network, _ = small_network()
    image = torch.rand(1, 3, 16, 16)
    quality = Quality.from_qf(30)
    other = Quality(Quality.from_qtables([qtables_from_qf(80)]).qtables, quality.qf)
    with torch.no_grad():
        first = network(image, quality).image
        assert torch.equal(network(image, other).image, first)
        assert not torch.allclose(network(image, Quality.from_qf(80)).image, first, atol=1e-3)


def test_a_loss_on_the_predicted_factor_trains_its_head():
    network = build_restorer("FBCNN", "tiny").train()
    output = network(torch.rand(2, 3, 16, 16))
    (output.qf - 40).abs().sum().backward()
    for key, value in network.quality_head.named_parameters():
        assert value.grad is not None and value.grad.abs().sum() > 0, key
    assert network.embed[0].weight.grad is None
    assert network.middle_encoder[0].conv1.weight.grad.abs().sum() > 0


def test_a_gate_at_one_and_no_shift_is_a_plain_block():
    steered, plain = QualityAttentionBlock(4), ResidualBlock(4)
    plain.load_state_dict(steered.state_dict())
    x = torch.rand(2, 4, 5, 6)
    one, zero = torch.ones(2, 4, 1, 1), torch.zeros(2, 4, 1, 1)
    torch.testing.assert_close(steered(x, one, zero), plain(x))
    torch.testing.assert_close(steered(x, zero, 3 * one), x + 3)


def test_weights_start_as_wide_as_the_authors_orthogonal_ones():
    network = FBCNN(3, (16, 32, 48, 64), num_blocks=1, embedding=96)
    for layer in (network.encoder[1][0].conv1, network.decoder[0].up, network.quality_head.linear1):
        orthogonal = torch.nn.init.orthogonal_(torch.empty_like(layer.weight), gain=0.2)
        assert layer.weight.std().item() == pytest.approx(orthogonal.std().item(), rel=0.1)
        assert not layer.bias.any()


def test_tiny_is_small_and_keeps_every_stage():
    for preset in ("tiny", "tiny-grey"):
        network = build_restorer("FBCNN", preset)
        assert sum(value.numel() for value in network.parameters()) <= 1_500_000
        assert [name for name, _ in network.named_children()] == [
            name for name, _ in FBCNN(**SMALL).named_children()
        ]


@pytest.mark.parametrize("preset", ["tiny", "tiny-grey"])
def test_weights_survive_a_file(tmp_path, preset):
    network = build_restorer("FBCNN", preset).eval()
    save_weights(network, tmp_path / "fbcnn.safetensors", preset=preset)
    loaded, manifest = load_weights(tmp_path / "fbcnn.safetensors")
    assert (manifest.restorer, manifest.preset) == ("FBCNN", preset)
    image = torch.rand(1, network.channels, 16, 16)
    with torch.no_grad():
        assert torch.equal(loaded(image).image, network(image).image)


def test_the_engine_steers_by_the_file_and_blind_by_the_network(photo):
    network, _ = small_network()
    restorer = JpegRestorer(network)
    jpeg = compress_jpeg(photo[:41, :50], qf=12)
    by_file, blind = restorer(jpeg), restorer(jpeg, qf="blind")
    assert by_file.image.shape == (41, 50, 3) and by_file.qf == 12
    assert (by_file.image == restorer(jpeg, qf=12).image).all()
    assert blind.source == "estimated" and 1 <= blind.qf <= 100
    assert (by_file.image != blind.image).any()


def test_other_weights_are_refused():
    with pytest.raises(WeightsError, match=r"m_down1\.5\.weight: no tensor"):
        from_official({"m_down1.5.weight": torch.zeros(1)})
    state = official_state(3, **SMALL)
    del state["m_tail.bias"]
    with pytest.raises(WeightsError, match=r"1 tensors absent \(first tail\.bias\)"):
        fill(FBCNN(3, **SMALL), from_official(state), source="test")
