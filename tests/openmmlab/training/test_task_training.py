"""A task-aware training in miniature, from the shipped config, against the demo's models."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.runner import Runner
from stirring import stir

from jpeg_preproc.demo import demo_configs
from jpeg_preproc.io import sha256_file
from jpeg_preproc.restorers import build_restorer, load_weights, save_weights

pytest.importorskip("mmdet")
pytest.importorskip("mmseg")

CONFIG = (
    Path(__file__).resolve().parents[3]
    / "configs/restorers/gridunet/gridunet_base_task_openmmlab_cpu_2k.py"
)


@pytest.fixture
def config(tmp_path, miniature):
    """Four steps of a small restorer from weights of its own."""
    start = build_restorer("GridUNet", "nano")
    stir(start.tail, 0.01)
    save_weights(start, tmp_path / "start.safetensors", preset="nano")
    options = {
        "experiment_name": tmp_path.name,  # mmengine keeps one of each
        "model.weights": str(tmp_path / "start.safetensors"),
        "train_dataloader.dataset.crop": 64,
        "default_hooks.checkpoint.interval": 4,
        "default_hooks.logger.interval": 1,
    }
    cfg = miniature(Config.fromfile(CONFIG), **options)
    for name, network in cfg.model.task.networks.items():
        path, checkpoint = demo_configs()[{"yolox": "detector", "deeplab": "segmenter"}[name]]
        network.update(config=str(path), checkpoint=str(checkpoint))
    return cfg


@pytest.mark.filterwarnings("ignore")
def test_a_few_steps_against_a_detector_and_a_segmenter(config, tmp_path):
    runner = Runner.from_cfg(config)
    networks = runner.model.task.networks
    before = {
        f"{name}.{key}": value.clone()
        for name, network in networks.items()
        for key, value in network.state_dict().items()
    }
    runner.train()
    after = {
        f"{name}.{key}": value
        for name, network in networks.items()
        for key, value in network.state_dict().items()
    }
    assert before.keys() == after.keys()
    assert all(torch.equal(value, after[key]) for key, value in before.items())

    work = tmp_path / "work"
    lines = next(work.rglob("scalars.json")).read_text().splitlines()
    logged = [json.loads(line) for line in lines if "loss_pixel" in line]
    assert len(logged) == 4
    for step in logged:
        terms = [step[name] for name in ("loss_pixel", "loss_task_yolox", "loss_task_deeplab")]
        assert min(terms) > 0
        assert step["loss"] == pytest.approx(sum(terms), rel=1e-4)

    trained, manifest = load_weights(work / "base-task-openmmlab.safetensors")
    start, before_it = load_weights(tmp_path / "start.safetensors")
    assert not torch.equal(trained.head.weight, start.head.weight)
    assert manifest.training["continues"]["sha256"] == before_it.sha256
    names = {"yolox": "detector", "deeplab": "segmenter"}
    assert [
        (entry["name"], entry["checkpoint"], entry["sha256"]) for entry in manifest.training["task"]
    ] == [
        (name, demo_configs()[model][1].name, sha256_file(demo_configs()[model][1]))
        for name, model in names.items()
    ]

    saved = torch.load(work / "iter_4.pth", map_location="cpu", weights_only=False)
    restorer = {f"restorer.{key}" for key in start.state_dict()}
    assert saved["state_dict"].keys() == restorer
    assert {key.removeprefix("module.") for key in saved["ema_state_dict"]} == restorer | {"steps"}
    count = len(list(trained.parameters()))
    assert len(saved["optimizer"]["param_groups"][0]["params"]) == count


def test_the_networks_are_those_of_the_data_folder_or_of_the_package(monkeypatch):
    monkeypatch.setenv("JPEG_PREPROC_DATA", "elsewhere")
    networks = Config.fromfile(CONFIG).model.task.networks
    assert list(networks) == ["yolox", "deeplab"]
    for network in networks.values():
        assert Path(network.checkpoint).parent == Path("elsewhere/models")
        assert Path(network.config).is_file()
    for size in ("nano", "small", "base"):
        config = Config.fromfile(CONFIG.with_name(f"gridunet_{size}_task_cpu_2k.py"))
        types = [network.type for network in config.model.task.networks.values()]
        assert types == ["EfficientNetLiteFeatures"] * 2
        assert (config.model.preset, config.model.weights) == (size, size)
        assert config.weights_name == f"{size}-task"
