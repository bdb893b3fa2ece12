from __future__ import annotations

import numpy as np
import torch
from scipy.fft import dctn
from stirring import stir
from torch import nn
from torch.nn import functional as F

from jpeg_preproc.jpeg import ZIGZAG
from jpeg_preproc.restorers.agarnet_parts import (
    BlockDCT,
    GatedBlock3d,
    GateResBlock,
    QualityEstimator,
    ResBlock,
    ValidPool,
)

# The DCT layer ----------------------------------------------------------------------------------


def test_dct_is_scipys_in_zigzag_order():
    image = np.random.default_rng(0).random((2, 1, 16, 24))
    ours = BlockDCT().double()(torch.from_numpy(image)).numpy()
    assert ours.shape == (2, 64, 2, 3)
    for row in range(2):
        for column in range(3):
            block = image[:, 0, 8 * row : 8 * row + 8, 8 * column : 8 * column + 8]
            expected = dctn(block, axes=(1, 2), norm="ortho").reshape(2, 64)[:, ZIGZAG]
            np.testing.assert_allclose(ours[:, :, row, column], expected, atol=1e-6)


def test_zigzag_begins_as_networks_md_says():
    # (vertical, horizontal) frequencies of the first channels.
    basis = BlockDCT().basis[:, 0].numpy()
    for channel, place in enumerate([(0, 0), (0, 1), (1, 0), (2, 0), (1, 1)]):
        spectrum = dctn(basis[channel], norm="ortho")
        assert np.unravel_index(np.abs(spectrum).argmax(), (8, 8)) == place


def test_dct_is_orthonormal_and_its_inverse_undoes_it():
    layer = BlockDCT()
    rows = layer.basis.flatten(1)
    torch.testing.assert_close(rows @ rows.T, torch.eye(64), atol=1e-6, rtol=0)
    image = torch.rand(2, 1, 24, 16)
    torch.testing.assert_close(layer.inverse(layer(image)), image)
    assert not layer.state_dict()


# Blocks -----------------------------------------------------------------------------------------


def path_of(block, x):
    first, _, second = block.path
    conv = F.conv3d if x.ndim == 5 else F.conv2d
    hidden = conv(x, first.weight, first.bias, padding=1).clamp(min=0)
    return conv(hidden, second.weight, second.bias, padding=1)


def sigma(x):
    return 1 / (1 + torch.exp(-x))


@torch.no_grad()
def test_plain_and_gated_residual_blocks():
    x, gate = torch.randn(2, 3, 8, 8), torch.randn(2, 3, 8, 8)
    block = stir(ResBlock(3), 0.1)
    torch.testing.assert_close(block(x), x + 0.1 * path_of(block, x))
    block = stir(GateResBlock(3), 0.1)
    expected = x + 0.1 * torch.tanh(sigma(gate) * path_of(block, x))
    torch.testing.assert_close(block(x, gate), expected)
    saturated = block(x, torch.full((2, 3, 1, 1), 100.0))
    torch.testing.assert_close(saturated, x + 0.1 * torch.tanh(path_of(block, x)))
    torch.testing.assert_close(block(x, torch.full((2, 3, 1, 1), -100.0)), x)


@torch.no_grad()
def test_3d_block_in_both_forms():
    x = torch.randn(2, 3, 64, 2, 3)
    gate_q, gate_t = torch.randn(2, 3, 1, 2, 3), torch.randn(2, 1, 64, 1, 1)

    def point(layer, value):
        weight = layer.weight[:, :, 0, 0, 0]
        return torch.einsum("oc,ncfhw->nofhw", weight, value) + layer.bias[:, None, None, None]

    code = stir(GatedBlock3d(3, "code"), 0.1)
    a = point(code.from_quality, sigma(gate_q * x))
    t = point(code.from_table, sigma(gate_t * x))
    expected = x + point(code.from_both, sigma(a * t)) * path_of(code, x)
    torch.testing.assert_close(code(x, gate_q, gate_t), expected, rtol=1e-4, atol=1e-5)

    figure = stir(GatedBlock3d(3, "figure"), 0.1)
    a = sigma(point(figure.from_quality, sigma(gate_q) * x))
    t = sigma(point(figure.from_table, sigma(gate_t) * x))
    expected = x + sigma(a * t) * path_of(figure, x)
    torch.testing.assert_close(figure(x, gate_q, gate_t), expected, rtol=1e-4, atol=1e-5)


@torch.no_grad()
def test_a_gate_of_one_makes_the_3d_block_plain():
    block = stir(GatedBlock3d(3), 0.1)
    nn.init.zeros_(block.from_both.weight)
    nn.init.ones_(block.from_both.bias)
    x = torch.randn(1, 3, 64, 2, 2)
    gates = torch.randn(1, 3, 1, 2, 2), torch.randn(1, 1, 64, 2, 2)
    torch.testing.assert_close(block(x, *gates), x + path_of(block, x))


# The estimator ----------------------------------------------------------------------------------


@torch.no_grad()
def test_small_images_are_replicated_to_64_pixels_for_the_estimator():
    estimator = stir(QualityEstimator((2, 4, 4, 4)), 0.1)
    image = np.random.default_rng(0).random((1, 1, 8, 72)).astype(np.float32)
    padded = np.pad(image, ((0, 0), (0, 0), (0, 56), (0, 0)), mode="edge")
    small, large = estimator(torch.from_numpy(image)), estimator(torch.from_numpy(padded))
    assert small.shape == (1, 1, 1, 1)
    torch.testing.assert_close(small, large)
    assert estimator(torch.rand(1, 1, 8, 8)).shape == (1, 1, 1, 1)
    assert estimator(torch.rand(1, 1, 200, 128)).shape == (1, 1, 3, 2)


def test_pools_leave_out_what_does_not_fill_a_window():
    x = torch.randn(1, 2, 11, 8)
    assert torch.equal(ValidPool("max", 4)(x), F.max_pool2d(x, 4))
    torch.testing.assert_close(ValidPool("mean", 2)(x), F.avg_pool2d(x, 2))


def test_the_estimator_starts_alive():
    # Gradient without the stirring, or a training of it would not begin.
    torch.manual_seed(0)
    estimator = QualityEstimator()
    estimate = estimator(torch.rand(2, 1, 64, 64))
    assert (estimate > 0).all()
    estimate.sum().backward()
    assert all(value.grad.abs().sum() > 0 for value in estimator.parameters())
