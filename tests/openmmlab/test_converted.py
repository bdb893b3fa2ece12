"""Converted configs of real models: the same predictions either way, in batches, views and files.

The demo's models are YOLOX-nano and DeepLabV3-MobileNetV2, trained; they lie in the package.
"""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from mmengine.optim import build_optim_wrapper
from mmengine.registry import MODELS, DefaultScope
from mmengine.runner import Runner
from small_photos import cutting, write_small_photos
from torch.utils.data import get_worker_info

from jpeg_preproc.defaults import MODEL_RESTORER
from jpeg_preproc.demo import demo_configs
from jpeg_preproc.errors import PipelineError
from jpeg_preproc.jpeg import compress_jpeg
from jpeg_preproc.openmmlab import with_jpeg_restore
from jpeg_preproc.openmmlab.config import load_config
from jpeg_preproc.openmmlab.evaluation.network import load_model
from jpeg_preproc.restorers.engine import JpegRestorer

pytest.importorskip("mmdet")
pytest.importorskip("mmseg")

WAYS = ("pipeline", "preprocessor")
ROOT = Path(__file__).resolve().parents[2]
COMPRESS = dict(type="JpegCompress", qf=10)
VISUALIZERS = {"detector": "DetLocalVisualizer", "segmenter": "SegLocalVisualizer"}


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    return write_small_photos(tmp_path_factory.mktemp("demo") / "photos", [0, 8])


@pytest.fixture(scope="module")
def scene_file(tmp_path_factory):
    path = tmp_path_factory.mktemp("scene") / "scene.jpg"
    path.write_bytes(compress_jpeg(np.array(cutting(0))[:150, :203], 12))
    return path


def demo_config(name, root, **options):
    path, checkpoint = demo_configs()[name]
    config = load_config(path, options, root)
    config.test_dataloader.update(
        {"batch_size": 2, "num_workers": 0, "persistent_workers": False}
        | {key.removeprefix("test_dataloader."): value for key, value in options.items()}
    )
    if name == "detector":
        config.model.test_cfg.score_thr = 0.1  # where one more box does not turn on one rounding
    config.visualizer = dict(type=VISUALIZERS[name], vis_backends=[dict(type="LocalVisBackend")])
    return config, checkpoint


def predict(config, checkpoint, augmented=False):
    """Predictions of the config's own dataloader and ``test_step``."""
    with DefaultScope.overwrite_default_scope(config.default_scope), torch.no_grad():
        model = load_model(config, checkpoint, "cpu")
        if augmented:
            model = MODELS.build(dict(**config.tta_model, module=model))
            config.test_dataloader.dataset.pipeline = config.tta_pipeline
        loader = Runner.build_dataloader(config.test_dataloader, seed=0)
        return [sample for batch in loader for sample in model.test_step(batch)]


def assert_same_boxes(left, right, least=1, pixels=1e-3):
    assert len(left) == len(right)
    for one, other in zip(left, right, strict=True):
        assert len(one.pred_instances) >= least
        assert torch.equal(one.pred_instances.labels, other.pred_instances.labels)
        moved = (one.pred_instances.bboxes - other.pred_instances.bboxes).abs().max()
        assert moved < pixels
        assert (one.pred_instances.scores - other.pred_instances.scores).abs().max() < 1e-3
        assert one.ori_shape == other.ori_shape


def assert_same_masks(left, right, share=0.0):
    assert len(left) == len(right)
    for one, other in zip(left, right, strict=True):
        assert one.pred_sem_seg.data.unique().numel() > 1
        differ = one.pred_sem_seg.data != other.pred_sem_seg.data
        assert differ.float().mean() <= share


ASSERT_SAME = {"detector": assert_same_boxes, "segmenter": assert_same_masks}
# In a batch of these two images one value in 150,000 rounds otherwise, which moves a box.
BATCHED = {"detector": dict(pixels=0.02), "segmenter": dict(share=1e-4)}


@pytest.mark.parametrize("name", ASSERT_SAME)
def test_both_ways_give_the_same_predictions_and_not_those_of_jpeg(demo, name):
    config, checkpoint = demo_config(name, demo)
    for pipeline in (config.test_dataloader.dataset.pipeline, config.test_pipeline):
        pipeline.insert(1, COMPRESS)
    jpeg = predict(config, checkpoint)
    left, right = (predict(with_jpeg_restore(config, "base", way), checkpoint) for way in WAYS)
    ASSERT_SAME[name](left, right, **BATCHED[name])
    with pytest.raises((AssertionError, RuntimeError)):
        ASSERT_SAME[name](left, jpeg, **BATCHED[name])


