from __future__ import annotations

import io

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.signal import correlate2d
from torch.nn import functional as F

from jpeg_preproc import JpegRestorer, compress_jpeg
from jpeg_preproc.errors import WeightsError
from jpeg_preproc.evaluation.metrics import psnr
from jpeg_preproc.restorers import Quality, build_restorer, load_weights, macs, save_weights
from jpeg_preproc.restorers.dncnn3 import DnCNN3, from_official
from jpeg_preproc.restorers.weights import fill


def official_shapes(channels, batch_norm):
    """Names and shapes of KAIR's DnCNN of twenty layers; a ReLU takes a number, too."""
    shapes = {"0.weight": (64, channels, 3, 3), "0.bias": (64,)}
    number = 2
    for _ in range(18):
        shapes |= {f"{number}.weight": (64, 64, 3, 3), f"{number}.bias": (64,)}
        number += 1
        if batch_norm:
            vectors = ("weight", "bias", "running_mean", "running_var")
            shapes |= {f"{number}.{kind}": (64,) for kind in vectors}
            shapes[f"{number}.num_batches_tracked"] = ()
            number += 1
        number += 1
    return shapes | {f"{number}.weight": (channels, 64, 3, 3), f"{number}.bias": (channels,)}


def with_statistics(network):
    """Give batch norm something to do, as after training."""
    torch.manual_seed(5)
    with torch.no_grad():
        for key, value in network.state_dict().items():
            if ".norm." in key and value.is_floating_point():
                value.copy_(torch.rand_like(value) + 0.5)
            elif key.endswith("bias"):
                value.copy_(torch.randn_like(value) * 0.1)
    return network.eval()


@pytest.mark.parametrize(
    "preset,settings,parameters,giga",
    # networks.md, section 5. Of 3·3 layers: 1→64, 18 times 64→64, 64→1; of batch norm a scale
    # and a shift, 18 times 64. The count for RGB there, 668,227, is the merged form's.
    [
        ("paper", {}, 640 + 18 * 36_928 + 577, 174.2),
        ("paper-batchnorm", {}, 665_921 + 18 * 2 * 64, 174.2),
        ("paper-colour", {}, 1_792 + 18 * 36_928 + 1_731, 174.9),
        ("paper-colour", {"batch_norm": True}, 668_227 + 18 * 2 * 64, 174.9),
    ],
)
def test_sizes_of_the_published_network(preset, settings, parameters, giga):
    with torch.device("meta"):
        network = build_restorer("DnCNN3", preset, **settings)
    assert sum(value.numel() for value in network.parameters()) == parameters
    assert macs(network.eval()) == pytest.approx(giga * 1e9, rel=5e-4)


def test_the_numbers_of_parameters_are_the_published_ones():
    counts = {}
    for preset in DnCNN3.presets:
        with torch.device("meta"):
            network = build_restorer("DnCNN3", preset)
        counts[preset] = sum(value.numel() for value in network.parameters())
    assert (counts["paper"], counts["paper-batchnorm"]) == (665_921, 668_225)
    assert counts["paper-colour"] == 668_227
    assert counts["tiny-grey"] < counts["tiny"] <= 1_500_000


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("batch_norm", [False, True])
def test_it_is_the_image_minus_a_row_of_convolutions(channels, batch_norm):
    network = with_statistics(DnCNN3(channels, width=5, num_layers=4, batch_norm=batch_norm))
    image = np.random.default_rng(0).random((channels, 7, 9))
    layers = [network.head.conv, *(layer.conv for layer in network.body), network.tail]
    x = image
    for index, layer in enumerate(layers):
        weight, bias = layer.weight.detach().double().numpy(), layer.bias.detach().double().numpy()
        x = np.stack(
            [
                sum(correlate2d(x[i], weight[o, i], mode="same") for i in range(len(x))) + bias[o]
                for o in range(len(weight))
            ]
        )
        if batch_norm and 0 < index < len(layers) - 1:
            norm = network.body[index - 1].norm
            mean, variance, gain, shift = (
                value.detach().double().numpy()[:, None, None]
                for value in (norm.running_mean, norm.running_var, norm.weight, norm.bias)
            )
            x = (x - mean) / np.sqrt(variance + 1e-4) * gain + shift
        if index < len(layers) - 1:
            x = np.maximum(x, 0)
    with torch.no_grad():
        restored = network.double()(torch.from_numpy(image)[None]).image[0].numpy()
    np.testing.assert_allclose(restored, image - x, rtol=1e-10, atol=1e-10)


def test_merging_batch_norm_changes_the_form_and_not_the_function():
    network = with_statistics(build_restorer("DnCNN3", "paper-batchnorm"))
    image = torch.rand(1, 1, 24, 24, dtype=torch.float64)
    before = {key: value.clone() for key, value in network.state_dict().items()}
    merged = network.double().merged()
    assert not merged.training
    assert merged.state_dict().keys() == build_restorer("DnCNN3", "paper").state_dict().keys()
    with torch.no_grad():
        expected = network(image).image
        scale = (expected - image).abs().max().item()
        torch.testing.assert_close(merged(image).image, expected, rtol=0, atol=1e-10 * scale)
        merged.tail.bias.add_(1)
    for key, value in network.state_dict().items():
        assert torch.equal(value.to(before[key].dtype), before[key]), key


