"""The data preprocessors against the stock ones behind ``JpegRestore``, which have other tests."""

from __future__ import annotations

import copy
import pickle

import cv2
import numpy as np
import pytest
import torch
from mmengine.dataset import Compose, pseudo_collate
from mmengine.model import BaseDataPreprocessor, BaseModel
from mmengine.registry import MODELS, DefaultScope
from mmengine.runner.checkpoint import load_state_dict
from PIL import Image
from torch import nn

from jpeg_preproc.errors import PipelineError, QualityError, UnknownRestorerError
from jpeg_preproc.jpeg import compress_jpeg
from jpeg_preproc.openmmlab import JpegRestoreDetDataPreprocessor

pytest.importorskip("mmdet")
pytest.importorskip("mmseg")

LOAD = dict(type="LoadImageFromFile")
DET = dict(type="mmdet.PackDetInputs")
SEG = dict(type="mmseg.PackSegInputs")
NORMAL = dict(mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375], bgr_to_rgb=True)
DET_STOCK = dict(type="mmdet.DetDataPreprocessor", pad_size_divisor=32, **NORMAL)
SEG_STOCK = dict(type="mmseg.SegDataPreProcessor", **NORMAL)


@pytest.fixture
def files(tmp_path, photo):
    """A batch as mixed as a folder of a user's images: sizes, formats, orientation, colour."""
    contents = {
        "a.jpg": compress_jpeg(photo[:103, :157], 20),
        "b.jpg": compress_jpeg(photo[::-1][:103, :157], 35, subsampling="4:4:4"),
        "turned.jpg": compress_jpeg(photo[:75, :140], 15, orientation=6),
        "grey.jpg": compress_jpeg(photo[:, :, 1], 10),
    }
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
    Image.fromarray(photo[:64, :96]).save(tmp_path / "no_tables.png")
    return [tmp_path / name for name in [*contents, "no_tables.png"]]


def record(path, **extra):
    return dict(img_path=str(path), img_id=3, sample_idx=1, **extra)


def by_transform(records, rest, stock, weights, before=(), training=False, **restore):
    restoring = dict(type="JpegRestore", restorer=weights, **restore)
    pipeline = Compose([LOAD, *before, restoring, *rest])
    batch = pseudo_collate([pipeline(copy.deepcopy(one)) for one in records])
    return MODELS.build(stock)(batch, training)


def by_preprocessor(
    records, rest, stock, weights, before=(), training=False, consistent=False, **restore
):
    defer = dict(type="JpegDefer", transforms=rest, consistent=consistent)
    pipeline = Compose([LOAD, *before, defer])
    batch = pseudo_collate([pipeline(copy.deepcopy(one)) for one in records])
    kind = "Det" if "Det" in stock["type"] else "Seg"
    return MODELS.build(
        dict(
            type=f"JpegRestore{kind}DataPreprocessor",
            data_preprocessor=stock,
            restorer=weights,
            **restore,
        )
    )(batch, training)


def assert_same(left, right):
    """The same pixels to a rounding of one in the restored ones, and the same of all else."""
    assert left["inputs"].shape == right["inputs"].shape
    level = 1.001 / min(NORMAL["std"])
    assert (left["inputs"] - right["inputs"]).abs().max() <= level
    assert (left["inputs"] != right["inputs"]).float().mean() < 1e-3
    for one, other in zip(left["data_samples"], right["data_samples"], strict=True):
        assert one.keys() == other.keys()
        assert sorted(one.metainfo) == sorted(other.metainfo)
        for key, value in one.metainfo.items():
            np.testing.assert_equal(other.metainfo[key], value)


@pytest.mark.parametrize(
    "steps",
    [
        [],
        [dict(type="Resize", scale=(133, 80), keep_ratio=True)],
        [dict(type="Resize", scale=(96, 64), keep_ratio=False)],
        [dict(type="Resize", scale=64)],
        [dict(type="Resize", scale_factor=(1.5, 0.75), interpolation="area")],
        [dict(type="Resize", scale_factor=0.6, keep_ratio=True, interpolation="lanczos")],
        [dict(type="Resize", scale=(200, 200), keep_ratio=True, backend="pillow")],
        [dict(type="mmdet.Resize", scale=96, keep_ratio=True), dict(type="RandomFlip", prob=1.0)],
        [
            dict(type="mmdet.FixScaleResize", scale=(133, 80), keep_ratio=True),
            dict(type="Pad", pad_to_square=True, pad_val=dict(img=(114.0, 114.0, 114.0))),
        ],
    ],
)  # fmt: skip
def test_a_detectors_batch_is_that_of_the_transform(files, weights, steps):
    keys = ("img_id", "img_path", "ori_shape", "img_shape", "scale_factor", "flip",
            "flip_direction", "pad_shape", "keep_ratio", "jpeg_quality")  # fmt: skip
    rest = [*steps, dict(type="mmdet.PackDetInputs", meta_keys=keys)]
    records = [record(path) for path in files]
    expected = by_transform(records, rest, DET_STOCK, weights)
    result = by_preprocessor(records, rest, DET_STOCK, weights)
    assert_same(result, expected)
    sources = [sample.jpeg_quality["source"] for sample in result["data_samples"]]
    assert sources == ["file"] * 4 + ["estimated"]


