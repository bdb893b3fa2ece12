from __future__ import annotations

import numpy as np
import pytest
import torch

from jpeg_preproc.restorers import build_restorer, macs
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
    assert network.receptive_radius is None and (difference > 0).float().mean() > 0.99


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
