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
MEAN = torch.tensor([123.675, 116.28, 103.53])[:, None, None]
STD = torch.tensor([58.395, 57.12, 57.375])[:, None, None]
PACK = {"mmdet": "mmdet.PackDetInputs", "mmseg": "mmseg.PackSegInputs"}


def stock(config, checkpoint):
    settings = read_config(config)
    with DefaultScope.overwrite_default_scope(settings.default_scope):
        return load_model(settings, checkpoint, "cpu")


@pytest.fixture(scope="module", params=["detector", "segmenter"])
def demo(request):
    """Config and checkpoint of a model, the model as its package builds it, and its features."""
    paths = demo_configs()[request.param]
    return *paths, stock(*paths), OpenMMLabFeatures(*paths, outputs=["backbone", "neck", "head"])


def frozen(network):
    return network.requires_grad_(False).eval()


def test_feature_maps_are_the_stock_models(demo):
    _, _, model, network = demo
    image = torch.rand(2, 3, 64, 96)
    with torch.no_grad():
        found = frozen(network)(image)
        inputs = (image * 255 - MEAN) / STD
        backbone = model.backbone(inputs)
        neck = model.extract_feat(inputs)
        logits = model(inputs, None, mode="tensor")
    head = [logits] if isinstance(logits, torch.Tensor) else [x for part in logits for x in part]
    expected = [*backbone, *neck, *head]
    assert [name.split(".")[0] for name in found] == [
        *["backbone"] * len(backbone),
        *["neck"] * len(neck),
        *["head"] * len(head),
    ]
    for (name, value), wanted in zip(found.items(), expected, strict=True):
        torch.testing.assert_close(value, wanted, rtol=1e-4, atol=1e-4, msg=name)


def test_the_gradient_is_that_through_the_stock_model(demo):
    config, checkpoint, model, _ = demo
    network = frozen(OpenMMLabFeatures(config, checkpoint))
    image = torch.rand(1, 3, 64, 64)
    gradients = []
    for features in (
        lambda x: network(x).values(),
        lambda x: model.backbone((x * 255 - MEAN) / STD),
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
    if "detector" in config.name:  # pads to multiples of 32 alike
        assert found.shape == expected.shape == (1, 3, 128, 160)
        torch.testing.assert_close(found, expected, rtol=0, atol=2e-4)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", ["yolox_nano_coco", "deeplabv3_mnv2_voc"])
def test_real_models_are_normalised_alike_and_never_padded_to_a_fixed_size(
    name, shared_data, photo_file
):
    weights = {"yolox": "yolox_nano_mmdet.pth", "deepl": "deeplabv3_mnv2_mmseg.pth"}[name[:5]]
    config = CONFIGS / f"{name}.py"
    network = OpenMMLabFeatures(config, shared_data / "models" / weights)
    found, _ = assert_normalised_alike(network, config, photo_file)
    assert max(found.shape) <= 160
    assert network.record["sha256"] == sha256_file(shared_data / "models" / weights)
    features = network(torch.rand(1, 3, 96, 96))
    sides = {"yolox": [12, 6, 3], "deepl": [24, 12, 6, 3]}[name[:5]]
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
        "outputs": ["backbone", "neck", "head"],
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
        (dict(config="none.py"), JpegPreprocError, r"none\.py cannot be read"),
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