def test_the_restorer_of_these_tests_changes_what_a_detector_sees(files, weights):
    records = [record(files[0])]
    result = by_preprocessor(records, [DET], DET_STOCK, weights)["inputs"]
    plain = pseudo_collate([Compose([LOAD, DET])(records[0])])
    assert (result - MODELS.build(DET_STOCK)(plain)["inputs"]).abs().max() > 0.1


@pytest.mark.parametrize("settings", [dict(qf=20), dict(qf="blind"), dict(strength=0.5)])
def test_a_setting_can_be_given(files, weights, settings):
    records = [record(path) for path in files]
    result = by_preprocessor(records, [DET], DET_STOCK, weights, **settings)
    assert_same(result, by_transform(records, [DET], DET_STOCK, weights, **settings))
    automatic = by_preprocessor(records, [DET], DET_STOCK, weights)
    assert (result["inputs"] != automatic["inputs"]).any()


def test_consistent_results_are_those_of_the_transform(files, weights):
    records = [record(path) for path in files]
    result = by_preprocessor(records, [DET], DET_STOCK, weights, consistent=True)
    assert_same(result, by_transform(records, [DET], DET_STOCK, weights, consistent=True))
    without = by_preprocessor(records, [DET], DET_STOCK, weights)["inputs"]
    changed = (result["inputs"] != without).flatten(1).any(1).tolist()
    assert changed == [True, True, True, True, False]


def test_compression_before_it_is_what_it_goes_by(files, weights):
    records, compress = [record(path) for path in files], dict(type="JpegCompress", qf=7)
    meta = ("img_path", "jpeg_quality")
    rest = [dict(type="mmdet.PackDetInputs", meta_keys=meta)]
    result = by_preprocessor(records, rest, DET_STOCK, weights, before=[compress])
    assert_same(result, by_transform(records, rest, DET_STOCK, weights, before=[compress]))
    assert {sample.jpeg_quality["qf"] for sample in result["data_samples"]} == {7}


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("annotations_first", [False, True])
def test_boxes_and_masks_are_where_the_stock_pipeline_leaves_them(
    files, weights, annotations_first, training
):
    resize = dict(type="mmdet.Resize", scale=(64, 64), keep_ratio=True)
    load = dict(type="mmdet.LoadAnnotations", with_bbox=True, with_mask=True)
    rest = [load, resize, DET] if annotations_first else [resize, load, DET]
    outline = [10.0, 20, 60, 20, 60, 70, 10, 70]
    instance = dict(bbox=[10, 20, 60, 70], bbox_label=1, ignore_flag=0, mask=[outline])
    records = [record(path, instances=[instance]) for path in files[:2]]
    result = by_preprocessor(records, rest, DET_STOCK, weights, training=training)
    expected = by_transform(records, rest, DET_STOCK, weights, training=training)
    assert_same(result, expected)
    for one, other in zip(result["data_samples"], expected["data_samples"], strict=True):
        truth = one.gt_instances
        assert torch.equal(truth.bboxes, other.gt_instances.bboxes)
        assert (truth.masks.to_ndarray() == other.gt_instances.masks.to_ndarray()).all()
        moved = truth.bboxes[0].tolist() != [10, 20, 60, 70]
        assert moved == annotations_first


@pytest.mark.parametrize("scale", [(72, 40), (40, 72)])
def test_a_segmenters_batch_is_that_of_the_transform(files, tmp_path, weights, scale):
    mask = np.random.default_rng(0).integers(0, 2, (103, 157), np.uint8)
    cv2.imwrite(str(tmp_path / "mask.png"), mask)
    extra = dict(seg_map_path=str(tmp_path / "mask.png"), reduce_zero_label=False, seg_fields=[])
    records = [record(path, **extra) for path in files[:2]]
    resize = dict(type="mmseg.Resize", scale=scale, keep_ratio=True)
    rest = [resize, dict(type="mmseg.LoadAnnotations"), SEG]
    stock = {**SEG_STOCK, "test_cfg": dict(size_divisor=32)}
    result = by_preprocessor(records, rest, stock, weights)
    assert_same(result, by_transform(records, rest, stock, weights))
    for sample in result["data_samples"]:
        np.testing.assert_array_equal(sample.gt_sem_seg.data[0], mask)


