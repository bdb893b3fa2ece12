from __future__ import annotations

import numpy as np
import pytest
import torch
from network_helpers import count
from stirring import stir
from torch import nn
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

from jpeg_preproc import JpegRestorer, compress_jpeg
from jpeg_preproc.jpeg import ANNEX_K_LUMA, ZIGZAG
from jpeg_preproc.restorers import (
    Quality,
    build_restorer,
    load_weights,
    macs,
    save_weights,
)
from jpeg_preproc.restorers.agarnet import Conditions, PixelGates

MICRO = {
    "width": 4,
    "num_blocks": 1,
    "num_middle_blocks": 1,
    "dct_width": 2,
    "num_dct_blocks": 1,
    "estimator_widths": (2, 4, 4, 4),
}


def micro(**settings):
    torch.manual_seed(0)
    return stir(build_restorer("AGARNet", "tiny", **{**MICRO, **settings}), 0.1)


def ijg_luma(qf):
    """Luma steps / 255 at a whole QF by the formula of networks.md 2.1, as a zigzag vector."""
    scale = 5000 // qf if qf < 50 else 200 - 2 * qf
    steps = [[min(max((int(t) * scale + 50) // 100, 1), 255) for t in row] for row in ANNEX_K_LUMA]
    return np.array(steps).reshape(64)[ZIGZAG] / 255


def saying(network, q):
    """Make the estimator answer ``q`` everywhere."""
    last = network.estimator.layers[-2]
    nn.init.zeros_(last.weight)
    nn.init.constant_(last.bias, q)
    return network


# Sizes ------------------------------------------------------------------------------------------


def test_parameters_are_those_of_the_official_code():
    with torch.device("meta"):
        network = build_restorer("AGARNet", "paper")
    assert count(network.pixel_gates) + count(network.dct_gates) == 25_216
    assert count(network.dct_branch) == 526_401
    # The official count has the output mix in the pixel branch.
    assert count(network.pixel_branch) + network.mix.numel() == 9_104_323
    assert count(network.estimator) == 701_665
    assert count(network) == 9_655_940 + 701_665


def test_macs_at_512_with_a_given_quality():
    # True multiply-accumulates of convolutions; the estimator does not run.
    with torch.device("meta"):
        network = build_restorer("AGARNet", "paper")
    assert macs(network) == pytest.approx(560.8e9, rel=0.005)
    image = torch.zeros(1, 1, 512, 512, device="meta")
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        network(image, Quality.from_qf(50).to("meta"))
    parts = {name: sum(ops.values()) / 2 for name, ops in counter.get_flop_counts().items()}
    assert parts["AGARNet.dct_branch"] == pytest.approx(137.6e9, rel=0.005)
    assert parts["AGARNet.pixel_branch"] == pytest.approx(423.2e9, rel=0.005)
    assert "AGARNet.estimator" not in parts


def test_tiny_is_small_and_of_one_structure_with_the_paper():
    with torch.device("meta"):
        paper, tiny = build_restorer("AGARNet", "paper"), build_restorer("AGARNet", "tiny")
    assert next(iter(type(paper).presets)) == "paper"
    assert count(tiny) <= 1_500_000
    kinds = [
        {(name.split(".")[0], type(m)) for name, m in n.named_modules()} for n in (paper, tiny)
    ]
    assert kinds[0] == kinds[1]


# Gates and branches -----------------------------------------------------------------------------


def test_the_block_switch_changes_the_dct_branch_only():
    with torch.device("meta"):
        code = build_restorer("AGARNet", "paper")
        figure = build_restorer("AGARNet", "paper", block="figure")
    # Without the third 1×1×1 convolution, 32·32 + 32, of eight blocks.
    assert count(code) - count(figure) == 8 * (32 * 32 + 32)
    gone = code.state_dict().keys() - figure.state_dict().keys()
    assert all(key.startswith("dct_branch.blocks.") and ".from_both." in key for key in gone)
    image = torch.rand(1, 1, 16, 16)
    code, figure = micro(), micro(block="figure")
    figure.load_state_dict(code.state_dict(), strict=False)
    first, second = (network(image, Quality.from_qf(20)) for network in (code, figure))
    assert not torch.allclose(first.idct, second.idct)
    # What is not from the DCT branch stays.
    rest = [output.image - code.mix[0] * output.idct for output in (first, second)]
    torch.testing.assert_close(*rest)


@torch.no_grad()
def test_averaging_the_map_before_the_gates_is_averaging_the_gates():
    gates = stir(PixelGates(4), 0.1).double()
    q = torch.rand(2, 1, 16, 24, dtype=torch.float64)
    given = Conditions(q, F.avg_pool2d(q, 2), F.avg_pool2d(q, 4), F.avg_pool2d(q, 8), q)
    g1, g2, g4 = gates(given)
    hidden = gates.hidden(q)
    torch.testing.assert_close(g1, gates.head1(hidden))
    torch.testing.assert_close(g2, F.avg_pool2d(gates.head2(hidden), 2))
    torch.testing.assert_close(g4, F.avg_pool2d(gates.head4(hidden), 4))
    assert [g.shape[1] for g in (g1, g2, g4)] == [4, 8, 16]


# Quality ----------------------------------------------------------------------------------------


def test_a_known_image_goes_by_its_own_table():
    tables = np.stack([np.arange(1, 65).reshape(8, 8), np.full((8, 8), 99)])
    quality = Quality.from_qtables([tables])
    given = micro().conditions(torch.rand(1, 1, 16, 16), quality)
    assert given.q1.shape == (1, 1, 1, 1)
    assert given.q1.item() == pytest.approx(quality.qf.item() / 100)
    expected = tables[0].reshape(64)[ZIGZAG] / 255
    np.testing.assert_allclose(given.table[0, :, 0, 0], expected, rtol=1e-6)
    # Chroma does not matter.
    other = Quality(quality.qtables.clone(), quality.qf)
    other.qtables[:, 1] = 5
    network, image = micro(), torch.rand(1, 1, 16, 16)
    assert torch.equal(network(image, quality).image, network(image, other).image)
    other.qtables[:, 0] += 20
    assert not torch.allclose(network(image, quality).image, network(image, other).image)


@pytest.mark.parametrize("qf", [1, 10, 49, 50, 77, 100])
@pytest.mark.parametrize("form", ["global", "pixel"])
def test_an_estimate_takes_the_table_of_the_ijg_formula(qf, form):
    network = saying(micro(estimator=form), qf / 100)
    image = torch.rand(2, 1, 16, 24)
    blind = network(image)
    torch.testing.assert_close(blind.qf, torch.full((2,), float(qf)))
    given = network.conditions(image, None)
    expected = np.broadcast_to(ijg_luma(qf)[None, :, None, None], given.table.shape)
    np.testing.assert_allclose(given.table, expected, rtol=1e-6)
    # As good as the same quality, given.
    told = network(image, Quality.from_qf([qf, qf]))
    torch.testing.assert_close(blind.image, told.image, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("form", ["global", "pixel"])
def test_estimates_are_rounded_and_clamped_in_eval_mode_only(form):
    image = torch.rand(1, 1, 16, 16)
    for said, rounded in ((0.4273, 43.0), (3.0, 100.0), (0.0, 1.0)):
        network = saying(micro(estimator=form), said)
        assert network.eval()(image).qf.item() == pytest.approx(rounded)
        assert network.train()(image).qf.item() == pytest.approx(100 * said)


@torch.no_grad()
def test_the_pixel_form_makes_a_map():
    network = micro(estimator="pixel")
    # Two cells, the right one of 64 px brighter; the estimator is made to tell them apart.
    estimate = torch.tensor([[[[0.2, 0.8]]]])
    network.estimator.forward = lambda image: estimate
    q1, q2, q4, q8, table = network.conditions(torch.rand(1, 1, 64, 128), None)
    assert q1.shape == (1, 1, 64, 128) and table.shape == (1, 64, 8, 16)
    # Bilinear between the cells' centres, 32 and 96, and constant outside them.
    centres = np.clip((np.arange(128) + 0.5 - 32) / 64, 0, 1)
    exact = 0.2 + 0.6 * centres
    assert np.abs(q1[0, 0, 0].numpy() - exact).max() <= 0.005 + 1e-6
    hundredths = 100 * q1
    torch.testing.assert_close(hundredths, hundredths.round(), atol=1e-4, rtol=0)
    torch.testing.assert_close(q2, q1.unfold(2, 2, 2).unfold(3, 2, 2).mean((-1, -2)))
    torch.testing.assert_close(q4, q1.unfold(2, 4, 4).unfold(3, 4, 4).mean((-1, -2)))
    means = q1.unfold(2, 8, 8).unfold(3, 8, 8).mean((-1, -2))
    assert (q8 - means).abs().max() <= 0.005 + 1e-6
    for column in range(16):
        qf = round(100 * q8[0, 0, 0, column].item())
        np.testing.assert_allclose(table[0, :, 0, column], ijg_luma(qf), rtol=1e-6)
    assert network(torch.rand(1, 1, 64, 128)).qf.item() == pytest.approx(100 * q1.mean().item())


@torch.no_grad()
def test_the_estimator_switch_matters_to_unknown_quality_only():
    whole, pixel = micro(), micro(estimator="pixel")
    assert whole.state_dict().keys() == pixel.state_dict().keys()
    for value in (whole.estimator, pixel.estimator):
        value.layers[-2].weight.mul_(-3)
    image = torch.rand(1, 1, 128, 64) * torch.linspace(0.1, 1, 128)[:, None]
    # Above and below of unlike quality, neither of them cut off by the last ReLU.
    above, below = pixel.estimator(image).flatten()
    assert min(above, below) > 0.1 and abs(above - below) > 0.1
    quality = Quality.from_qf(35)
    assert torch.equal(whole(image, quality).image, pixel(image, quality).image)
    assert not torch.allclose(whole(image).image, pixel(image).image, atol=1e-5)


@pytest.mark.parametrize("form", ["global", "pixel"])
@torch.no_grad()
def test_known_is_honoured_image_by_image(form):
    network = saying(micro(estimator=form), 0.8)
    image = torch.rand(3, 1, 16, 24)
    quality = Quality.from_qf([10, 10, 40])
    mixed = network(image, Quality(quality.qtables, quality.qf, torch.tensor([True, False, True])))
    torch.testing.assert_close(mixed.qf, torch.tensor([10.0, 80.0, 40.0]))
    blind, told = network(image), network(image, quality)
    expected = torch.stack([told.image[0], blind.image[1], told.image[2]])
    torch.testing.assert_close(mixed.image, expected, rtol=1e-4, atol=1e-5)
    single = network(image[1:2])
    torch.testing.assert_close(blind.image[1:2], single.image, rtol=1e-4, atol=1e-5)


# The whole --------------------------------------------------------------------------------------


@torch.no_grad()
def test_the_mix_is_a_convolution_of_both_images():
    network = micro()
    network.mix.copy_(torch.tensor([0.3, 0.9]))
    image = torch.rand(2, 1, 16, 16)
    output = network(image, Quality.from_qf([20, 60]))
    given = network.conditions(image, Quality.from_qf([20, 60]))
    pixels = network.pixel_branch(image, network.pixel_gates(given))
    mixed = F.conv2d(torch.cat([output.idct, image], dim=1), network.mix.view(1, 2, 1, 1))
    torch.testing.assert_close(output.image, pixels + mixed)


def test_the_idct_loss_trains_the_dct_branch_alone():
    network = micro().train()
    network(torch.rand(2, 1, 16, 16), Quality.from_qf([20, 60])).idct.square().sum().backward()
    reached = {
        key.split(".")[0] for key, value in network.named_parameters() if value.grad is not None
    }
    assert reached == {"dct_branch", "dct_gates"}


@pytest.mark.parametrize("form", ["global", "pixel"])
@pytest.mark.parametrize("block", ["code", "figure"])
def test_gradient_reaches_everything_from_the_smallest_blind_image(form, block):
    network = micro(estimator=form, block=block).train()
    network(torch.rand(2, 1, 8, 8)).image.square().sum().backward()
    for key, value in network.named_parameters():
        assert value.grad is not None and value.grad.abs().sum() > 0, key


@torch.no_grad()
def test_autocast():
    network, image = micro(), torch.rand(1, 1, 16, 16)
    exact = network(image)
    with torch.autocast("cpu", torch.bfloat16):
        rough = network(image)
    assert rough.image.dtype == rough.qf.dtype == torch.float32
    assert (rough.image - exact.image).abs().max() < 0.05


class _Informed(nn.Module):
    def __init__(self, network):
        super().__init__()
        self.network = network

    def forward(self, image, qtables=None, qf=None):
        quality = None if qf is None else Quality(qtables, qf)
        output = self.network(image, quality)
        return output.image, output.qf


@pytest.mark.parametrize("form", ["told", "pixel"])
@torch.no_grad()
def test_exports_with_dynamic_size(form):
    network = _Informed(micro(estimator="global" if form == "told" else form))
    dim = torch.export.Dim
    batch, rows, columns = dim("batch", max=64), dim("rows", max=512), dim("columns", max=512)
    quality = Quality.from_qf([10, 70])
    tables = (quality.qtables, quality.qf) if form == "told" else ()
    shapes = {
        "image": {0: batch, 2: 8 * rows, 3: 8 * columns},
        "qtables": {0: batch} if form == "told" else None,
        "qf": {0: batch} if form == "told" else None,
    }
    shapes = {name: shapes[name] for name in list(shapes)[: 1 + len(tables)]}
    program = torch.export.export(
        network, (torch.rand(2, 1, 136, 200), *tables), dynamic_shapes=shapes
    )
    # torch.export tells sides of one apart from all others: of the blocks, and of the estimator's
    # map. Guards are asked where neither is one, and left alone elsewhere, like ONNX does.
    free = program.module(check_guards=False)
    guarded = program.module()
    smallest = 16 if form == "told" else 128
    for size in ((1, 1, 8, 8), (3, 1, 64, 136), (1, 1, 16, 72), (1, 1, 192, 136)):
        image, quality = torch.rand(size), Quality.from_qf([15, 40, 90][: size[0]])
        arguments = (image, quality.qtables, quality.qf)[: 1 + len(tables)]
        expected = network(*arguments)
        for graph in (free, guarded) if min(size[2:]) >= smallest else (free,):
            for ours, wanted in zip(graph(*arguments), expected, strict=True):
                torch.testing.assert_close(ours, wanted, rtol=1e-4, atol=1e-5)


def test_weights_round_trip(tmp_path):
    network = stir(build_restorer("AGARNet", "tiny"), 0.1)
    path = tmp_path / "mine.safetensors"
    manifest = save_weights(network, path, preset="tiny")
    assert manifest.parameters == count(network)
    loaded, _ = load_weights(path)
    assert loaded.state_dict().keys() == network.state_dict().keys()
    image = torch.rand(1, 1, 16, 24)
    with torch.no_grad():
        assert torch.equal(loaded(image).image, network(image).image)


def test_the_engine_restores_colour_and_grey_of_any_size():
    restorer = JpegRestorer(micro())
    pixels = np.random.default_rng(0).integers(0, 256, (13, 21, 3), dtype=np.uint8)
    told = restorer(compress_jpeg(pixels, qf=30))
    assert told.image.shape == (13, 21, 3) and told.qf == 30
    assert restorer(pixels[..., 0], qf="blind").image.shape == (13, 21)


@pytest.mark.parametrize("wrong", [{"estimator": "local"}, {"block": "plain"}])
def test_switches_that_there_are_not(wrong):
    with pytest.raises(ValueError, match="is neither"):
        build_restorer("AGARNet", "tiny", **wrong)
