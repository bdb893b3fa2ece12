"""Feature networks against the stock models that they are made of.

The demo's models are YOLOX-nano and DeepLabV3-MobileNetV2, trained; they lie in the package.
"""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from mmengine.dataset import Compose, pseudo_collate
from mmengine.registry import MODELS, DefaultScope
from planted import plant

from jpeg_preproc.demo import demo_configs
from jpeg_preproc.errors import (
    JpegPreprocError,
    TrainingError,
    UntrustedCheckpointError,
    WeightsError,
)
from jpeg_preproc.evaluation.config import read_config
from jpeg_preproc.io import sha256_file
from jpeg_preproc.openmmlab import with_jpeg_restore
from jpeg_preproc.openmmlab.evaluation.network import build_model, load_model
from jpeg_preproc.openmmlab.training.features import OpenMMLabFeatures

pytest.importorskip("mmdet")
pytest.importorskip("mmseg")

CONFIGS = Path(__file__).resolve().parents[3] / "configs" / "downstream"
#: What a model's first layer gets of RGB in [0, 1], as its authors say.
NORMALISED = {
    "YOLOX": lambda image: image.flip(1) * 255,
    "EncoderDecoder": lambda image: (image * 255 - 128) / 128,
}
PACK = {"mmdet": "mmdet.PackDetInputs", "mmseg": "mmseg.PackSegInputs"}


def stock(config, checkpoint):
    settings = read_config(config)
    with DefaultScope.overwrite_default_scope(settings.default_scope):
        return load_model(settings, checkpoint, "cpu")


OUTPUTS = {"detector": ["backbone", "neck", "head"], "segmenter": ["backbone", "head"]}


@pytest.fixture(scope="module", params=OUTPUTS)
def demo(request):
    """Config and checkpoint of a model, the model as its package builds it, and its features."""
    paths = demo_configs()[request.param]
    return *paths, stock(*paths), OpenMMLabFeatures(*paths, outputs=OUTPUTS[request.param])


def frozen(network):
    return network.requires_grad_(False).eval()


def test_feature_maps_are_the_stock_models(demo):
    _, _, model, network = demo
    image = torch.rand(2, 3, 64, 96)
    with torch.no_grad():
        found = frozen(network)(image)
        inputs = NORMALISED[type(model).__name__](image)
        parts = {"backbone": model.backbone(inputs)}
        if model.with_neck:
            parts["neck"] = model.extract_feat(inputs)
        logits = model(inputs, None, mode="tensor")
    one = isinstance(logits, torch.Tensor)
    parts["head"] = [logits] if one else [x for part in logits for x in part]
    expected = [value for values in parts.values() for value in values]
    names = [name for name, values in parts.items() for _ in values]
    assert [name.split(".")[0] for name in found] == names
    for (name, value), wanted in zip(found.items(), expected, strict=True):
        torch.testing.assert_close(value, wanted, rtol=1e-4, atol=1e-4, msg=name)


def test_the_gradient_is_that_through_the_stock_model(demo):
    config, checkpoint, model, _ = demo
    network = frozen(OpenMMLabFeatures(config, checkpoint))
    image = torch.rand(1, 3, 64, 64)
    gradients = []
    for features in (
        lambda x: network(x).values(),
        lambda x: model.backbone(NORMALISED[type(model).__name__](x)),
    ):
        pixels = image.clone().requires_grad_(True)
        sum(value.square().mean() for value in features(pixels)).backward()
        gradients.append(pixels.grad)
    assert gradients[0].norm() > 0
    torch.testing.assert_close(*gradients, rtol=1e-3, atol=1e-5)


def normalised_by_stock(config, path):
    """What a stock test pipeline, without its resize, and data preprocessor make of a file."""
    settings = read_config(config)
    pack = dict(type=PACK[settings.default_scope], meta_keys=("img_path",))
    packed = Compose([dict(type="LoadImageFromFile"), pack])(
        dict(img_path=str(path), reduce_zero_label=False)
    )
    with DefaultScope.overwrite_default_scope(settings.default_scope):
        preprocessor = MODELS.build(settings.model.data_preprocessor)
    return preprocessor(pseudo_collate([packed]), False)["inputs"]


