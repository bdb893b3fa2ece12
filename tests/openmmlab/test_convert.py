"""What ``with_jpeg_restore`` makes of a config; what becomes of it is in test_converted.py."""

from __future__ import annotations

import copy
import subprocess
import sys
from pathlib import Path

import pytest
import toysets
from mmcv.transforms import LoadImageFromFile
from mmengine.config import Config

from jpeg_preproc.defaults import TILE
from jpeg_preproc.errors import JpegPreprocError, PipelineError
from jpeg_preproc.openmmlab import with_jpeg_restore
from jpeg_preproc.openmmlab.config import leaves
from jpeg_preproc.openmmlab.place import transform_name

LOAD = dict(type="LoadImageFromFile", backend_args=None)
RESIZE = dict(type="Resize", scale=(9, 9))
PACK = dict(type="PackDetInputs")
COMPRESS = dict(type="JpegCompress", qf=10)
STOCK = dict(type="DetDataPreprocessor", mean=[1.0, 2.0, 3.0], std=[1.0, 1.0, 1.0])


def leaf(*steps, **settings):
    return dict(type="CocoDataset", pipeline=list(steps or (LOAD, RESIZE, PACK))) | settings


def config_of(**parts):
    model = dict(type="X", data_preprocessor=STOCK)
    return Config(dict(default_scope="mmdet", model=model) | parts)


def loader(dataset, **settings):
    return dict(batch_size=1, num_workers=2, dataset=dataset) | settings


def names(pipeline):
    """Names of a pipeline's transforms; those that JpegDefer holds in a list of their own."""
    found = []
    for step in pipeline:
        found.append(transform_name(step))
        if found[-1] == "JpegDefer":
            found.append(names(step["transforms"]))
    return found


RESTORED = {
    "pipeline": ["LoadImageFromFile", "JpegRestore", "Resize", "PackDetInputs"],
    "preprocessor": ["LoadImageFromFile", "JpegDefer", ["Resize", "PackDetInputs"]],
}
PLAIN = ["LoadImageFromFile", "Resize", "PackDetInputs"]


@pytest.mark.parametrize("where", RESTORED)
def test_every_pipeline_that_tests_is_changed_and_the_original_is_not(where):
    pipeline = [LOAD, RESIZE, PACK]
    inner = dict(type="RepeatDataset", times=2, dataset=leaf(data_root="b"))
    config = config_of(
        val_dataloader=loader(leaf()),
        test_dataloader=loader(dict(type="ConcatDataset", datasets=[leaf(data_root="a"), inner])),
        train_dataloader=loader(leaf()),
        test_pipeline=pipeline,
        train_pipeline=pipeline,
    )
    before = copy.deepcopy(config.to_dict())
    restored = with_jpeg_restore(config, where=where)
    assert config.to_dict() == before
    expected = RESTORED[where]
    assert names(restored.val_dataloader.dataset.pipeline) == expected
    tested = list(leaves(restored.test_dataloader.dataset))
    assert [(part.data_root, names(part.pipeline)) for part in tested] == [
        ("a", expected),
        ("b", expected),
    ]
    assert names(restored.test_pipeline) == expected
    assert names(restored.train_pipeline) == PLAIN
    assert names(restored.train_dataloader.dataset.pipeline) == PLAIN


def test_the_settings_reach_the_transform():
    load = dict(type="LoadImageFromFile", backend_args=dict(backend="petrel"))
    config = config_of(test_dataloader=loader(leaf(load, PACK)))
    restored = with_jpeg_restore(
        config,
        "w.safetensors",
        qf=30,
        device="cuda:1",
        dtype="fp16",
        tile=64,
        consistent=True,
    )
    step = restored.test_dataloader.dataset.pipeline[1]
    assert dict(step) == dict(
        type="JpegRestore",
        restorer="w.safetensors",
        qf=30,
        device="cuda:1",
        dtype="fp16",
        tile=64,
        backend_args=dict(backend="petrel"),
        color_type="color",
        consistent=True,
    )
    assert restored.model == config.model


def test_the_settings_reach_the_preprocessor():
    load = dict(type="LoadImageFromFile", backend_args=dict(backend="petrel"))
    config = config_of(test_dataloader=loader(leaf(load, PACK)))
    restored = with_jpeg_restore(
        config,
        "w.safetensors",
        "preprocessor",
        qf="blind",
        dtype="bf16",
        consistent=True,
        compile=True,
    )
    defer = restored.test_dataloader.dataset.pipeline[1]
    assert (defer.backend_args, defer.consistent) == (dict(backend="petrel"), True)
    assert restored.model.to_dict() == dict(
        type="X",
        data_preprocessor=dict(
            type="JpegRestoreDetDataPreprocessor",
            restorer="w.safetensors",
            qf="blind",
            dtype="bf16",
            tile=TILE,
            compile=True,
            data_preprocessor=STOCK,
        ),
    )


SEG = "SegDataPreProcessor"