# --- bad input


def test_a_segmenters_batch_of_mixed_sizes_says_what_to_set(files, weights):
    records = [record(files[0]), record(files[2])]
    with pytest.raises(PipelineError, match=r"\(103, 157\) of .*a\.jpg.*batch_size=1"):
        by_preprocessor(records, [SEG], SEG_STOCK, weights)
    resize = dict(type="Resize", scale=(40, 32))
    records = [record(path) for path in files]
    expected = by_transform(records, [resize, SEG], SEG_STOCK, weights)
    assert_same(by_preprocessor(records, [resize, SEG], SEG_STOCK, weights), expected)


def test_grey_pixels_for_a_colour_model_say_what_to_set(files, weights):
    load = dict(type="LoadImageFromFile", color_type="grayscale")
    item = Compose([load, dict(type="JpegDefer", transforms=[DET])])(record(files[3]))
    model = JpegRestoreDetDataPreprocessor(DET_STOCK, restorer=weights)
    with pytest.raises(PipelineError, match=r"grey\.jpg has 1 channel.*color_type='color'"):
        model(pseudo_collate([item]))
    grey = JpegRestoreDetDataPreprocessor(
        {"type": "mmdet.DetDataPreprocessor", "mean": [100.0], "std": [50.0]}, restorer=weights
    )
    assert grey(pseudo_collate([item]))["inputs"].shape == (1, 1, 120, 184)


def test_images_that_were_resized_already_are_refused_but_for_training(files, weights):
    resize = dict(type="Resize", scale=(64, 64))
    batch = pseudo_collate([Compose([LOAD, resize, DET])(record(files[0]))])
    model = JpegRestoreDetDataPreprocessor(DET_STOCK, restorer=weights)
    with pytest.raises(PipelineError, match="put JpegDefer directly behind LoadImageFromFile"):
        model(copy.deepcopy(batch))
    trained = model(copy.deepcopy(batch), training=True)
    assert torch.equal(trained["inputs"], MODELS.build(DET_STOCK)(batch, True)["inputs"])


def test_bad_settings_are_refused_at_construction(weights):
    with pytest.raises(UnknownRestorerError, match="no_such_restorer"):
        JpegRestoreDetDataPreprocessor(DET_STOCK, restorer="no_such_restorer")
    with pytest.raises(QualityError):
        JpegRestoreDetDataPreprocessor(DET_STOCK, restorer=weights, qf=0)
    with pytest.raises(PipelineError, match="fp32, bf16, fp16"):
        JpegRestoreDetDataPreprocessor(DET_STOCK, restorer=weights, dtype="fp8")


@pytest.mark.parametrize(
    "scope,name,stock",
    [
        ("mmdet", "JpegRestoreDetDataPreprocessor", "DetDataPreprocessor"),
        ("mmseg", "JpegRestoreSegDataPreprocessor", "SegDataPreProcessor"),
    ],
)
def test_child_registries_find_it_and_the_stock_one_is_the_default(scope, name, stock, weights):
    registry = __import__(f"{scope}.registry", fromlist=["MODELS"]).MODELS
    with DefaultScope.overwrite_default_scope(scope):
        built = registry.build(dict(type=name, restorer=weights))
    assert (type(built).__name__, type(built.stock).__name__) == (name, stock)


# --- the restorer's weights


@MODELS.register_module(force=True)
class PreprocessorWithState(BaseDataPreprocessor):
    """A stock one whose buffer is saved with the model, as mmdet's are not."""

    def __init__(self):
        super().__init__()
        self.register_buffer("seen", torch.tensor(5.0))


class Model(BaseModel):
    def __init__(self, data_preprocessor):
        super().__init__(data_preprocessor)
        self.layer = nn.Conv2d(3, 2, 1)

    def forward(self, inputs, data_samples=None, mode="tensor"):
        return [self.layer(image[None].to(self.layer.weight.dtype)) for image in inputs]


def model_with(weights, stock=DET_STOCK):
    kind = dict(type="JpegRestoreDetDataPreprocessor", restorer=weights, data_preprocessor=stock)
    return Model(kind)