def assert_normalised_alike(network, config, path):
    bgr = cv2.imread(str(path))
    rgb = torch.from_numpy(np.ascontiguousarray(bgr[..., ::-1])).permute(2, 0, 1)[None] / 255
    found, expected = network.normalise(rgb), normalised_by_stock(config, path)
    height, width = rgb.shape[2:]
    torch.testing.assert_close(
        found[..., :height, :width], expected[..., :height, :width], rtol=0, atol=2e-4
    )
    assert found.flatten(2).std(dim=2).min() > 0.01
    return found, expected


def test_a_whole_image_is_normalised_as_by_the_stock_preprocessor(demo, photo_file):
    config, _, _, network = demo
    found, expected = assert_normalised_alike(network, config, photo_file)
    if "yolox" in config.name:  # pads to multiples of 32 alike
        assert found.shape == expected.shape == (1, 3, 128, 160)
        torch.testing.assert_close(found, expected, rtol=0, atol=2e-4)


def test_models_are_never_padded_to_a_fixed_size(demo, photo_file):
    config, checkpoint, _, _ = demo
    network = OpenMMLabFeatures(config, checkpoint)
    found, _ = assert_normalised_alike(network, config, photo_file)
    assert max(found.shape) <= 160
    features = network(torch.rand(1, 3, 96, 96))
    sides = [12, 6, 3] if "yolox" in config.name else [24, 12, 6, 3]
    assert [value.shape[-1] for value in features.values()] == sides


def test_a_scale_resizes_as_opencv_does(demo):
    config, checkpoint, _, plain = demo
    network = OpenMMLabFeatures(config, checkpoint, scale=0.5)
    image = torch.rand(1, 3, 64, 96)
    small = cv2.resize(image[0].permute(1, 2, 0).numpy(), (48, 32))
    expected = plain.normalise(torch.from_numpy(small).permute(2, 0, 1)[None])
    torch.testing.assert_close(network.normalise(image), expected, rtol=0, atol=1e-3)


def test_only_the_parts_that_are_looked_at_are_kept(demo):
    config, checkpoint, model, whole = demo
    network = OpenMMLabFeatures(config, checkpoint)
    count = sum(value.numel() for value in network.parameters())
    assert count == sum(value.numel() for value in model.backbone.parameters())
    assert count < sum(value.numel() for value in whole.parameters())


def test_the_record_names_the_checkpoint(demo):
    config, checkpoint, model, network = demo
    assert network.record == {
        "model": type(model).__name__,
        "config": config.name,
        "checkpoint": checkpoint.name,
        "sha256": sha256_file(checkpoint),
        "outputs": OUTPUTS["detector" if type(model).__name__ == "YOLOX" else "segmenter"],
        "scale": 1.0,
    }


@pytest.mark.parametrize(
    "move", [lambda net: net.to("meta"), lambda net: net._apply(lambda value: value.to("meta"))]
)
def test_the_preprocessor_follows_the_network(demo, move):
    config, checkpoint, _, _ = demo
    network = OpenMMLabFeatures(config, checkpoint)
    move(network)
    assert network.preprocessor.device.type == "meta"
    features = network(torch.rand(1, 3, 32, 32, device="meta"))
    assert {value.device.type for value in features.values()} == {"meta"}


def test_a_config_that_restores_its_images_gives_the_same(demo, tmp_path):
    config, checkpoint, _, _ = demo
    wrapped = tmp_path / "wrapped.py"
    with_jpeg_restore(config, where="preprocessor").dump(wrapped)
    assert "JpegRestore" in wrapped.read_text()
    image = torch.rand(1, 3, 64, 64)
    found, plain = (OpenMMLabFeatures(path, checkpoint)(image) for path in (wrapped, config))
    assert all(torch.equal(found[name], value) for name, value in plain.items())


# --- bad input

DETECTOR, CHECKPOINT = demo_configs()["detector"]


