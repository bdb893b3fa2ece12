"""A checkpoint that runs code, given to every command that reads one."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch
from planted import plant
from tool_runs import load_tool, run

pytest.importorskip("mmdet", reason="needs mmdet, which tools/bootstrap.py installs")

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "openmmlab"))
import toysets  # noqa: E402  (the toy models are imported by the configs by this path)
from mmengine.config import Config  # noqa: E402

from jpeg_preproc.demo import demo_configs  # noqa: E402

TRAINING = ROOT / "configs/restorers/gridunet/gridunet_nano_cpu_24k.py"
REFUSED = "holds more than tensors (it names posix.system): it would run code when loaded"


@pytest.fixture
def mark(tmp_path) -> Path:
    return tmp_path / "code has run"


def one_line(capsys) -> str:
    """What was printed as an error, which is one and no traceback."""
    error = " ".join(capsys.readouterr().err.split())
    assert error.count("holds more than tensors") == 1 and "Traceback" not in error
    return error


@pytest.mark.parametrize("form", ["zip", "legacy"])
def test_eval_downstream(tool, tmp_path, mark, capsys, form):
    config = toysets.detector_config(tmp_path, toysets.write_coco(tmp_path / "coco"))
    whole = torch.load(toysets.checkpoint(tmp_path), weights_only=True)
    path = plant(tmp_path / "planted.pth", mark, checkpoint=whole, form=form)
    arguments = (config, path, "--qf", 50, "--restorers")
    assert run(tool, tmp_path, *arguments) == 2
    error = one_line(capsys)
    assert f"{path} {REFUSED}" in error and "--trust-checkpoint" in error
    assert not mark.exists()
    assert run(tool, tmp_path, *arguments, "--trust-checkpoint") == 0
    assert mark.exists()


@pytest.mark.slow
def test_benchmark(tmp_path, mark, capfd):
    benchmark = load_tool("benchmark")
    config, checkpoint = demo_configs()["segmenter"]
    whole = torch.load(checkpoint, weights_only=True)
    path = plant(tmp_path / "planted.pth", mark, checkpoint=whole)
    arguments = ("--restorers", "--model", config, path, "--sizes", "64x64", "--devices", "cpu")
    arguments += ("--seconds", 0, "--repeats", 1, "--out", tmp_path / "out")
    assert benchmark(*arguments) == 2
    error = one_line(capfd)
    assert f"{path} {REFUSED}" in error and "--trust-checkpoint" in error
    assert not mark.exists()
    assert benchmark(*arguments, "--trust-checkpoint") == 0
    assert mark.exists()


@pytest.fixture
def training(tmp_path, miniature, monkeypatch) -> Path:
    """A config of four steps, whose second step's checkpoint lies in ``work``."""
    monkeypatch.setenv("JPEG_PREPROC_DATA", str(tmp_path))
    config = miniature(
        Config.fromfile(TRAINING),
        **{"train_dataloader.dataset.crop": 48, "train_cfg.max_iters": 2},
        **{"train_cfg.val_interval": 2, "default_hooks.checkpoint.interval": 2},
    )
    config.visualizer.vis_backends = [dict(type="LocalVisBackend")]
    config.dump(tmp_path / "toy.py")
    train = load_tool("train")
    assert train(tmp_path / "toy.py", "--work-dir", tmp_path / "work") == 0
    config.train_cfg.max_iters = 4
    config.dump(tmp_path / "toy.py")
    return tmp_path / "toy.py"


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("where", ["meta.planted", "message_hub.runtime_info.x", "optimizer.x"])
def test_train_resume(training, tmp_path, mark, capsys, where):
    train = load_tool("train")
    last = tmp_path / "work" / "iter_2.pth"
    content = torch.load(last, weights_only=False)
    plant(last, mark, checkpoint=content, where=where)
    arguments = (training, "--work-dir", tmp_path / "work", "--resume")
    capsys.readouterr()
    assert train(*arguments) == 2
    assert f"{last} {REFUSED}" in one_line(capsys)
    assert not mark.exists() and not (tmp_path / "work" / "iter_4.pth").exists()
    assert train(*arguments, "--trust-checkpoint") == 0
    assert mark.exists() and (tmp_path / "work" / "iter_4.pth").exists()


@pytest.mark.filterwarnings("ignore")
def test_train_from_other_weights(training, tmp_path, mark, capsys):
    train = load_tool("train")
    content = torch.load(tmp_path / "work" / "iter_2.pth", weights_only=False)
    path = plant(tmp_path / "planted.pth", mark, checkpoint=content)
    capsys.readouterr()
    for options in (["load_from"], ["model.init_cfg.type=Pretrained", "model.init_cfg.checkpoint"]):
        *others, name = options
        arguments = (training, "--work-dir", tmp_path / "other")
        arguments += ("--cfg-options", *others, f"{name}={path}")
        assert train(*arguments) == 2
        assert f"{path} {REFUSED}" in one_line(capsys)
        assert not mark.exists()
    options = ("--cfg-options", f"load_from={path}", "--trust-checkpoint")
    assert train(training, "--work-dir", tmp_path / "other", *options) == 0
    assert mark.exists()


@pytest.mark.filterwarnings("ignore")
def test_resuming_runs_no_text_of_a_checkpoint_and_removes_no_folder(training, tmp_path, mark):
    train = load_tool("train")
    last = tmp_path / "work" / "iter_2.pth"
    content = torch.load(last, weights_only=False)
    precious = tmp_path / "precious"
    precious.mkdir()
    # mmengine takes the one for a config in Python, the other for what is to be removed.
    content["meta"]["config"] = f"open({str(mark)!r}, 'w').close()\n"
    content["message_hub"]["runtime_info"].update(best_ckpt=str(precious), best_score=-1e9)
    content["message_hub"]["resumed_keys"].update(best_ckpt=True, best_score=True)
    torch.save(content, last)
    # Its own best checkpoint so far is what a better one does replace.
    assert train(training, "--work-dir", tmp_path / "work", "--resume") == 0
    assert not mark.exists() and precious.is_dir()
    assert list((tmp_path / "work").glob("best_*iter_4.pth"))


@pytest.mark.filterwarnings("ignore")
def test_weights_alone_are_nothing_to_go_on_from(training, tmp_path, capsys):
    train = load_tool("train")
    last = tmp_path / "work" / "iter_2.pth"
    torch.save({"state_dict": torch.load(last, weights_only=False)["state_dict"]}, last)
    capsys.readouterr()
    assert train(training, "--work-dir", tmp_path / "work", "--resume") == 2
    error = " ".join(capsys.readouterr().err.split())
    assert f"{last}: no training can go on from it" in error and "Traceback" not in error
