"""The shipped models: loadable, small, and as accurate before and after JPEG as the README says."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import torch

from jpeg_preproc.demo import demo_cfg_options, demo_configs, make_demo_dataset
from jpeg_preproc.demo.layout import PALETTE
from jpeg_preproc.demo.models import MODELS
from jpeg_preproc.demo.surfaces import CLASSES
from jpeg_preproc.demo.training import export_checkpoint

LIBRARY = {"detector": "mmdet", "segmenter": "mmseg"}
CLASSES_OF = {"detector": CLASSES, "segmenter": ("background", *CLASSES)}


def _config(name: str) -> Any:
    config = pytest.importorskip("mmengine.config")
    return config.Config.fromfile(demo_configs()[name][0])


@pytest.mark.parametrize("name", MODELS)
def test_checkpoint_is_small_and_plain(name: str) -> None:
    _, checkpoint = demo_configs()[name]
    assert checkpoint.stat().st_size <= 10e6
    loaded = torch.load(checkpoint, map_location="cpu", weights_only=True)
    assert set(loaded) == {"state_dict", "meta"}
    assert tuple(loaded["meta"]["dataset_meta"]["classes"]) == CLASSES_OF[name]
    assert loaded["meta"]["training"]["jpeg_augmentation"] is False
    assert all(value.isfinite().all() for value in loaded["state_dict"].values())


@pytest.mark.parametrize("name", MODELS)
def test_checkpoint_fits_its_config(name: str) -> None:
    pytest.importorskip(LIBRARY[name])
    from mmengine.registry import MODELS as REGISTRY
    from mmengine.registry import init_default_scope

    config = _config(name)
    init_default_scope(config.default_scope)
    model = REGISTRY.build(config.model)
    loaded = torch.load(demo_configs()[name][1], map_location="cpu", weights_only=True)
    model.load_state_dict(loaded["state_dict"], strict=True)


@pytest.mark.parametrize("name", MODELS)
def test_config_agrees_with_the_set(name: str) -> None:
    config = _config(name)
    assert tuple(config.metainfo.classes) == CLASSES_OF[name]
    if name == "segmenter":
        assert [tuple(colour) for colour in config.metainfo.palette] == list(PALETTE)
    # JpegCompress and JpegRestore go in behind the first transform.
    assert config.test_dataloader.dataset.pipeline[0].type == "LoadImageFromFile"


@pytest.mark.parametrize("name", MODELS)
def test_cfg_options_leave_no_path_behind(name: str, tmp_path: Path) -> None:
    config = _config(name)
    config.merge_from_dict(demo_cfg_options(tmp_path, name))
    assert "data/demo" not in config.dump().replace(str(tmp_path), "")


def test_cfg_options_refuse_an_unknown_name() -> None:
    with pytest.raises(KeyError, match="classifier"):
        demo_cfg_options("data", "classifier")


def test_export_keeps_integers_and_halves_floats() -> None:
    import io

    state = {"weight": torch.tensor([1.0, 2.0]), "num_batches_tracked": torch.tensor(70000)}
    data = export_checkpoint({"state_dict": state, "optimizer": object()}, {"classes": ["a"]})
    loaded = torch.load(io.BytesIO(data), weights_only=True)
    assert loaded["state_dict"]["weight"].dtype == torch.float16
    assert int(loaded["state_dict"]["num_batches_tracked"]) == 70000
    assert loaded["meta"] == {"classes": ["a"]}


def _accuracy(name: str, root: Path, work_dir: Path, quality: int | None) -> float:
    """Return the model's own metric, in [0, 1], on the val split with or without JPEG."""
    from mmengine.runner import Runner

    config = _config(name)
    config.merge_from_dict(demo_cfg_options(root, name))
    for key in ("train_dataloader", "train_cfg", "optim_wrapper", "param_scheduler"):
        config.pop(key)
    if quality is not None:
        import_module("jpeg_preproc.openmmlab")  # registers JpegCompress
        compress = {"type": "JpegCompress", "qf": quality}
        config.test_dataloader.dataset.pipeline.insert(1, compress)
    config.pop("custom_hooks")
    config.merge_from_dict(
        {
            "work_dir": str(work_dir),
            "load_from": str(demo_configs()[name][1]),
            "log_level": "ERROR",
            "experiment_name": f"{name}_{quality}",
        }
    )
    metrics = Runner.from_cfg(config).test()
    return metrics["coco/bbox_mAP"] if name == "detector" else metrics["mIoU"] / 100.0


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", MODELS)
def test_accuracy_before_and_after_jpeg(
    name: str, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    pytest.importorskip(LIBRARY[name])
    root = make_demo_dataset(tmp_path_factory.getbasetemp() / "demo-full")
    original = _accuracy(name, root, tmp_path, None)
    assert original >= 0.60
    assert _accuracy(name, root, tmp_path, 10) <= original * 2 / 3
