"""The segmenter's resampling against torch's pooling, its file, and what it makes of VOC."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from planted import plant
from pretended_cuda import pretended_cuda
from pretended_cuda import skip_without as pretended
from torch import nn
from torch.nn import functional as F

from jpeg_preproc.errors import TrainingError, UntrustedCheckpointError, WeightsError
from jpeg_preproc.evaluation.conditions import Condition, RestoreSettings
from jpeg_preproc.evaluation.onnx import OnnxTask
from jpeg_preproc.training.dicenet import DiCENet, DiCENetFeatures, _resampled, load_dicenet

CONFIGS = Path(__file__).resolve().parents[2] / "configs" / "downstream"


@pytest.fixture
def checkpoint(tmp_path):
    """Random weights, of fewer channels and another size of image than the authors'."""
    network = DiCENet(channels=56, classes=11, size=64)
    path = tmp_path / "dicenet.pth"
    torch.save(network.state_dict(), path)
    return path


@pytest.mark.parametrize("wanted", [1, 5, 12, 13, 30])
@pytest.mark.parametrize("axis", [2, 3])
def test_places_are_made_as_torchs_pooling_and_interpolation_make_them(axis, wanted):
    features = torch.randn(2, 3, 13, 13)
    size = [13, 13]
    size[axis - 2] = wanted
    if wanted > 13:
        expected = F.interpolate(features, size, mode="bilinear", align_corners=True)
    else:
        expected = F.adaptive_avg_pool2d(features, size)
    torch.testing.assert_close(_resampled(features, axis, wanted), expected)


def test_the_file_says_size_and_classes(checkpoint):
    network = load_dicenet(checkpoint)
    assert not network.training
    assert network(torch.rand(1, 3, 96, 128)).shape == (1, 11, 48, 64)
    unit = network.base_net["level4"][1].layer_right[1]
    assert unit.conv_height.in_channels == unit.conv_width.in_channels == 64 // 16


@pytest.mark.parametrize("size", [(64, 96), (50, 70), (200, 32)])
def test_features_of_an_image_have_a_gradient_and_the_file_goes_on_record(checkpoint, size):
    network = DiCENetFeatures(checkpoint).eval()
    image = torch.rand(2, 3, *size, requires_grad=True)
    features = network(image)
    assert [value.shape[1] for value in features.values()] == [56, 112, 48, 11]
    for value, share in zip(features.values(), (8, 16, 8, 2), strict=True):
        assert value.shape[2:] == tuple(-(-side // share) for side in size)
    sum(value.square().mean() for value in features.values()).backward()
    assert image.grad.isfinite().all() and image.grad.abs().sum() > 0
    assert network.record["checkpoint"] == "dicenet.pth" and len(network.record["sha256"]) == 64


def test_a_reduced_image_is_looked_at_as_one_given_reduced(checkpoint):
    image = torch.rand(1, 3, 64, 96)
    # Of two, bilinear without a filter is the mean of 2 × 2.
    expected = DiCENetFeatures(checkpoint)(F.avg_pool2d(image, 2))
    torch.testing.assert_close(DiCENetFeatures(checkpoint, scale=0.5)(image), expected)
    with pytest.raises(TrainingError, match="scale=0"):
        DiCENetFeatures(checkpoint, scale=0)


@pytest.mark.parametrize("content", [b"", b"not a checkpoint", "other", "absent", "incomplete"])
def test_a_file_of_something_else_is_refused(tmp_path, checkpoint, content):
    path = tmp_path / "x.pth"
    if content == "other":
        torch.save(nn.Conv2d(3, 3, 3).state_dict(), path)
    elif content == "incomplete":
        state = torch.load(checkpoint, weights_only=True)
        state.pop("bu_br_64x64.1.weight")
        torch.save(state, path)
    elif content != "absent":
        path.write_bytes(content)
    with pytest.raises(WeightsError, match=r"x\.pth (holds no|does not).*sacmehta/EdgeNets"):
        DiCENetFeatures(path)


def test_a_file_that_would_run_code_is_refused(tmp_path):
    path, proof = tmp_path / "x.pth", tmp_path / "ran"
    plant(path, proof)
    with pytest.raises(UntrustedCheckpointError):
        DiCENetFeatures(path)
    assert not proof.exists()


@pretended
def test_on_a_gpu_nothing_stays_on_the_cpu():
    network = DiCENet(channels=56, classes=11, size=64).eval()
    with pretended_cuda():
        found = network.to("cuda").levels(torch.rand(1, 3, 96, 160, device="cuda"))
        assert {value.device.type for value in found.values()} == {"cuda"}


@pytest.mark.parametrize(("size", "channels"), [("1.0", 116), ("1.25", 144)])
def test_the_authors_weights_know_voc(shared_data, size, channels):
    network = load_dicenet(shared_data / f"models/train_only/dicenet_s_{size}_pascal_384x384.pth")
    assert network.eff_pool_16x16.projection_layer.cbr[0].in_channels == 2 * channels
    folder = shared_data / "voc/VOCdevkit/VOC2012"
    names = (folder / "ImageSets/Segmentation/val.txt").read_text().split()[:8]
    right = total = 0
    for name in names:
        with Image.open(folder / f"JPEGImages/{name}.jpg") as image:
            pixels = np.asarray(image.convert("RGB").resize((384, 384), Image.Resampling.BILINEAR))
        with Image.open(folder / f"SegmentationClass/{name}.png") as mask:
            truth = np.asarray(mask.resize((384, 384), Image.Resampling.NEAREST))
        with torch.inference_mode():
            logits = network(torch.from_numpy(pixels.copy()).permute(2, 0, 1)[None] / 255)
        found = F.interpolate(logits, (384, 384), mode="bilinear", align_corners=True)[0].argmax(0)
        right += ((found.numpy() == truth) & (truth != 255)).sum()
        total += (truth != 255).sum()
    # Published: 66 to 68 % of mean IoU. A network of other weights has background right at best.
    assert right / total > 0.85


@pytest.mark.slow
def test_as_onnx_it_measures_by_the_config_for_it(shared_data, tmp_path):
    pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    network = load_dicenet(shared_data / "models/train_only/dicenet_s_1.0_pascal_384x384.pth")
    path = tmp_path / "dicenet.onnx"
    image = torch.zeros(1, 3, 384, 384)
    torch.onnx.export(network, (image,), path, dynamo=True, verbose=False)
    task = OnnxTask(
        CONFIGS / "onnx_dicenet_voc.py",
        path,
        tmp_path,
        data_root=shared_data / "voc/VOCdevkit/VOC2012",
        limit=8,
    )
    assert task.measure(Condition(), RestoreSettings(), "original").value > 50
