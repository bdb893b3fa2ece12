from __future__ import annotations

import numpy as np
import pytest
import torch
from stirring import stir

from jpeg_preproc.errors import QualityError, UnknownRestorerError
from jpeg_preproc.jpeg import qtables_from_qf
from jpeg_preproc.restorers import (
    Quality,
    build_restorer,
    list_restorers,
    macs,
    register_restorer,
)
from jpeg_preproc.restorers.registry import restorer_class

ENTRIES = list_restorers()
# Networks of a hundred million weights take seconds to build; their tiny presets have their shape.
PRESETS = [
    (name, preset)
    for name, entry in ENTRIES.items()
    for preset, cost in entry.presets.items()
    if cost.parameters < 30_000_000
]
# Those that run on images of a few hundred pixels in a second or so.
LIGHT = [
    (name, preset)
    for name, entry in ENTRIES.items()
    for preset, cost in entry.presets.items()
    if cost.macs_per_pixel < 200_000
]


def build(name, preset, seed=0):
    """A network whose every weight matters: some start at zero on purpose."""
    torch.manual_seed(seed)
    return stir(build_restorer(name, preset))


def padded(size, multiple):
    return tuple(-(-value // multiple) * multiple for value in size)


@pytest.mark.parametrize(
    "name,preset,size",
    [(*chosen, size) for chosen in PRESETS for size in ((8, 8), (16, 40))]
    + [(*chosen, (72, 136)) for chosen in LIGHT],
)
def test_shape_dtype_and_a_batch_equal_to_single_runs(name, preset, size):
    network = build(name, preset)
    image = torch.rand(3, network.channels, *padded(size, network.spec.size_multiple))
    quality = Quality.from_qf([10, 50, 90])
    with torch.no_grad():
        batch = network(image, quality).image
        singles = [
            network(image[index : index + 1], Quality.from_qf(qf)).image
            for index, qf in enumerate((10, 50, 90))
        ]
    assert batch.shape == image.shape and batch.dtype == torch.float32
    # The noise on the weights may drive results far out of [0, 1].
    atol = 1e-5 * max(1.0, float(batch.abs().max()))
    torch.testing.assert_close(batch, torch.cat(singles), rtol=1e-4, atol=atol)


@pytest.mark.parametrize("name,preset", PRESETS)
def test_gradient_reaches_every_parameter(name, preset):
    quality = Quality.from_qf([10, 80])
    unknown = Quality(quality.qtables, quality.qf, torch.tensor([True, False]))
    missed = set()
    # One draw of the weights may close a ReLU over a few means for every image; four do not.
    for seed in range(4):
        network = build(name, preset, seed).train()
        image = torch.rand(2, network.channels, 32, 32)
        network(image, unknown).image.square().sum().backward()
        without = {
            key
            for key, value in network.named_parameters()
            if value.grad is None or not value.grad.abs().sum() > 0
        }
        missed = without if seed == 0 else missed & without
        if not missed:
            break
    assert not missed


@pytest.mark.parametrize("name,preset", PRESETS)
def test_is_deterministic(name, preset):
    first, second = build(name, preset), build(name, preset)
    image = torch.rand(1, first.channels, 24, 24)
    with torch.no_grad():
        results = [network(image, Quality.from_qf(30)).image for network in (first, second)]
    assert torch.equal(*results)


@pytest.mark.parametrize("preset", list(restorer_class("GridUNet").presets))
def test_gridunet_uses_the_tables_and_luma_apart_from_chroma(preset):
    network = build("GridUNet", preset)
    image = torch.rand(1, 3, 32, 32)
    tables = qtables_from_qf(30)
    swapped = tables[::-1].copy()
    results = [
        network(image, quality).image
        for quality in (
            Quality.from_qtables([tables]),
            Quality.from_qtables([swapped]),
            Quality.from_qf(80),
            None,
        )
    ]
    for index, first in enumerate(results):
        for second in results[index + 1 :]:
            assert not torch.allclose(first, second)


def test_an_untrained_gridunet_changes_nothing():
    image = torch.rand(1, 3, 32, 32)
    assert torch.equal(build_restorer("GridUNet")(image, None).image, image)


def test_sizes_of_the_published_network():
    # 9·9·64+64 + 7·7·64·32+32 + 32·16+16 + 5·5·16+1, layer by layer from the paper's figure.
    layers = (9 * 9 * 64 + 64, 7 * 7 * 64 * 32 + 32, 32 * 16 + 16, 5 * 5 * 16 + 1)
    network = build_restorer("ARCNN", "grey")
    assert sum(value.numel() for value in network.parameters()) == sum(layers) == 106_561
    # 27.9 G at 512×512: networks.md, section 5.
    assert macs(network) == pytest.approx(27.9e9, rel=0.005)
    colour = build_restorer("ARCNN")
    assert sum(value.numel() for value in colour.parameters()) == 117_731
    assert macs(colour) == pytest.approx(30.8e9, rel=0.005)


def test_base_stays_small():
    cost = list_restorers()["GridUNet"].presets["base"]
    assert cost.macs_per_pixel < 130_000
    assert cost.parameters < 4_000_000


def test_quality_from_a_single_or_a_third_table():
    luma, chroma = qtables_from_qf(40)
    single = Quality.from_qtables([luma[None]]).qtables[0].numpy()
    np.testing.assert_array_equal(single, np.stack([luma, luma]))
    triple = Quality.from_qtables([np.stack([luma, chroma, chroma])]).qtables[0].numpy()
    np.testing.assert_array_equal(triple, np.stack([luma, chroma]))
    assert Quality.from_qtables([np.stack([luma, chroma])]).qf.item() == 40


@pytest.mark.parametrize("tables", [np.ones((8, 8)), np.zeros((2, 8, 8)), np.ones((0, 8, 8))])
def test_bad_tables_are_refused(tables):
    with pytest.raises(QualityError, match="read_jpeg_info"):
        Quality.from_qtables([tables])


def test_unknown_names_list_the_known_ones():
    with pytest.raises(UnknownRestorerError, match=r"registered are: AGARNet, .*GridUNet"):
        build_restorer("Nonesuch")
    with pytest.raises(UnknownRestorerError, match="it has: base, nano, small"):
        build_restorer("GridUNet", "huge")


def test_a_duplicate_raises_and_leaves_the_registry_as_it_was():
    class ARCNN(restorer_class("ARCNN")):  # type: ignore[misc]
        pass

    before = restorer_class("ARCNN")
    with pytest.raises(ValueError, match="registered already"):
        register_restorer(ARCNN)
    assert restorer_class("ARCNN") is before
