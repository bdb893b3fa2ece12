from __future__ import annotations

import numpy as np
import pytest
import torch

from jpeg_preproc.errors import QualityError
from jpeg_preproc.jpeg import qtables_from_qf
from jpeg_preproc.restorers import Quality, build_restorer, load_weights, save_weights
from jpeg_preproc.restorers.qgcn import QCN, QGCN, quantisation_maps

NETWORKS = ("QCN", "QGCN")
TINY = [(name, preset) for name in NETWORKS for preset in ("tiny", "tiny-grey")]


@pytest.mark.parametrize("name,preset", TINY)
def test_tiny_is_small(name, preset):
    network = build_restorer(name, preset)
    assert sum(value.numel() for value in network.parameters()) <= 1_500_000
    assert network.channels == (1 if preset.endswith("grey") else 3)


def test_steps_beyond_8_bits_count_as_255():
    image = torch.rand(1, 3, 8, 8)
    tables = np.full((2, 8, 8), 255)
    tables[0, 7, 7] = 6050
    maps = quantisation_maps(image, Quality.from_qtables([tables]))
    assert torch.equal(maps, torch.ones(1, 2, 8, 8))


@pytest.mark.parametrize("name,preset", TINY)
def test_swapped_tables_change_the_result(name, preset):
    torch.manual_seed(0)
    network = build_restorer(name, preset).eval()
    image = torch.rand(1, network.channels, 16, 24)
    luma, chroma = qtables_from_qf(30)
    right, swapped, other_chroma = (
        network(image, Quality.from_qtables([np.stack(pair)])).image
        for pair in ((luma, chroma), (chroma, luma), (luma, luma))
    )
    assert not torch.allclose(right, swapped, atol=1e-3)
    # Luma is all that a grey file has.
    assert torch.equal(right, other_chroma) == (network.channels == 1)


@pytest.mark.parametrize("name,preset", TINY)
def test_each_image_of_a_batch_goes_by_its_own_tables(name, preset):
    torch.manual_seed(0)
    network = build_restorer(name, preset).eval()
    image = torch.rand(1, network.channels, 16, 24).expand(2, -1, -1, -1)
    both = network(image, Quality.from_qf([10, 70]))
    assert torch.equal(both.qf, torch.tensor([10.0, 70.0]))
    for index, qf in enumerate((10, 70)):
        alone = network(image[:1], Quality.from_qf(qf)).image[0]
        torch.testing.assert_close(both.image[index], alone, rtol=1e-4, atol=1e-5)
    assert not torch.allclose(both.image[0], both.image[1], atol=1e-3)


@pytest.mark.parametrize("name", NETWORKS)
def test_missing_or_ill_fitting_quality_is_refused(name):
    network = build_restorer(name, "tiny")
    image = torch.rand(2, 3, 16, 16)
    good = Quality.from_qf([10, 20])
    with pytest.raises(QualityError, match=f"{name} needs the quantisation tables"):
        network(image, None)
    with pytest.raises(QualityError, match="for 2 images"):
        network(image, Quality.from_qf(10))
    with pytest.raises(QualityError, match=r"\(2, 1, 8, 8\)"):
        network(image, Quality(good.qtables[:, :1], good.qf))
    with pytest.raises(QualityError, match=r"\(2, 2, 64\)"):
        network(image, Quality(good.qtables.flatten(2), good.qf))


@pytest.mark.parametrize("name", NETWORKS)
def test_known_is_not_looked_at(name):
    torch.manual_seed(0)
    network = build_restorer(name, "tiny").eval()
    image = torch.rand(2, 3, 16, 16)
    quality = Quality.from_qf([10, 20])
    unknown = Quality(quality.qtables, quality.qf, torch.tensor([False, False]))
    assert torch.equal(network(image, quality).image, network(image, unknown).image)


@pytest.mark.parametrize(
    "wrong", [lambda: QCN(channels=2), lambda: QGCN(channels=4), lambda: QGCN(num_blocks=3)]
)
def test_wrong_settings_are_refused(wrong):
    with torch.device("meta"), pytest.raises(ValueError, match=r"is [234]; "):
        wrong()