@pytest.mark.parametrize("name", ASSERT_SAME)
def test_one_at_a_time_the_default_gives_the_same_predictions_too(demo, name):
    config, checkpoint = demo_config(name, demo)
    config.test_dataloader.dataset.pipeline.insert(1, COMPRESS)
    left, right = (with_jpeg_restore(config, where=way) for way in WAYS)
    right.model.data_preprocessor.batch_size = 1
    ASSERT_SAME[name](predict(left, checkpoint), predict(right, checkpoint))


def test_a_batch_rounds_hardly_a_value_otherwise():
    files = [compress_jpeg(np.array(cutting(index)), 10) for index in (0, 8)]
    restorer = JpegRestorer(MODEL_RESTORER)
    for alone, batched in zip(map(restorer, files), restorer(files), strict=True):
        off = np.abs(alone.image.astype(int) - batched.image)
        assert off.max() <= 1 and np.count_nonzero(off) <= 1e-4 * off.size


TTA = {
    "detector": dict(
        type="DetTTAModel", tta_cfg=dict(nms=dict(type="nms", iou_threshold=0.5), max_per_img=9)
    ),
    "segmenter": dict(type="SegTTAModel"),
}


@pytest.mark.parametrize("name", ASSERT_SAME)
def test_augmented_views_are_restored_once_and_merge_to_the_same(demo, name, monkeypatch):
    config, checkpoint = demo_config(name, demo)
    load, resize, *_ = config.test_pipeline
    pack = dict(type=config.test_pipeline[-1].type)  # with flip among its meta_keys
    flips = [dict(type="RandomFlip", prob=0.0), dict(type="RandomFlip", prob=1.0)]
    scales = [resize, dict(type="Resize", scale=(192, 144), keep_ratio=True)]
    augment = dict(type="TestTimeAug", transforms=[scales, flips, [pack]])
    config.tta_pipeline = [load, COMPRESS, augment]
    config.tta_model = TTA[name]
    restored = []
    original = JpegRestorer.restore

    def counting(self, images, *others, **named):
        restored.append(len(images))
        return original(self, images, *others, **named)

    monkeypatch.setattr(JpegRestorer, "restore", counting)
    results = []
    batch_size, tolerance = (2, BATCHED[name]) if name == "detector" else (1, {})
    for way in WAYS:
        converted = with_jpeg_restore(config, "nano-task", way)
        converted.test_dataloader.batch_size = batch_size
        results.append(predict(converted, checkpoint, augmented=True))
    ASSERT_SAME[name](*results, **tolerance)
    assert sum(restored) == 2 * len(results[0])


# --- inference functions, on files and on arrays


def inferencer(name, config, checkpoint):
    from mmdet.apis import DetInferencer
    from mmseg.apis import MMSegInferencer

    kind = DetInferencer if name == "detector" else MMSegInferencer
    return kind(config, str(checkpoint), device="cpu")


def infer(model, name, item):
    if name == "segmenter":
        return np.asarray(model(item)["predictions"])
    (found,) = model(item, no_save_vis=True)["predictions"]
    boxes = np.column_stack([found["bboxes"], found["scores"], found["labels"]])
    assert len(boxes)
    return boxes


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", ASSERT_SAME)
def test_inferencers_take_files_and_arrays(demo, scene_file, name):
    config, checkpoint = demo_config(name, demo)
    # The reference: the stock inferencer on what the restorer gives without OpenMMLab.
    stock, restorer = inferencer(name, config, checkpoint), JpegRestorer(MODEL_RESTORER)
    array = cv2.imread(str(scene_file))
    by_file, by_pixels = restorer(scene_file), restorer(np.ascontiguousarray(array[..., ::-1]))
    assert (by_file.source, by_pixels.source) == ("file", "estimated")
    expected = [infer(stock, name, image.image[..., ::-1].copy()) for image in (by_file, by_pixels)]
    for way in WAYS:
        model = inferencer(name, with_jpeg_restore(config, where=way), checkpoint)
        np.testing.assert_allclose(infer(model, name, str(scene_file)), expected[0], atol=1e-3)
        np.testing.assert_allclose(infer(model, name, array), expected[1], atol=1e-3)
        assert infer(model, name, array[..., 1].copy()).ndim == 2  # grey, in a colour pipeline


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("way", WAYS)
def test_inference_functions_take_files_and_arrays(demo, scene_file, weights, way):
    from mmdet.apis import inference_detector, init_detector
    from mmseg.apis import inference_model, init_model

    array = cv2.imread(str(scene_file))
    config, checkpoint = demo_config("detector", demo)
    model = init_detector(
        with_jpeg_restore(config, weights, way, qf=12), str(checkpoint), device="cpu"
    )
    found = [inference_detector(model, item) for item in (str(scene_file), array)]
    assert_same_boxes(found[:1], found[1:], least=0)
    config, checkpoint = demo_config("segmenter", demo)
    model = init_model(
        with_jpeg_restore(config, weights, way, qf=12), str(checkpoint), device="cpu"
    )
    masks = [inference_model(model, item).pred_sem_seg.data for item in (str(scene_file), array)]
    assert masks[0].shape == (1, 150, 203)
    assert torch.equal(*masks)


