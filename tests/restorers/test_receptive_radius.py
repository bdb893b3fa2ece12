"""How far a built network sees, stated and measured, and tiles that overlap by as much."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from stirring import stir

from jpeg_preproc import JpegRestorer
from jpeg_preproc.restorers import Quality, build_restorer, registered_names, save_weights
from jpeg_preproc.restorers.tiling import run_tiled

_THIN = {"widths": (8, 8, 16), "embedding": 8}
_BASELINE = {"cigm": False, "csgm": False, "cfm": False}
_THIN_DAGN = {"widths": (4, 4, 8, 8), "encoder_width": 4, "guider_widths": (8, 8)}

# Preset, settings and what they see, in pixels: the paper's or the README's layers by hand.
BOUNDED = [
    ("ARCNN", "base", {}, 4 + 3 + 0 + 2),
    ("ARCNN", "grey", {}, 4 + 3 + 0 + 2),
    ("Bilateral", "base", {}, 2),
    ("Bilateral", "grey", {"radius": 3, "space": 2.0}, 3),
    ("DnCNN3", "tiny-grey", {"width": 8}, 20),
    ("DnCNN3", "paper-batchnorm", {"width": 8, "num_layers": 5}, 5),
    ("DnCNN3", "tiny", {"width": 8, "num_layers": 33}, 33),
    ("GridUNet", "base", _THIN, 2 * 10 + 4 * 8 + 8 * 6 + 7),
    ("GridUNet", "nano", {}, 2 * 6 + 4 * 8 + 8 * 4 + 7),
    ("GridUNet", "small", _THIN, 2 * 6 + 4 * 8 + 8 * 4 + 7),
    ("GridUNet", "nano", {**_THIN, "blocks": (1, 1, 1, 1, 1)}, 2 * 6 + 4 * 4 + 8 * 2 + 7),
    ("GridUNet", "nano", {**_THIN, "blocks": (1, 2, 5, 0, 2)}, 2 * 8 + 4 * 4 + 8 * 10 + 7),
    ("QCN", "tiny", {"width": 8}, 3 + 2 * 18 + 1),
    ("QCN", "tiny-grey", {"width": 8, "num_blocks": 1, "residual_scale": 1.0}, 3 + 2 * 4 + 1),
    ("QCN", "paper", {"width": 4, "num_blocks": 3, "residual_scale": 1.0}, 3 + 2 * 8 + 1),
    (
        "DAGN",
        "tiny",
        {**_BASELINE, **_THIN_DAGN, "num_blocks": 1},
        # Head and tail; encoder, middle and decoder, which has two blocks for each; the 8×8 block.
        2 + 2 * (1 + 2 + 4 + 8) + 8 * 2 + 4 * (4 + 2 + 1) + 7,
    ),
]
# What in them looks at the whole image: a quality estimated from all of it, a spectrum, an average.
WHOLE = [
    ("AGARNet", {"num_blocks": 1, "num_middle_blocks": 1, "num_dct_blocks": 1}),
    ("D2LNet", {"widths": (8, 8, 8, 8)}),
    ("D2LNet", {"widths": (8, 8, 8, 8), "amplitude": False, "phase": False}),
    ("DAGN", _THIN_DAGN),
    ("DAGN", {**_THIN_DAGN, "csgm": False, "cfm": False}),
    ("DAGN", {**_THIN_DAGN, "cigm": False, "csgm": False}),
    ("FBCNN", {"widths": (8, 8, 8, 8), "embedding": 8}),
    ("QGCN", {"width": 8, "num_blocks": 2, "global_width": 4, "global_hidden": 8}),
]


def built(name, preset, settings, by=0.02):
    """In double precision, where what comes from far is told from rounding."""
    torch.manual_seed(0)
    return stir(build_restorer(name, preset, **settings), by).double()


def measured_radius(network):
    """The farthest pixel with a gradient, of the pixels of a 16×16 block's diagonal."""
    stated = network.receptive_radius
    side = 2 * (-(-stated // 16) * 16) + 48
    start = side // 2 // 16 * 16
    image = torch.rand(1, network.channels, side, side, dtype=torch.float64, requires_grad=True)
    output = network(image, Quality.from_qf(20)).image
    farthest = 0
    for position in range(start, start + 16):
        (gradient,) = torch.autograd.grad(
            output[..., position, position].sum(), image, retain_graph=True
        )
        touched = gradient.abs().amax(dim=(0, 1)).nonzero()
        farthest = max(farthest, int((touched - position).abs().max()))
    return farthest


@pytest.mark.parametrize("name,preset,settings,expected", BOUNDED)
def test_a_network_sees_as_far_as_it_says(name, preset, settings, expected):
    network = built(name, preset, settings)
    assert network.receptive_radius == expected
    assert measured_radius(network) == expected


@torch.no_grad()
@pytest.mark.parametrize("name,settings", WHOLE)
def test_a_network_without_a_radius_sees_the_whole_image(name, settings):
    network = built(name, "tiny", settings, by=0.1)
    assert network.receptive_radius is None
    if name == "AGARNet":
        network.train()  # its estimate is not rounded then
    image = torch.rand(1, network.channels, 192, 192, dtype=torch.float64)
    changed = image.clone()
    changed[..., :16, :16] = 1
    quality = None if name in ("AGARNet", "FBCNN") else Quality.from_qf(20)
    last, other = (network(one, quality).image[..., -1, -1] for one in (image, changed))
    assert not torch.equal(last, other)


def test_every_network_is_measured():
    assert {name for name, *_ in BOUNDED} | {name for name, _ in WHOLE} == set(registered_names())


@torch.no_grad()
@pytest.mark.parametrize("name,preset,settings,expected", BOUNDED)
def test_tiles_that_overlap_by_the_radius_equal_the_whole(name, preset, settings, expected):
    network = built(name, preset, settings)
    side = 2 * (-(-expected // 16) * 16) + 80
    image = torch.rand(1, network.channels, side, side, dtype=torch.float64)
    quality = Quality.from_qf(20)

    def run(piece):
        return network(piece, quality).image

    whole = run(image)
    tiled = run_tiled(run, image, 64, expected)
    # Overlaps are multiples of 16, too.
    too_near = run_tiled(run, image, 64, expected // 2 // 16 * 16)
    scale = float(whole.abs().max())
    error = float((tiled - whole).abs().max()) / scale
    assert error < 1e-12
    assert float((too_near - whole).abs().max()) / scale > 10 * error


def test_weights_with_other_settings_are_tiled_by_their_own_radius(tmp_path):
    """A network that moves the image by one pixel a layer: what comes from afar is all there is."""
    layers = 40
    network = build_restorer("DnCNN3", "tiny", width=3, num_layers=layers)
    with torch.no_grad():
        for value in network.parameters():
            value.zero_()
        for layer in (network.head.conv, *(layer.conv for layer in network.body), network.tail):
            for channel in range(3):
                layer.weight[channel, channel, 0, 0] = 1
        network.tail.weight.mul_(-1)
    path = tmp_path / "moved.safetensors"
    save_weights(network, path, preset="tiny", settings={"width": 3, "num_layers": layers})
    rng = np.random.default_rng(0)
    image = rng.integers(0, 128, (200, 232, 3), dtype=np.uint8)
    expected = image.copy()
    expected[layers:, layers:] += image[:-layers, :-layers]
    whole, tiled = (JpegRestorer(path, tile=tile)(image).image for tile in (None, 48))
    np.testing.assert_array_equal(whole, expected)
    np.testing.assert_array_equal(tiled, whole)
