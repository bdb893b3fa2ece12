"""The training tool as processes: what it prints, what two of them compute."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from PIL import Image
from tool_runs import load_tool

pytest.importorskip("mmengine", reason="training needs mmengine")

from mmengine.config import Config

REPOSITORY = Path(__file__).resolve().parents[2]
TOOL = REPOSITORY / "tools" / "train.py"
CONFIG = REPOSITORY / "configs/restorers/gridunet/gridunet_nano_cpu_24k.py"


@pytest.fixture
def config(tmp_path, photo, monkeypatch) -> Path:
    """A config of three steps, two crops each, on two images and one that is damaged."""
    images = tmp_path / "images"
    images.mkdir()
    Image.fromarray(photo).save(images / "a.png")
    Image.fromarray(photo[::-1].copy()).save(images / "b.png")
    (images / "c.jpg").write_bytes(b"nonsense")
    monkeypatch.setenv("JPEG_PREPROC_DATA", str(tmp_path))
    cfg = Config.fromfile(CONFIG)
    cfg.merge_from_dict(
        {
            "train_dataloader.batch_size": 2,
            "train_dataloader.num_workers": 0,
            "train_dataloader.persistent_workers": False,
            "train_dataloader.dataset.crop": 32,
            "train_cfg.max_iters": 3,
            "default_hooks.checkpoint.interval": 3,
            "log_level": "ERROR",
        }
    )
    cfg.train_dataloader.dataset.sources = [{"folder": str(images)}]
    for key in ("val_dataloader", "val_evaluator", "val_cfg"):
        cfg.pop(key)
    cfg.train_cfg.pop("val_interval")
    cfg.default_hooks.checkpoint.pop("save_best")
    cfg.custom_hooks = [dict(type="StopOnNanHook")]
    cfg.visualizer.vis_backends = [dict(type="LocalVisBackend")]
    path = tmp_path / "toy.py"
    cfg.dump(path)
    return path


def start(*command: object) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY), "OMP_NUM_THREADS": "1"}
    return subprocess.run(
        [sys.executable, *map(str, command)],
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
    )


def weights(work_dir: Path) -> dict[str, torch.Tensor]:
    """Of the third step, whose file the test itself has had written."""
    return torch.load(work_dir / "iter_3.pth", weights_only=False)["state_dict"]


@pytest.mark.slow
def test_two_processes_learn_what_one_does(config, tmp_path, capsys):
    assert load_tool("train")(config, "--work-dir", tmp_path / "one") == 0
    told = capsys.readouterr().out
    assert "Left out 1 image(s) of the training set:" in told
    assert "c.jpg" in told and str(tmp_path / "one") in told
    both = start(
        *("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", 2),
        *(TOOL, config, "--work-dir", tmp_path / "two", "--launcher", "pytorch"),
        # The same two crops a step, one in each process.
        *("--cfg-options", "train_dataloader.batch_size=1"),
    )
    assert both.returncode == 0, both.stderr
    assert both.stdout.count("checkpoints and logs") == 1
    expected, found = weights(tmp_path / "one"), weights(tmp_path / "two")
    assert expected.keys() == found.keys()
    for key, value in expected.items():
        torch.testing.assert_close(found[key], value, rtol=0, atol=2e-5, msg=key)


@pytest.mark.parametrize(
    "options,message",
    [
        (["train_dataloader.dataset.sources.0.folder=nowhere"], "nowhere: no images here"),
        (["train_dataloader.dataset.crop=512"], "no image of at least 512×512 pixels"),
        (["model.weights=nowhere.safetensors"], "no restorer weights 'nowhere.safetensors'"),
        (["model.weights=base"], "weights of GridUNet (base), but the config trains"),
    ],
)
def test_what_cannot_be_trained_on_is_one_message(config, tmp_path, options, message, capsys):
    train = load_tool("train")
    assert train(config, "--work-dir", tmp_path / "w", "--cfg-options", *options) == 2
    assert message in " ".join(capsys.readouterr().err.split())


def test_a_config_that_is_none(tmp_path, capsys):
    assert load_tool("train")(tmp_path / "none.py") == 2
    told = capsys.readouterr().err
    assert "Traceback" not in told
    assert "none.py is no file; those of configs/ lie in the" in " ".join(told.split())
