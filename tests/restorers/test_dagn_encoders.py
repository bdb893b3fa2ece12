from __future__ import annotations

import pytest
import torch
from network_helpers import count, on_meta
from stirring import stir
from torch import nn

from jpeg_preproc.restorers.dagn_encoders import (
    Discriminator,
    FeatureDecoder,
    QualityPredictor,
    ResNetEncoder,
)

# Size: networks.md, section 4.4.


def test_parameters_of_the_parts_that_only_training_needs():
    decoder = on_meta(FeatureDecoder)
    assert count(decoder) == pytest.approx(24.88e6, abs=5e3)
    assert count(on_meta(Discriminator)) == 2048 * 2048 + 2048 + 2048 + 1  # 4.20 M
    assert count(on_meta(QualityPredictor)) == 2048 * 2048 + 2048 + 2048 * 100 + 100  # 4.40 M
    layers = [m for m in decoder.modules() if isinstance(m, nn.Conv2d | nn.ConvTranspose2d)]
    kinds = "".join("t" if isinstance(layer, nn.ConvTranspose2d) else "c" for layer in layers)
    assert kinds == "ccccc" + "ct" * 5


# The encoder against torchvision.


def test_the_encoder_has_the_size_of_torchvisions_resnet50():
    models = pytest.importorskip("torchvision.models")
    reference = on_meta(models.resnet50)
    assert count(on_meta(ResNetEncoder)) == count(reference) - count(reference.fc)


def test_the_encoder_is_torchvisions_resnet_with_the_last_stride_one():
    resnet = pytest.importorskip("torchvision.models.resnet")
    torch.manual_seed(0)
    reference = resnet.ResNet(resnet.Bottleneck, [1, 2, 1, 1])
    reference.layer4[0].conv2.stride = reference.layer4[0].downsample[0].stride = (1, 1)
    reference.avgpool = reference.fc = nn.Identity()
    stir(reference, 0.05)
    encoder = ResNetEncoder(blocks=(1, 2, 1, 1))
    encoder.load_state_dict(reference.state_dict())
    image = torch.rand(1, 3, 48, 32)
    with torch.no_grad():
        features = encoder.eval()(image)
        wanted = reference.eval()(image)
    assert features.shape == (1, 2048, 3, 2)
    torch.testing.assert_close(features.flatten(1), wanted)


# Training, stage 1.


@torch.no_grad()
def test_the_parts_of_stage_one_fit_together():
    torch.manual_seed(0)
    encoder, decoder = ResNetEncoder(4, (1, 1, 1, 1)), FeatureDecoder(128, 16)
    image = torch.rand(2, 3, 48, 32)
    features = encoder(image)
    assert features.shape == (2, encoder.out_channels, 3, 2) == (2, 128, 3, 2)
    assert decoder(features).shape == image.shape
    pooled = features.mean((2, 3))
    judge, predictor = Discriminator(128), QualityPredictor(128)
    first, _, last = judge.layers
    hidden = pooled @ first.weight.T + first.bias
    hidden = torch.where(hidden > 0, hidden, 0.2 * hidden)
    torch.testing.assert_close(judge(features), (hidden @ last.weight.T + last.bias)[:, 0])
    first, _, last = predictor.layers
    hidden = (pooled @ first.weight.T + first.bias).clamp_min(0)
    torch.testing.assert_close(predictor(features), hidden @ last.weight.T + last.bias)
    assert predictor(features).shape == (2, 100)


def test_a_decoder_too_narrow_to_halve_is_refused():
    with pytest.raises(ValueError, match="multiple of 8"):
        FeatureDecoder(128, 12)