# --- training


def shapes(optimizer):
    """Shapes of all that an optimizer updates, in order."""
    return [value.shape for group in optimizer.param_groups for value in group["params"]]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("train", [False, True])
def test_a_training_leaves_the_restorer_out_of_optimizer_and_checkpoint(
    demo, weights, tmp_path, train
):
    dataset = dict(
        type="CocoDataset",
        data_root=str(demo),
        ann_file="instances.json",
        data_prefix=dict(img="images/"),
        pipeline=[
            dict(type="LoadImageFromFile"),
            dict(type="LoadAnnotations", with_bbox=True),
            dict(type="PackDetInputs"),
        ],
    )
    config, checkpoint = demo_config("detector", demo)
    config.train_dataloader = dict(
        batch_size=2, num_workers=0, sampler=dict(type="DefaultSampler"), dataset=dataset
    )
    config.train_pipeline = dataset["pipeline"]
    config.custom_hooks = []
    config.merge_from_dict(
        {
            "train_cfg.max_epochs": 1,
            "work_dir": str(tmp_path),
            "log_level": "ERROR",
            "experiment_name": f"restored_{train}",
            "default_hooks.logger": None,
            "default_hooks.checkpoint.interval": 1,
        }
    )
    for part in ("dataloader", "evaluator", "cfg"):
        config[f"val_{part}"] = config[f"test_{part}"] = None
    runner = Runner.from_cfg(with_jpeg_restore(config, weights, "preprocessor", train=train))
    model = runner.train()
    stock = load_model(config, checkpoint, "cpu")
    # mmengine adds a scalar of its own to some optimizers: the stock model's is what counts.
    expected = build_optim_wrapper(stock, config.optim_wrapper)
    assert shapes(runner.optim_wrapper) == shapes(expected)
    saved = torch.load(tmp_path / "epoch_1.pth", weights_only=False)
    assert stock.load_state_dict(saved["state_dict"], strict=True)
    assert saved["state_dict"].keys() == stock.state_dict().keys()
    restorer = model.data_preprocessor.engine.network
    fresh = JpegRestorer(weights).network
    assert all(map(torch.equal, restorer.parameters(), fresh.parameters()))


# --- bad input


@pytest.mark.filterwarnings("ignore")
def test_cuda_in_a_forked_worker_says_what_to_change(demo):
    config, _ = demo_config("detector", demo, **{"test_dataloader.num_workers": 1})
    converted = with_jpeg_restore(config, device="cuda:0")
    with DefaultScope.overwrite_default_scope("mmdet"):
        loader = Runner.build_dataloader(converted.test_dataloader)
        with pytest.raises(PipelineError, match=r"forked dataloader worker.*set num_workers=0"):
            next(iter(loader))
    assert get_worker_info() is None


# --- real images


@pytest.fixture
def models(shared_data):
    return shared_data / "models"


@pytest.mark.slow
@pytest.mark.parametrize("batch_size", [1, 5])
def test_ten_images_of_coco_have_the_same_boxes(shared_data, models, batch_size):
    config = load_config(
        ROOT / "configs/downstream/yolox_nano_coco.py", data_root=shared_data / "coco"
    )
    # One by one these two show what ten in batches do not: that a batch may be of one.
    indices = list(range(0, 180, 18)) if batch_size > 1 else [0, 18]
    config.test_dataloader.dataset.indices = indices
    left = with_jpeg_restore(config)
    right = with_jpeg_restore(config, where="preprocessor")
    for converted in (left, right):
        converted.test_dataloader.update(num_workers=0, persistent_workers=False)
    right.test_dataloader.batch_size = batch_size
    checkpoint = models / "yolox_nano_mmdet.pth"
    assert_same_boxes(predict(left, checkpoint), predict(right, checkpoint))


@pytest.mark.slow
def test_images_of_voc_have_the_same_masks(shared_data, models):
    config = load_config(
        ROOT / "configs/downstream/deeplabv3_mnv2_voc.py",
        data_root=shared_data / "voc/VOCdevkit/VOC2012",
    )
    config.test_dataloader.dataset.indices = [3, 70, 140]
    config.test_dataloader.update(num_workers=0, persistent_workers=False)
    checkpoint = models / "deeplabv3_mnv2_mmseg.pth"
    left, right = (predict(with_jpeg_restore(config, where=way), checkpoint) for way in WAYS)
    assert_same_masks(left, right)