@pytest.mark.parametrize(
    "model,scope,extra,kind,stock",
    [
        (dict(type="X", data_preprocessor=dict(type=SEG)), "mmseg", {}, "Seg", SEG),
        (dict(type="X", data_preprocessor=dict(type=f"mmseg.{SEG}")), None, {}, "Seg", SEG),
        (dict(type="X"), "mmdet", dict(data_preprocessor=STOCK), "Det", "DetDataPreprocessor"),
        (dict(type="X"), "mmseg", {}, "Seg", "BaseDataPreprocessor"),
    ],
)
def test_the_models_own_preprocessor_is_the_one_wrapped(model, scope, extra, kind, stock):
    config = Config(dict(default_scope=scope, model=model, test_pipeline=[LOAD, PACK], **extra))
    wrapped = with_jpeg_restore(config, where="preprocessor").model.data_preprocessor
    assert wrapped.type == f"JpegRestore{kind}DataPreprocessor"
    assert transform_name(wrapped.data_preprocessor) == stock


def test_a_model_inside_one_for_augmentation_is_found():
    inner = dict(type="X", data_preprocessor=STOCK)
    config = config_of(model=dict(type="DetTTAModel", module=inner), test_pipeline=[LOAD, PACK])
    model = with_jpeg_restore(config, where="preprocessor").model
    assert "data_preprocessor" not in model
    assert model.module.data_preprocessor.data_preprocessor == STOCK


@pytest.mark.parametrize("where", RESTORED)
def test_compression_stays_before_it(where):
    config = config_of(test_pipeline=[LOAD, COMPRESS, RESIZE, PACK])
    restored = with_jpeg_restore(config, where=where)
    expected = RESTORED[where]
    assert names(restored.test_pipeline) == [expected[0], "JpegCompress", *expected[1:]]


def test_augmentation_is_behind_it():
    augment = dict(type="TestTimeAug", transforms=[[RESIZE, RESIZE], [PACK]])
    config = config_of(tta_pipeline=[LOAD, augment])
    in_pipeline = with_jpeg_restore(config).tta_pipeline
    assert names(in_pipeline) == ["LoadImageFromFile", "JpegRestore", "TestTimeAug"]
    deferred = with_jpeg_restore(config, where="preprocessor").tta_pipeline
    assert names(deferred) == ["LoadImageFromFile", "JpegDefer", ["TestTimeAug"]]


def test_a_dataset_that_val_and_test_share_is_changed_once():
    config = config_of(val_dataloader=loader(leaf()))
    config.test_dataloader = config.val_dataloader
    restored = with_jpeg_restore(config)
    assert names(restored.test_dataloader.dataset.pipeline) == RESTORED["pipeline"]


def test_training_is_changed_if_asked():
    mixed = dict(type="MultiImageMixDataset", dataset=leaf(LOAD), pipeline=[RESIZE, PACK])
    hook = dict(type="PipelineSwitchHook", switch_epoch=9, switch_pipeline=[LOAD, RESIZE, PACK])
    config = config_of(
        train_dataloader=loader(mixed), custom_hooks=[dict(type="SyncNormHook"), hook]
    )
    restored = with_jpeg_restore(config, train=True)
    dataset = restored.train_dataloader.dataset
    assert names(dataset.dataset.pipeline) == ["LoadImageFromFile", "JpegRestore"]
    assert names(dataset.pipeline) == ["Resize", "PackDetInputs"]
    assert names(restored.custom_hooks[1].switch_pipeline) == RESTORED["pipeline"]
    with pytest.raises(PipelineError, match=r"MultiImageMixDataset.*where='pipeline'"):
        with_jpeg_restore(config, where="preprocessor", train=True)


def test_a_loader_given_as_a_class_is_found():
    config = config_of(test_pipeline=[dict(type=LoadImageFromFile), RESIZE, PACK])
    assert names(with_jpeg_restore(config).test_pipeline) == RESTORED["pipeline"]


def test_a_loader_inside_a_wrapper_has_it_behind_itself_there():
    inner = [LOAD, RESIZE, dict(type="LoadTrackAnnotations")]
    frames = [dict(type="TransformBroadcaster", transforms=inner), dict(type="PackTrackInputs")]
    changed = with_jpeg_restore(Config(dict(test_pipeline=frames))).test_pipeline
    assert names(changed) == ["TransformBroadcaster", "PackTrackInputs"]
    assert names(changed[0].transforms) == [
        *("LoadImageFromFile", "JpegRestore", "Resize", "LoadTrackAnnotations")
    ]
    assert names(inner) == ["LoadImageFromFile", "Resize", "LoadTrackAnnotations"]
    with pytest.raises(PipelineError, match="take where='pipeline'"):
        with_jpeg_restore(config_of(test_pipeline=frames), where="preprocessor")


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (dict(backend="lmdb", db_path="d"), dict(backend="lmdb", db_path="d")),
        (dict(backend="disk"), None),
    ],
)
def test_where_bytes_come_from_is_carried_over_in_its_old_form_too(given, expected):
    load = dict(type="LoadImageFromFile", file_client_args=given)
    changed = with_jpeg_restore(Config(dict(test_pipeline=[load, RESIZE]))).test_pipeline
    assert changed[1].backend_args == changed[0].backend_args == expected
    assert "file_client_args" not in changed[0]