def test_merging_a_merged_network_copies_it():
    network = build_restorer("DnCNN3", "tiny")
    copy = network.merged()
    assert copy.training
    for key, value in network.state_dict().items():
        assert torch.equal(value, copy.state_dict()[key])
        assert value.data_ptr() != copy.state_dict()[key].data_ptr()


@pytest.mark.parametrize("prefix", ["", "model."])
@pytest.mark.parametrize(
    "preset,channels,batch_norm",
    [("paper", 1, False), ("paper-batchnorm", 1, True), ("paper-colour", 3, False)],
)
def test_the_authors_weights_fit_tensor_by_tensor(preset, channels, batch_norm, prefix):
    shapes = official_shapes(channels, batch_norm)
    state = {
        prefix + key: torch.full(shape, float(index))
        for index, (key, shape) in enumerate(shapes.items())
    }
    renamed = from_official(state)
    assert len(renamed) == len(state) == 40 + batch_norm * 18 * 5
    network = build_restorer("DnCNN3", preset)
    fill(network, renamed, source="test")
    # Both run through the layers in one order, and so do the values.
    values = [value.flatten()[0].item() for value in network.state_dict().values()]
    assert values == list(range(len(state)))


def authors_restorer(shared_data):
    state = torch.load(shared_data / "models" / "dncnn3_grey.pth", weights_only=True)
    network = build_restorer("DnCNN3", "paper")
    fill(network, from_official(state), source="dncnn3_grey.pth")
    return JpegRestorer(network), state


def classic5(shared_data):
    paths = sorted((shared_data / "restoration" / "classic5").glob("*.png"))
    return [np.asarray(Image.open(path).convert("L")) for path in paths]


@pytest.mark.slow
def test_the_authors_weights_give_their_figure(shared_data):
    # Zhang et al. report 29.40 dB on Classic5 at QF 10; the JPEG itself is at 27.82 dB.
    restorer, _ = authors_restorer(shared_data)
    images = classic5(shared_data)
    figures = [psnr(image, restorer(compress_jpeg(image, qf=10)).image) for image in images]
    assert len(figures) == 5
    assert np.mean(figures) == pytest.approx(29.40, abs=0.02)


def test_the_authors_weights_in_their_own_order_give_the_same_pixels(shared_data):
    restorer, state = authors_restorer(shared_data)
    clean = classic5(shared_data)[2][200:296, 200:296]
    jpeg = np.array(Image.open(io.BytesIO(compress_jpeg(clean, qf=10))))
    x = image = torch.from_numpy(jpeg)[None, None].double() / 255
    for number in range(0, 40, 2):
        weight, bias = state[f"{number}.weight"].double(), state[f"{number}.bias"].double()
        x = F.conv2d(x, weight, bias, padding=1)
        x = x.clamp(min=0) if number < 38 else x
    expected = ((image - x).clamp(0, 1) * 255).round()[0, 0].numpy()
    restored = restorer(compress_jpeg(clean, qf=10)).image.astype(float)
    # Of 9216 pixels a few lie so near a half that fp32 rounds them to the other side.
    assert (restored != expected).mean() < 0.001
    assert np.abs(restored - expected).max() <= 1
    assert psnr(clean, restored.astype(np.uint8)) > psnr(clean, jpeg) + 1


def test_quality_is_not_looked_at():
    network = build_restorer("DnCNN3", "tiny").eval()
    image = torch.rand(1, 3, 8, 8)
    with torch.no_grad():
        blind = network(image)
        assert torch.equal(network(image, Quality.from_qf(5)).image, blind.image)
    assert blind.qf is None


@pytest.mark.parametrize("preset,settings", [("tiny", {}), ("tiny-grey", {"batch_norm": True})])
def test_weights_survive_a_file(tmp_path, preset, settings):
    network = with_statistics(build_restorer("DnCNN3", preset, **settings))
    target = tmp_path / "dncnn3.safetensors"
    save_weights(network, target, preset=preset, settings=settings)
    loaded, manifest = load_weights(target)
    assert (manifest.restorer, manifest.preset) == ("DnCNN3", preset)
    image = torch.rand(1, network.channels, 9, 7)
    with torch.no_grad():
        assert torch.equal(loaded(image).image, network(image).image)


def test_other_weights_are_refused():
    with pytest.raises(WeightsError, match=r"head\.weight: no tensor of KAIR's DnCNN"):
        from_official({"head.weight": torch.zeros(1)})
    state = {key: torch.zeros(shape) for key, shape in official_shapes(1, False).items()}
    with pytest.raises(WeightsError, match="3 of another shape"):
        fill(build_restorer("DnCNN3", "paper-colour"), from_official(state), source="test")
    # DnCNN's other weights have 17 layers.
    for number in (4, 6, 8):
        del state[f"{number}.weight"], state[f"{number}.bias"]
    with pytest.raises(WeightsError, match="6 tensors absent"):
        fill(build_restorer("DnCNN3", "paper"), from_official(state), source="test")