@pytest.mark.parametrize(
    "change,error,message",
    [
        (dict(checkpoint="none.pth"), WeightsError, r"none\.pth does not exist"),
        (dict(checkpoint=demo_configs()["segmenter"][1]), WeightsError, "not a checkpoint of"),
        (dict(config="none.py"), JpegPreprocError, r"none\.py is no file"),
        (dict(outputs=["backbon"]), TrainingError, r"'backbon'.*backbone, neck, head"),
        (dict(outputs="backbone"), TrainingError, "give a list"),
        (dict(outputs=[]), TrainingError, "give a list"),
        (dict(scale=0), TrainingError, "scale=0"),
    ],
)
def test_a_wrong_setting_is_named(change, error, message):
    with pytest.raises(error, match=message):
        OpenMMLabFeatures(**{"config": DETECTOR, "checkpoint": CHECKPOINT, **change})


MODEL = """
default_scope = "mmengine"
custom_imports = dict(imports=["toys"], allow_failed_imports=False)
model = dict(type="{}")
"""


@pytest.mark.parametrize(
    "text,message",
    [
        ("lr = 1\n", "has no model"),
        (MODEL.format("BrightBoxDetector"), "BrightBoxDetector has no backbone"),
    ],
)
def test_a_config_without_a_backbone_is_named(tmp_path, text, message):
    config, checkpoint = tmp_path / "mine.py", tmp_path / "mine.pth"
    config.write_text(text)
    torch.save({"state_dict": {"threshold": torch.tensor(1.0)}}, checkpoint)
    with pytest.raises(TrainingError, match=rf"mine\.py.*{message}"):
        OpenMMLabFeatures(config, checkpoint)


def saved(tmp_path, config, **options):
    """Random weights of a stock config's model; both paths."""
    settings = read_config(config, options)
    path = tmp_path / "mine.py"
    settings.dump(path)
    with DefaultScope.overwrite_default_scope(settings.default_scope):
        torch.save(build_model(settings).state_dict(), tmp_path / "mine.pth")
    return path, tmp_path / "mine.pth"


@pytest.mark.filterwarnings("ignore")
def test_a_part_that_a_model_lacks_or_that_cannot_stand_alone(tmp_path):
    paths = saved(tmp_path, CONFIGS / "deeplabv3_mnv2_voc.py")
    with pytest.raises(TrainingError, match="no neck; outputs may be backbone, head"):
        OpenMMLabFeatures(*paths, outputs=["neck"])
    assert "head" in OpenMMLabFeatures(*paths, outputs=["head"])(torch.rand(1, 3, 64, 64))
    options = {"model.decode_head.in_channels": 96}  # not what the backbone gives
    paths = saved(tmp_path, CONFIGS / "deeplabv3_mnv2_voc.py", **options)
    with pytest.raises(TrainingError, match="MobileNetV2 → ASPPHead does not take"):
        OpenMMLabFeatures(*paths, outputs=["head"])
    assert OpenMMLabFeatures(*paths).outputs == ("backbone",)  # which does not need the head


def test_a_checkpoint_that_would_run_code_is_refused_unless_trusted(tmp_path):
    config, checkpoint = demo_configs()["detector"]
    mark = tmp_path / "code has run"
    whole = torch.load(checkpoint, weights_only=True)
    path = plant(tmp_path / "planted.pth", mark, checkpoint=whole)
    settings = read_config(config)
    with pytest.raises(UntrustedCheckpointError, match=r"posix\.system.*trust_checkpoint=True"):
        OpenMMLabFeatures(config, path)
    with (
        DefaultScope.overwrite_default_scope(settings.default_scope),
        pytest.raises(UntrustedCheckpointError, match=r"posix\.system"),
    ):
        load_model(settings, path, "cpu")
    assert not mark.exists()
    # As a config of a training sets it.
    built = MODELS.build(
        dict(type="OpenMMLabFeatures", config=config, checkpoint=path, trust_checkpoint=True)
    )
    assert mark.exists() and built.record["checkpoint"] == "planted.pth"