def test_strictness_reaches_the_transform():
    for where in RESTORED:
        config = config_of(test_pipeline=[LOAD, RESIZE, PACK])
        assert with_jpeg_restore(config, where=where, strict=True).test_pipeline[1].strict is True


@pytest.mark.parametrize("own", [None, dict(imports="os", allow_failed_imports=True)])
def test_the_packages_import_is_added(own):
    config = config_of(test_pipeline=[LOAD, PACK], **({"custom_imports": own} if own else {}))
    imports = with_jpeg_restore(config).custom_imports
    assert imports.imports == [*(["os"] if own else []), "jpeg_preproc.openmmlab"]
    assert imports.allow_failed_imports == bool(own)


def test_a_dumped_config_works_where_nothing_was_imported(tmp_path, weights, photo_file):
    pytest.importorskip("mmdet")
    path = toysets.detector_config(tmp_path, tmp_path)
    for where in RESTORED:
        with_jpeg_restore(path, weights, where).dump(tmp_path / f"{where}.py")
    program = (
        "import sys; from mmengine.config import Config; from mmengine.dataset import Compose\n"
        "from mmengine.registry import MODELS, init_default_scope\n"
        f"sys.path.insert(0, {str(Path(toysets.__file__).parent)!r})\n"
        "for path in sys.argv[2:]:\n"
        "    config = Config.fromfile(path); init_default_scope(config.default_scope)\n"
        "    data = Compose(config.test_pipeline)(dict(img_path=sys.argv[1], img_id=0))\n"
        "    batch = {key: [value] for key, value in data.items()}\n"
        "    print(MODELS.build(config.model).test_step(batch)[0].img_shape)\n"
    )
    dumped = [str(tmp_path / f"{where}.py") for where in RESTORED]
    done = subprocess.run(
        [sys.executable, "-c", program, str(photo_file), *dumped],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split("\n")[-3:-1] == ["(206, 314)"] * 2


# --- bad input


def test_a_config_without_a_test_pipeline_is_refused(tmp_path):
    path = tmp_path / "train_only.py"
    path.write_text("model = dict(type='X')\ntrain_pipeline = [dict(type='LoadImageFromFile')]\n")
    with pytest.raises(JpegPreprocError, match=r"train_only\.py has no pipeline to test with"):
        with_jpeg_restore(path)
    with pytest.raises(JpegPreprocError, match=r"absent\.py is no file"):
        with_jpeg_restore(tmp_path / "absent.py")
    assert names(with_jpeg_restore(path, train=True).train_pipeline)[1] == "JpegRestore"


def test_no_model_is_refused_for_the_preprocessor_alone():
    config = Config(dict(test_pipeline=[LOAD, PACK]))
    assert names(with_jpeg_restore(config).test_pipeline)[1] == "JpegRestore"
    with pytest.raises(JpegPreprocError, match="has no model"):
        with_jpeg_restore(config, where="preprocessor")


@pytest.mark.parametrize("where", RESTORED)
@pytest.mark.parametrize(
    "pipeline,words",
    [
        ([RESIZE, PACK], "has no LoadImageFromFile"),
        ([], "empty"),
        ([LOAD, dict(type="JpegRestore"), PACK], "JpegRestore already"),
        ([LOAD, dict(type="JpegDefer", transforms=[PACK])], "JpegDefer already"),
        ([RESIZE, LOAD, PACK], "behind Resize"),
        ([LOAD, RESIZE, COMPRESS, PACK], "JpegCompress stands behind"),
    ],
)
def test_a_pipeline_that_cannot_be_changed_is_refused(where, pipeline, words):
    config = config_of(test_dataloader=loader(dict(type="CocoDataset", pipeline=pipeline)))
    with pytest.raises(PipelineError, match=words):
        with_jpeg_restore(config, where=where)


def test_settings_that_do_not_go_together_are_refused():
    config = config_of(test_pipeline=[LOAD, PACK])
    with pytest.raises(PipelineError, match="neither 'pipeline' nor 'preprocessor'"):
        with_jpeg_restore(config, where="gpu")
    with pytest.raises(PipelineError, match=r"each worker .* would compile"):
        with_jpeg_restore(config, compile=True)
    with pytest.raises(PipelineError, match="leave device out"):
        with_jpeg_restore(config, where="preprocessor", device="cuda")


@pytest.mark.parametrize("where", RESTORED)
def test_a_limit_of_pixels_is_the_restorers(where):
    config = config_of(test_pipeline=[LOAD, RESIZE, PACK])
    plain, limited = (
        with_jpeg_restore(config, where=where, **given) for given in ({}, {"max_pixels": 7})
    )
    if where == "pipeline":
        settings, usual = limited.test_pipeline[1], plain.test_pipeline[1]
    else:
        settings, usual = limited.model.data_preprocessor, plain.model.data_preprocessor
    assert settings["max_pixels"] == 7
    assert "max_pixels" not in usual