def touched(network, side, centre):
    """Rows of the input that any of 16 output rows from ``centre`` on looks at."""
    image = torch.rand(1, 3, side, side, requires_grad=True)
    network(image, Quality.from_qf(20)).image[..., centre : centre + 16, centre].sum().backward()
    return image.grad.abs().amax(dim=(0, 1, 3)).nonzero()


def test_receptive_radius_of_qcn_grows_by_four_pixels_a_block():
    torch.manual_seed(0)
    radii = []
    for blocks in (1, 2, 3):
        rows = touched(QCN(width=4, num_blocks=blocks, residual_scale=1.0), 96, 48)
        radii.append(max(48 - int(rows.min()), int(rows.max()) - 63))
    assert radii == [12, 16, 20]
    assert build_restorer("QCN").receptive_radius == 12 + 4 * (64 - 1)


def test_qgcn_sees_the_whole_image():
    torch.manual_seed(0)
    network = QGCN(width=4, num_blocks=2, global_width=4, global_hidden=8)
    rows = touched(network, 160, 80)
    assert (rows.min(), rows.max()) == (0, 159)
    assert network.receptive_radius is None


@pytest.mark.parametrize("name", NETWORKS)
def test_initial_weights_have_the_authors_deviation(name):
    torch.manual_seed(0)
    for key, value in build_restorer(name, "tiny").named_parameters():
        if value.ndim == 4 and value.numel() > 2000:
            outputs, _, height, width = value.shape
            deviation = np.sqrt(2 / (height * width * outputs))
            assert value.std().item() == pytest.approx(deviation, rel=0.08), key
        elif value.ndim == 1 and "linears" not in key:
            assert not value.any(), key


@pytest.mark.parametrize("name,preset", TINY)
def test_weights_round_trip(name, preset, tmp_path):
    network = build_restorer(name, preset)
    save_weights(network, tmp_path / "mine.safetensors", preset=preset)
    loaded, manifest = load_weights(tmp_path / "mine.safetensors")
    assert (manifest.restorer, manifest.preset) == (name, preset)
    for key, value in network.state_dict().items():
        assert torch.equal(loaded.state_dict()[key], value)


class WithTables(torch.nn.Module):
    """A restorer as a function of tensors, which is what an exporter takes."""

    def __init__(self, network):
        super().__init__()
        self.network = network

    def forward(self, image, qtables):
        return self.network(image, Quality(qtables, qtables[:, 0, 0, 0])).image


@pytest.mark.parametrize("name", NETWORKS)
def test_exports_with_dynamic_size(name):
    torch.manual_seed(0)
    network = WithTables(build_restorer(name, "tiny")).eval()
    tables = Quality.from_qf([10, 80, 30]).qtables
    image = torch.rand(3, network.network.channels, 32, 48)
    batch = torch.export.Dim("batch")
    rows, cols = torch.export.Dim("rows"), torch.export.Dim("cols")
    shapes = {"image": {0: batch, 2: 8 * rows, 3: 8 * cols}, "qtables": {0: batch}}
    module = torch.export.export(network, (image, tables), dynamic_shapes=shapes).module()
    other = torch.rand(2, network.network.channels, 128, 24)
    with torch.no_grad():
        torch.testing.assert_close(
            module(other, tables[:2]), network(other, tables[:2]), rtol=1e-4, atol=1e-5
        )


@pytest.mark.parametrize("name,preset", TINY)
def test_runs_in_bf16(name, preset):
    torch.manual_seed(0)
    network = build_restorer(name, preset).eval()
    image = torch.rand(1, network.channels, 32, 32)
    with torch.no_grad():
        full = network(image, Quality.from_qf(30)).image
        with torch.autocast("cpu", torch.bfloat16):
            half = network(image, Quality.from_qf(30)).image
    assert half.dtype == torch.float32
    assert (half - full).abs().max() < 0.05 * full.std() + 0.05
