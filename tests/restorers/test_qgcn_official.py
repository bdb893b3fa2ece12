"""QCN and QGCN against what their authors published: sizes, names of weights, arithmetic."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.signal import correlate2d
from skimage.transform import resize

from jpeg_preproc import compress_jpeg, read_jpeg_info
from jpeg_preproc.errors import WeightsError
from jpeg_preproc.jpeg import qtables_from_qf
from jpeg_preproc.restorers import Quality, build_restorer, macs
from jpeg_preproc.restorers.qgcn import QCN, QGCN, from_official, quantisation_maps

# networks.md, section 1.4: parameters, and multiply-accumulates of one 512×512 image.
SIZES = {
    ("QCN", "paper"): (4_973_312, 326.8e9),
    ("QCN", "paper-grey"): (4_970_432, 326.1e9),
    ("QGCN", "paper"): (12_305_472, 331.8e9),
    ("QGCN", "paper-grey"): (12_301_568, 331.1e9),
}


@pytest.mark.parametrize("name,preset", SIZES)
def test_sizes_of_the_published_networks(name, preset):
    parameters, cost = SIZES[name, preset]
    with torch.device("meta"):
        network = build_restorer(name, preset)
    assert sum(value.numel() for value in network.parameters()) == parameters
    assert macs(network) == pytest.approx(cost, rel=0.005)


# The state dicts of VDIGPKU/QGCN as its src/nets define them: name -> shape, with ``i`` input
# channels (5 of RGB, 2 of L), ``o`` output channels, ``g`` of the global branch (3, 1).
def official_shapes(net: str, colour: bool) -> dict[str, tuple[int, ...]]:
    i, o, g = (5, 3, 3) if colour else (2, 1, 1)
    shapes = {"conv_input.weight": (64, i, 3, 3), "downscale.0.weight": (64, 64, 4, 4)}
    stages = {"residual": 64} if net == "qmar" else {"residual1": 32, "residual2": 32}
    for stage, count in stages.items():
        for index in range(count):
            shapes[f"{stage}.{index}.conv1.weight"] = (64, 64, 3, 3)
            shapes[f"{stage}.{index}.conv2.weight"] = (64, 64, 3, 3)
    shapes |= {
        "conv_mid.weight": (64, 64, 3, 3),
        "upscale.0.weight": (256, 64, 3, 3),
        "upscale.0.bias": (256,),
        "conv_output.weight": (o, 64, 3, 3),
    }
    if net == "qmarg":
        shapes |= {
            "conv_global.0.weight": (32, g, 4, 4),
            "conv_global.0.bias": (32,),
            "conv_global.2.weight": (32, 32, 3, 3),
            "conv_global.2.bias": (32,),
            "conv_global.4.weight": (64, 32, 4, 4),
            "conv_global.4.bias": (64,),
            "conv_global.6.weight": (64, 64, 3, 3),
            "conv_global.6.bias": (64,),
            "conv_global.8.weight": (128, 64, 4, 4),
            "conv_global.8.bias": (128,),
            "conv_global.10.weight": (128, 128, 3, 3),
            "conv_global.10.bias": (128,),
            "conv_global.12.weight": (128, 128, 4, 4),
            "conv_global.12.bias": (128,),
            "conv_global.14.weight": (128, 128, 3, 3),
            "conv_global.14.bias": (128,),
            "conv_global_l.0.weight": (1024, 6272),
            "conv_global_l.0.bias": (1024,),
            "conv_global_l.2.weight": (64, 1024),
            "conv_global_l.2.bias": (64,),
            "conv_res_mid.weight": (64, 128, 3, 3),
            "conv_res_mid.bias": (64,),
        }
    return shapes


@pytest.mark.parametrize("net,name", [("qmar", "QCN"), ("qmarg", "QGCN")])
@pytest.mark.parametrize("preset", ["paper", "paper-grey"])
@pytest.mark.parametrize("prefix", ["", "module."])
def test_official_names_and_shapes_fit(net, name, preset, prefix):
    shapes = official_shapes(net, colour=preset == "paper")
    assert sum(np.prod(shape) for shape in shapes.values()) == SIZES[name, preset][0]
    state = {prefix + key: torch.empty(shape, device="meta") for key, shape in shapes.items()}
    with torch.device("meta"):
        network = build_restorer(name, preset)
    network.load_state_dict(from_official(state))


def test_other_weights_are_refused():
    with pytest.raises(WeightsError, match=r"conv_first\.weight"):
        from_official({"conv_first.weight": torch.zeros(1)})


# A second implementation, after networks.md 1.1-1.3, in numpy and scipy on the official names.


def relu(x):
    return np.maximum(x, 0)


def conv(x, state, name, stride=1):
    weight, bias = state[f"{name}.weight"], state.get(f"{name}.bias")
    padded = np.pad(x, ((0, 0), (1, 1), (1, 1)))
    planes = [
        sum(correlate2d(plane, kernel, "valid") for plane, kernel in zip(padded, row, strict=True))
        for row in weight
    ]
    result = np.stack(planes)[:, ::stride, ::stride]
    return result if bias is None else result + bias[:, None, None]


def residual(x, state, stage, count):
    for index in range(count):
        hidden = relu(conv(x, state, f"{stage}.{index}.conv1"))
        x = x + 0.1 * conv(hidden, state, f"{stage}.{index}.conv2")
    return x


def upscale(x, state):
    x = conv(conv(x, state, "conv_mid"), state, "upscale.0")
    groups, height, width = x.shape
    x = x.reshape(groups // 4, 2, 2, height, width).transpose(0, 3, 1, 4, 2)
    return x.reshape(groups // 4, 2 * height, 2 * width)


def normalised(values):
    return (values / 255 - 0.5) / 0.5


def maps_by_numpy(tables, channels, height, width):
    used = np.asarray(tables, np.float64)[: 1 if channels == 1 else 2]
    return normalised(np.tile(used, (1, height // 8, width // 8)))


def small_by_pillow(image):
    """112×112 by another bicubic with antialiasing, cut to [0, 1]."""
    planes = [
        np.asarray(Image.fromarray(plane.astype(np.float32)).resize((112, 112), Image.BICUBIC))
        for plane in image
    ]
    return np.clip(np.stack(planes).astype(np.float64), 0, 1)


def qmar_by_numpy(image, tables, state, blocks):
    maps = maps_by_numpy(tables, *image.shape)
    skip = conv(np.concatenate([normalised(image * 255), maps]), state, "conv_input")
    x = relu(conv(skip, state, "downscale.0", stride=2))
    x = upscale(residual(x, state, "residual", blocks), state) + skip
    return conv(x, state, "conv_output") * 0.5 + 0.5


def qmarg_by_numpy(image, tables, state, blocks):
    seen = normalised(small_by_pillow(image) * 255)
    for index in range(0, 16, 4):
        seen = relu(conv(seen, state, f"conv_global.{index}", stride=2))
        seen = relu(conv(seen, state, f"conv_global.{index + 2}"))
    hidden = relu(state["conv_global_l.0.weight"] @ seen.ravel() + state["conv_global_l.0.bias"])
    vector = state["conv_global_l.2.weight"] @ hidden + state["conv_global_l.2.bias"]

    maps = maps_by_numpy(tables, *image.shape)
    x = conv(np.concatenate([normalised(image * 255), maps]), state, "conv_input")
    first = relu(conv(x, state, "downscale.0", stride=2))
    x = residual(first, state, "residual1", blocks // 2) + first
    spread = np.broadcast_to(vector[:, None, None], (len(vector), *x.shape[1:]))
    second = relu(conv(np.concatenate([x, spread]), state, "conv_res_mid"))
    x = upscale(residual(second, state, "residual2", blocks // 2) + second, state)
    return conv(x, state, "conv_output") * 0.5 + 0.5


def small_state(net, channels, width, blocks, global_width, hidden):
    """Random weights under the official names, of a narrow network."""
    narrow = {64: width, 128: 2 * width, 256: 4 * width}
    narrow_global = {32: 1, 64: 2, 128: 4, 1024: hidden, 6272: 49 * 4 * global_width}
    rng = np.random.default_rng(5)
    state = {}
    for key, shape in official_shapes(net, colour=channels == 3).items():
        stage, _, rest = key.partition(".")
        if stage.startswith("residual") and int(rest.partition(".")[0]) >= blocks:
            continue
        table = narrow
        if stage == "conv_global":
            table = {full: part * global_width for full, part in narrow_global.items()}
        elif stage == "conv_global_l":
            # The last layer's outputs are the width of the restoration branch.
            table = {**narrow_global, 64: width}
        kept = shape[2:] if len(shape) == 4 else ()
        shape = tuple(table.get(size, size) for size in shape[: len(shape) - len(kept)]) + kept
        scale = 1 / np.sqrt(np.prod(shape[1:])) if len(shape) > 1 else 0.3
        state[key] = rng.normal(0, 1.5 * scale, shape)
    return state


@pytest.mark.parametrize("channels", [3, 1])
@pytest.mark.parametrize("size", [(16, 24), (120, 136)])
@pytest.mark.parametrize("net", ["qmar", "qmarg"])
def test_equals_a_second_implementation_on_official_names(net, size, channels):
    blocks = 1 if net == "qmar" else 2
    state = small_state(net, channels, width=3, blocks=1, global_width=2, hidden=5)
    if net == "qmar":
        network = QCN(channels, width=3, num_blocks=1)
        reference = qmar_by_numpy
    else:
        network = QGCN(channels, width=3, num_blocks=2, global_width=2, global_hidden=5)
        reference = qmarg_by_numpy
    ours = from_official({key: torch.from_numpy(value) for key, value in state.items()})
    network.double().eval().load_state_dict(ours)
    image = np.random.default_rng(6).random((channels, *size))
    tables = qtables_from_qf(17)
    quality = Quality.from_qtables([tables])
    with torch.no_grad():
        output = network(torch.from_numpy(image)[None], quality).image[0].numpy()
    # Pillow resizes in single precision.
    np.testing.assert_allclose(output, reference(image, tables, state, blocks), atol=1e-5)


@pytest.mark.parametrize("channels", [3, 1])
def test_maps_are_the_files_tables_tiled_and_scaled_like_pixels(photo, channels):
    pixels = photo if channels == 3 else photo[..., 0]
    tables = read_jpeg_info(compress_jpeg(pixels, qf=23)).qtables
    image = torch.rand(1, channels, 24, 40)
    maps = quantisation_maps(image, Quality.from_qtables([tables]))[0]
    assert maps.shape == (1 if channels == 1 else 2, 24, 40)
    np.testing.assert_allclose(maps, maps_by_numpy(tables, channels, 24, 40), atol=1e-6)
    # Step 1 is nearly black, as is pixel value 1; 255 is white.
    assert maps.min() >= normalised(1) - 1e-6 and maps.max() <= 1


def test_the_global_branch_sees_nearly_what_the_authors_resize_gives(photo):
    # Enlarged, as in training, and shrunk, as at test; root mean square in 8-bit steps. Shrunk
    # without antialiasing it would be nine.
    seen = []
    network = build_restorer("QGCN", "tiny").eval()
    network.global_branch.convs.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    large = np.tile(photo, (4, 3, 1))
    for pixels, bound in ((photo[:64, :64], 1.0), (large, 2.0)):
        image = pixels.astype(np.float32).transpose(2, 0, 1) / 255
        network(torch.from_numpy(image)[None], Quality.from_qf(20))
        theirs = normalised(resize(pixels, (112, 112), order=3) * 255)
        ours = seen.pop()[0].numpy().transpose(1, 2, 0)
        assert ours.shape == (112, 112, 3)
        assert np.sqrt(np.mean((ours - theirs) ** 2)) * 127.5 < bound
