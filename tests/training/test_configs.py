"""Every config of configs/restorers: it loads, its model builds, its schedule is whole."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

pytest.importorskip("mmengine", reason="training needs mmengine")

from mmengine.config import Config
from mmengine.registry import MODELS
from safetensors.torch import save_file

from jpeg_preproc.restorers import build_restorer, save_weights
from jpeg_preproc.training.data import Coding
from jpeg_preproc.training.losses import LOSSES

FOLDER = Path(__file__).resolve().parents[2] / "configs" / "restorers"
# That of the quality estimator restores nothing; see test_effective_quality.py.
CONFIGS = sorted(path for path in FOLDER.rglob("*.py") if "quality_estimator" not in path.parts)


@pytest.fixture(autouse=True)
def earlier_stages(tmp_path, monkeypatch):
    """What the second stages of the tiny presets start from."""
    save_weights(build_restorer("AGARNet", "tiny"), tmp_path / "a.safetensors", preset="tiny")
    save_file(
        {
            key: value.contiguous()
            for key, value in build_restorer("DAGN", "tiny").encoders.state_dict().items()
        },
        tmp_path / "encoders.safetensors",
    )
    monkeypatch.setenv("JPEG_PREPROC_ENCODERS", str(tmp_path / "encoders.safetensors"))
    monkeypatch.setenv("JPEG_PREPROC_STAGE1", str(tmp_path / "a.safetensors"))


def test_there_are_configs():
    assert len(CONFIGS) > 15


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_a_config_is_whole(path):
    if "_task_openmmlab" in path.stem:
        pytest.importorskip("mmdet", reason="what it is judged by is a model of mmdet")
    config = Config.fromfile(path)
    coding = Coding(**config.train_dataloader.dataset.get("coding", {}))
    assert all(1 <= low <= high <= 100 for low, high, _ in coding.qf_ranges)
    assert config.train_dataloader.dataset.crop % 16 == 0
    assert config.model.get("loss", "l1") in LOSSES
    steps = config.train_cfg.max_iters
    for scheduler in config.param_scheduler:
        assert scheduler.by_epoch is False
        assert max(scheduler.get("milestones", [0])) < steps
        assert scheduler.get("end", steps) <= steps
        if scheduler.type == "CosineAnnealingLR":
            assert scheduler.get("begin", 0) + scheduler.T_max == steps
    hooks = [hook.type for hook in config.custom_hooks]
    assert "StopOnNanHook" in hooks
    if config.model.type != "DAGNAutoEncoders":
        saving = config.custom_hooks[hooks.index("SaveWeightsHook")]
        assert saving.get("name") or config.weights_name
        assert saving.get("data") or config.clean_data
    if "paper" in path.stem or "_estimator_div2k" in path.stem:
        return  # a hundred million weights, or files of an earlier stage that no one has
    if "_task" in path.stem:
        return  # needs weights of others'; see tests/openmmlab/test_task_training.py
    model = MODELS.build(config.model)
    luma = config.train_dataloader.dataset.get("luma", False)
    torch.manual_seed(0)
    image = torch.randint(0, 256, (2, 1 if luma else 3, 32, 32), dtype=torch.uint8)
    losses = model(
        jpeg=image,
        clean=image,
        qtables=torch.ones(2, 2, 8, 8),
        qf=torch.tensor([10.0, 50.0]),
        known=torch.tensor([True, True]),
        mode="loss",
    )
    assert all(torch.isfinite(value) for value in losses.values())