@pytest.mark.parametrize("stock", [DET_STOCK, dict(type="PreprocessorWithState")])
def test_its_weights_are_no_part_of_the_model(weights, stock):
    model, plain = model_with(weights, stock), Model(stock)
    assert [name for name, _ in model.named_parameters()] == ["layer.weight", "layer.bias"]
    assert len(list(model.parameters())) == 2
    assert model.state_dict().keys() == plain.state_dict().keys()
    assert not any("engine" in name for name, _ in model.named_modules())
    saved = {key: value + 1 for key, value in plain.state_dict().items()}
    model.load_state_dict(saved, strict=True)
    assert all(torch.equal(value, saved[key]) for key, value in model.state_dict().items())
    load_state_dict(model, plain.state_dict(), strict=True)  # mmengine's own
    assert torch.equal(model.layer.weight, plain.layer.weight)
    with pytest.raises(RuntimeError, match="Unexpected key"):
        model.load_state_dict({**saved, "data_preprocessor.absent": torch.ones(1)}, strict=True)


def network_of(model):
    return model.data_preprocessor.engine.network


def batch_of(path, rest=DET):
    pipeline = Compose([LOAD, dict(type="JpegDefer", transforms=[rest])])
    return pseudo_collate([pipeline(record(path))])


def test_its_weights_follow_the_models_precision(files, weights):
    model, batch = model_with(weights), batch_of(files[0])
    full = model.data_preprocessor(batch)["inputs"]
    for change, dtype, tolerance in [
        (model.half, torch.float16, 0.05),
        (model.bfloat16, torch.bfloat16, 0.2),
        (model.float, torch.float32, 0.2),
        (model.double, torch.float32, 0.2),
    ]:
        change()
        assert {value.dtype for value in network_of(model).parameters()} == {dtype}
        if dtype is torch.float16 and torch.__version__.startswith("2.1."):
            continue  # it has none on the CPU, which test_engine.py sees refused
        result = model.data_preprocessor(batch)["inputs"]
        assert (result.float() - full).abs().mean() < tolerance
        assert torch.isfinite(result).all()
    assert model.layer.weight.dtype == torch.float64


def test_its_weights_follow_the_models_device(weights):
    """On ``meta``, the one other device that every machine has; CUDA goes the same way."""
    for move in (lambda model: model.to("meta"), lambda model: model.to(device="meta")):
        model = model_with(weights)
        move(model)
        assert {value.device.type for value in network_of(model).parameters()} == {"meta"}
        assert model.data_preprocessor.engine.device.type == "meta"
        assert model.data_preprocessor.device.type == "meta"
        assert model.data_preprocessor.stock.device.type == "meta"


def test_moved_by_itself_it_takes_the_stock_one_along(files, weights):
    preprocessor = JpegRestoreDetDataPreprocessor(DET_STOCK, restorer=weights)
    preprocessor.stock._device = torch.device("meta")
    result = preprocessor.to("cpu")(batch_of(files[0]))
    assert preprocessor.stock.device.type == "cpu"
    assert result["inputs"].device.type == "cpu"


def test_training_leaves_it_alone(weights):
    model = model_with(weights).train()
    assert not network_of(model).training
    before = [value.clone() for value in network_of(model).parameters()]
    optimizer = torch.optim.SGD(model.parameters(), lr=1.0)
    model.layer.weight.sum().backward()
    optimizer.step()
    assert sum(len(group["params"]) for group in optimizer.param_groups) == 2
    after = network_of(model).parameters()
    assert all(torch.equal(one, other) for one, other in zip(before, after, strict=True))


@pytest.mark.parametrize("clone", [copy.deepcopy, lambda model: pickle.loads(pickle.dumps(model))])
def test_a_copy_works_and_shares_nothing(files, weights, clone):
    model, batch = model_with(weights), batch_of(files[0])
    expected = model.data_preprocessor(copy.deepcopy(batch))["inputs"]
    copied = clone(model)
    with torch.no_grad():
        for value in network_of(model).parameters():
            value.zero_()
    assert torch.equal(copied.data_preprocessor(batch)["inputs"], expected)


def test_an_image_that_is_too_large_is_left_as_it_is(files, small_weights):
    steps = [LOAD, dict(type="JpegDefer", transforms=[dict(DET, meta_keys=("jpeg_quality",))])]
    batch = pseudo_collate([Compose(steps)(record(path)) for path in files[:2]])
    own = JpegRestoreDetDataPreprocessor(
        DET_STOCK | dict(mean=None, std=None, bgr_to_rgb=False, pad_size_divisor=1),
        str(small_weights),
        max_pixels=103 * 157 - 1,
    )
    made = own(batch)
    for image, sample, path in zip(made["inputs"], made["data_samples"], files[:2], strict=True):
        assert sample.jpeg_quality["source"] == "unrestored"
        np.testing.assert_array_equal(image.numpy().transpose(1, 2, 0), cv2.imread(str(path)))
