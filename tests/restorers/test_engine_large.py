"""Large images: pieces of uint8 give what the whole image in float gave, and are reported."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from stirring import stir
from torch.nn import functional as F

from jpeg_preproc import JpegRestorer, build_restorer
from jpeg_preproc.errors import DeviceError, ImageReadError
from jpeg_preproc.jpeg import qtables_from_qf, roundtrip
from jpeg_preproc.restorers import Quality
from jpeg_preproc.restorers.tiling import run_tiled


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    built = build_restorer("GridUNet", "nano")
    stir(built.tail)
    return built.eval()


@torch.inference_mode()
def restored_in_float(network, images, tile):
    """The whole batch as float from beginning to end, in colour, at QF 20."""
    batch = torch.from_numpy(np.stack(images).transpose(0, 3, 1, 2).copy()).float() / 255
    height, width = batch.shape[-2:]
    multiple, radius = network.spec.size_multiple, network.receptive_radius
    padding = (0, -width % multiple, 0, -height % multiple)
    padded = F.pad(batch, padding, mode="replicate")
    quality = Quality.from_qtables([qtables_from_qf(20)] * len(images))
    result = run_tiled(lambda piece: network(piece, quality).image, padded, tile, radius)
    pixels = (result[..., :height, :width].clamp(0, 1) * 255).round().to(torch.uint8)
    return list(pixels.permute(0, 2, 3, 1).numpy())


@pytest.mark.parametrize("size", [(240, 368), (235, 361)])
@pytest.mark.parametrize("tile", [64, 1024])
@pytest.mark.parametrize("count", [1, 2])
def test_pieces_of_uint8_equal_the_whole_in_float(network, photo, size, tile, count):
    large = np.tile(photo, (2, 2, 1))[: size[0], : size[1]]
    images = [roundtrip(image, qf=20) for image in (large, large[::-1])][:count]
    expected = restored_in_float(network, images, tile)
    results = JpegRestorer(network, tile=tile)(images, qf=20)
    for result, image in zip(results, expected, strict=True):
        # The order of sums differs: a value within 1e-6 of a half may round either way.
        off = np.abs(result.image.astype(int) - image)
        assert off.max() <= 1 and (off > 0).mean() < 1e-4


def test_only_tiles_are_float(network, photo, monkeypatch):
    sizes = []
    forward = network.forward

    def watched(image, quality=None):
        sizes.append(image.numel())
        return forward(image, quality)

    monkeypatch.setattr(network, "forward", watched)
    image = np.tile(photo, (5, 4, 1))
    JpegRestorer(network, tile=64)(image, qf="blind")
    side = 64 + 2 * math.ceil(network.receptive_radius / 16) * 16
    assert 0 < max(sizes) <= 3 * side**2 < image.size


def test_tiles_are_reported(network, photo):
    image = np.tile(photo, (3, 2, 1))
    calls = []
    JpegRestorer(network, tile=64)(image, qf=20, on_tile=lambda *call: calls.append(call))
    total = -(-image.shape[0] // 64) * -(-image.shape[1] // 64)
    assert calls == [(done, total) for done in range(1, total + 1)]
    calls.clear()
    JpegRestorer(network)([photo, photo], qf=20, on_tile=lambda *call: calls.append(call))
    assert calls == [(1, 1)]


def test_a_tuple_is_a_batch_and_a_stack_of_pixels_is_not(network, photo):
    restorer = JpegRestorer(network)
    first, second = restorer((photo, photo[:64]), qf=20)
    assert (first.image.shape, second.image.shape) == (photo.shape, photo[:64].shape)
    with pytest.raises(ImageReadError, match="or a list of these"):
        restorer(np.stack([photo, photo]))


@pytest.mark.parametrize(
    "device,mend",
    [
        ("gpu", "give 'cpu' or 'cuda:0'"),
        pytest.param(
            "cuda",
            "set device='cpu'",
            marks=pytest.mark.skipif(torch.cuda.is_available(), reason="there is CUDA"),
        ),
    ],
)
def test_a_device_that_is_not_there_names_the_mend(network, device, mend):
    with pytest.raises(DeviceError, match=mend):
        JpegRestorer(network, device=device)
