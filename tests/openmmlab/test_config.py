from __future__ import annotations

import pytest
import toysets
from mmcv.transforms import LoadImageFromFile
from mmengine.config import Config

from jpeg_preproc.errors import JpegPreprocError, PipelineError
from jpeg_preproc.openmmlab.config import (
    dataset_name,
    leaf_datasets,
    load_config,
    loader_index,
    metric_configs,
    set_data_root,
    with_transforms,
)
from jpeg_preproc.openmmlab.place import transform_name

COMPRESS = dict(type="JpegCompress", qf=10)
RESTORE = dict(type="JpegRestore", restorer="base")


def config_of(dataset, evaluator=None, **extra):
    return Config(
        dict(
            model=dict(type="X"),
            test_dataloader=dict(dataset=dataset),
            test_evaluator=evaluator or dict(type="IoUMetric"),
            **extra,
        )
    )


def leaf(**settings):
    pipeline = [dict(type="LoadImageFromFile"), dict(type="Resize", scale=(9, 9))]
    return dict(type="CocoDataset", pipeline=pipeline) | settings


def names(dataset):
    return [transform_name(step) for step in dataset.pipeline]


def test_validation_stands_in_for_a_missing_test_part(tmp_path):
    config = load_config(toysets.segmenter_config(tmp_path, tmp_path))
    assert config.test_dataloader.dataset.ann_file == "ImageSets/val.txt"
    assert config.test_evaluator.type == "IoUMetric"


def test_options_are_merged(tmp_path):
    path = toysets.detector_config(tmp_path, tmp_path)
    options = {"model.type": "Other", "test_dataloader.dataset.pipeline.1.scale_factor": 3.0}
    config = load_config(path, options)
    assert config.model.type == "Other"
    assert config.test_dataloader.dataset.pipeline[1].scale_factor == 3.0


@pytest.mark.parametrize(
    "text,words",
    [
        (None, "is no file; those of configs/ lie in the repository"),
        ("model = dict(", "cannot be read as an OpenMMLab config"),
        ("model = dict(type='X')", "has no test_dataloader, test_evaluator"),
        ("custom_imports = dict(imports=['no_such_module'])", "not installed"),
        ("_base_ = './absent.py'", "cannot be read as an OpenMMLab config"),
    ],
)
def test_what_is_no_config_is_named(tmp_path, text, words):
    path = tmp_path / "broken.py"
    if text is not None:
        path.write_text(text)
    with pytest.raises(JpegPreprocError, match=words) as error:
        load_config(path)
    assert str(path) in str(error.value)


def test_transforms_go_behind_the_loader_of_every_dataset_inside_wrappers():
    inner = dict(type="RepeatDataset", times=2, dataset=leaf(data_root="b"))
    config = config_of(dict(type="ConcatDataset", datasets=[leaf(data_root="a"), inner]))
    edited = with_transforms(config, [COMPRESS, RESTORE])
    assert [names(dataset) for dataset in leaf_datasets(edited)] == [
        ["LoadImageFromFile", "JpegCompress", "JpegRestore", "Resize"]
    ] * 2
    assert [names(dataset) for dataset in leaf_datasets(config)] == [
        ["LoadImageFromFile", "Resize"]
    ] * 2


def test_transforms_go_before_test_time_augmentation():
    augment = dict(type="TestTimeAug", transforms=[[dict(type="Resize")], [dict(type="Pack")]])
    config = config_of(leaf(pipeline=[dict(type="LoadImageFromFile"), augment]))
    edited = with_transforms(config, [COMPRESS])
    assert names(leaf_datasets(edited)[0]) == ["LoadImageFromFile", "JpegCompress", "TestTimeAug"]


def test_a_loader_that_is_not_first_or_given_as_a_class_is_found():
    pipeline = [dict(type="SomethingBefore"), dict(type=LoadImageFromFile), dict(type="Resize")]
    assert loader_index(pipeline) == 1


def test_a_pipeline_without_a_loader_is_refused():
    with pytest.raises(PipelineError, match=r"Resize.*has no LoadImageFromFile"):
        with_transforms(config_of(leaf(pipeline=[dict(type="Resize")])), [COMPRESS])


def test_a_pipeline_that_restores_already_is_refused():
    pipeline = [dict(type="LoadImageFromFile"), RESTORE]
    with pytest.raises(PipelineError, match="JpegRestore already"):
        with_transforms(config_of(leaf(pipeline=pipeline)), [])


def test_a_loader_behind_a_resize_is_refused():
    pipeline = [dict(type="Mosaic"), dict(type="LoadImageFromFile")]
    with pytest.raises(PipelineError, match="behind Mosaic"):
        with_transforms(config_of(leaf(pipeline=pipeline)), [COMPRESS])


@pytest.mark.parametrize("old", ["data/coco/", "data/coco"])
def test_the_data_root_moves_with_the_metrics_annotations(old):
    dataset = leaf(data_root=old, ann_file="annotations/x.json", data_prefix=dict(img="val/"))
    evaluators = [
        dict(type="CocoMetric", ann_file="data/coco/annotations/x.json"),
        dict(type="CocoMetric", ann_file="elsewhere/x.json"),
    ]
    config = config_of(dataset, evaluators)
    set_data_root(config, "new/place")
    assert leaf_datasets(config)[0].data_root == "new/place"
    assert leaf_datasets(config)[0].ann_file == "annotations/x.json"
    assert [metric.ann_file for metric in metric_configs(config)] == [
        "new/place/annotations/x.json",
        "elsewhere/x.json",
    ]


def test_paths_written_out_below_the_configs_root_move_too():
    dataset = leaf(ann_file="data/coco/a.json", data_prefix=dict(img="data/coco/val"))
    config = config_of(dataset, data_root="data/coco/")
    set_data_root(config, "new")
    (moved,) = leaf_datasets(config)
    assert (moved.ann_file, moved.data_prefix.img) == ("new/a.json", "new/val")


@pytest.mark.parametrize(
    "roots,name",
    [(["data/coco/"], "coco"), ([""], "Coco"), (["a/x", "b/y"], "x+y"), (["a/x", "b/x"], "x")],
)
def test_dataset_name(roots, name):
    config = config_of(dict(type="ConcatDataset", datasets=[leaf(data_root=r) for r in roots]))
    assert dataset_name(config) == name
