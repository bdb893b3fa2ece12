"""A whole training in miniature: it learns, resumes, and leaves weights that load."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("mmengine", reason="training needs mmengine")

import mmengine.runner.runner
import torch
from mmengine.config import Config

from jpeg_preproc import JpegRestorer
from jpeg_preproc.errors import TrainingError, WeightsError
from jpeg_preproc.restorers import load_weights
from jpeg_preproc.training.losses import LOSSES, charbonnier
from jpeg_preproc.training.model import RestorationModel
from jpeg_preproc.training.runner import GuardedRunner

CONFIG = Path(__file__).parents[2] / "configs/restorers/gridunet/gridunet_nano_cpu_24k.py"


@pytest.fixture
def config(tmp_path, miniature, monkeypatch):
    monkeypatch.setenv("JPEG_PREPROC_DATA", str(tmp_path))
    options = {"train_dataloader.dataset.crop": 48, "default_hooks.checkpoint.interval": 2}
    cfg = miniature(Config.fromfile(CONFIG), **options)
    for hook in cfg.custom_hooks:
        if hook.type == "SaveWeightsHook":
            hook.update(name="mine", interval=2)
    return cfg


def run(cfg, name):
    cfg.experiment_name = name
    runner = GuardedRunner.from_cfg(cfg)
    runner.train()
    return {key: value.clone() for key, value in runner.model.state_dict().items()}


@pytest.mark.filterwarnings("ignore")
def test_resume_equals_a_straight_run_and_weights_load(config, tmp_path, photo):
    config.train_cfg.update(max_iters=20, val_interval=20)
    config.default_hooks.checkpoint.interval = 10
    config.default_hooks.logger.interval = config.log_processor.window_size = 2
    straight = run(config, "straight")
    weights = tmp_path / "work" / "mine.safetensors"
    _, manifest = load_weights(weights)
    assert manifest.training["iterations"] == 20
    assert manifest.training["config"] == CONFIG.name
    assert JpegRestorer(weights)(photo, qf=10).image.shape == photo.shape

    log = manifest.training["log"]
    (told,) = (tmp_path / "work").glob("*/vis_data/scalars.json")  # mmengine's own
    lines = [json.loads(line) for line in told.read_text().splitlines()]
    losses = {line["step"]: line["loss"] for line in lines if "loss" in line}
    assert list(losses) == list(range(2, 21, 2))
    assert dict(log["loss"]) == pytest.approx(losses, abs=1e-5)
    (gain,) = [line["psnr/gain"] for line in lines if "psnr/gain" in line]
    assert log["gain"] == [[20, pytest.approx(gain, abs=1e-4)]]

    first = Config(config.to_dict())
    first.work_dir = str(tmp_path / "resumed")
    first.train_cfg.update(max_iters=10, val_interval=10)
    run(first, "first")
    second = Config(config.to_dict())
    second.work_dir = first.work_dir
    second.resume = True
    resumed = run(second, "second")
    assert straight.keys() == resumed.keys()
    for key, value in straight.items():
        assert torch.equal(value, resumed[key]), key
    _, manifest = load_weights(tmp_path / "resumed" / "mine.safetensors")
    assert manifest.training["log"]["loss"] == log["loss"]
    assert [step for step, _ in manifest.training["log"]["gain"]] == [10, 20]


def test_the_gain_is_that_of_psnr():
    from jpeg_preproc.training.model import PsnrGain

    items = [
        {"qf": 10, "mse_jpeg": 0.01, "mse": 0.001},
        {"qf": 10, "mse_jpeg": 0.001, "mse": 0.001},
        {"qf": 80, "mse_jpeg": 0.0001, "mse": 0.001},
    ]
    metrics = PsnrGain().compute_metrics(items)
    assert metrics["qf10"] == pytest.approx(30)
    assert metrics["qf10_gain"] == pytest.approx(np.mean([10, 0]))
    assert metrics["qf80_gain"] == pytest.approx(-10)
    assert metrics["gain"] == pytest.approx(-2.5)


@pytest.mark.filterwarnings("ignore")
def test_a_second_stage_goes_on_from_the_first_ones_weights(config, tmp_path):
    run(config, "stage1")
    stage1 = tmp_path / "work" / "mine.safetensors"
    network, before = load_weights(stage1)
    config.model.weights = str(stage1)
    config.work_dir = str(tmp_path / "stage2")
    config.optim_wrapper.optimizer.lr = 0.0
    run(config, "stage2")
    after, manifest = load_weights(tmp_path / "stage2" / "mine.safetensors")
    # Nothing is learnt at a rate of zero, so the second stage ends where the first one did.
    for (key, wanted), value in zip(
        network.state_dict().items(), after.state_dict().values(), strict=True
    ):
        assert torch.allclose(wanted, value, atol=1e-3), key
    assert manifest.training["continues"] == {"sha256": before.sha256, **before.training}


def test_weights_of_another_preset_are_refused(tmp_path):
    with pytest.raises(WeightsError, match=r"base: weights of GridUNet \(base\).*\(nano\)"):
        RestorationModel("GridUNet", "nano", weights="base")


@pytest.mark.filterwarnings("ignore")
def test_a_loss_that_is_no_number_ends_the_training_and_keeps_the_last_checkpoint(
    config, tmp_path, monkeypatch
):
    def spoilt(restored, clean):
        spoilt.calls += 1
        return charbonnier(restored, clean) * (float("nan") if spoilt.calls == 4 else 1.0)

    spoilt.calls = 0
    monkeypatch.setitem(LOSSES, "charbonnier", spoilt)
    with pytest.raises(
        TrainingError, match=r"step 4: loss is nan; the batch was items \[\d+, \d+\]"
    ):
        run(config, "nan")
    work = tmp_path / "work"
    assert sorted(path.name for path in work.glob("iter_*.pth")) == ["iter_2.pth"]
    _, manifest = load_weights(work / "mine.safetensors")
    assert manifest.training["iterations"] == 2


@pytest.mark.filterwarnings("ignore")
def test_bf16_trains_near_fp32(config):
    full = run(config, "fp32")
    config.model.autocast = "bf16"
    config.work_dir += "_bf16"
    half = run(config, "bf16")
    differences = [float((full[key] - half[key]).abs().max()) for key in full]
    assert 0 < max(differences) < 5e-3  # four steps of 1e-3 at most


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # torch's, of its own jit
def test_compiled_losses_are_the_same(config):
    # Inductor takes minutes on a CPU; this backend is the same tracing without its kernels.
    losses, gradients = {}, {}
    for compiled in (False, {"backend": "aot_eager"}):
        torch.manual_seed(0)
        config.model.compile = compiled
        config.experiment_name = f"compiled_{bool(compiled)}"
        runner = GuardedRunner.from_cfg(config)
        data = next(iter(runner.train_dataloader))
        loss = runner.model(**runner.model.data_preprocessor(data, True), mode="loss")["loss"]
        loss.backward()
        losses[bool(compiled)] = loss.item()
        gradients[bool(compiled)] = runner.model.restorer.head.weight.grad
    assert losses[True] == pytest.approx(losses[False], rel=1e-5)
    torch.testing.assert_close(gradients[True], gradients[False], rtol=1e-3, atol=1e-6)


@pytest.mark.filterwarnings("ignore")
def test_a_checkpoint_that_a_kill_left_half_is_passed_over_for_the_one_before(
    config, tmp_path, monkeypatch
):
    run(config, "first")
    work = tmp_path / "work"
    (work / "last_checkpoint").write_text("")  # as a kill may leave it
    whole = work / f"iter_{config.train_cfg.max_iters}.pth"
    half = work / f"iter_{config.train_cfg.max_iters + 2}.pth"
    half.write_bytes(whole.read_bytes()[:5000])
    tried, resume = [], GuardedRunner.resume

    def noted(self, filename, *rest, **settings):
        tried.append(Path(filename))
        resume(self, filename, *rest, **settings)
        assert self.iter == 4

    monkeypatch.setattr(GuardedRunner, "resume", noted)
    config.resume = True
    config.train_cfg.max_iters += 2
    assert whole.name == "iter_4.pth"
    run(config, "second")
    assert tried == [half, whole]
    assert torch.load(half, weights_only=False)["meta"]["iter"] == 6
    for path in work.glob("iter_*.pth"):
        path.write_bytes(b"")
    with pytest.raises(WeightsError, match=r"none of its .* checkpoints can be read"):
        run(config, "third")


@pytest.mark.filterwarnings("ignore")
def test_resuming_goes_by_the_work_directory_and_starts_from_other_weights(
    config, tmp_path, monkeypatch
):
    run(config, "other")
    other = tmp_path / "other.pth"
    (tmp_path / "work" / "iter_4.pth").replace(other)
    config.update(load_from=str(other), resume=True, work_dir=str(tmp_path / "tuned"))
    seen = []
    for name in ("load_checkpoint", "resume"):
        original = getattr(GuardedRunner, name)

        def noted(self, filename, *rest, original=original, name=name, **settings):
            seen.append((name, Path(filename).name))
            return original(self, filename, *rest, **settings)

        monkeypatch.setattr(GuardedRunner, name, noted)
    config.train_cfg.max_iters = 2
    run(config, "started")
    assert seen == [("load_checkpoint", "other.pth")]
    config.train_cfg.max_iters = 4
    run(config, "went_on")
    assert seen[1] == ("resume", "iter_2.pth") and ("resume", "other.pth") not in seen


@pytest.mark.filterwarnings("ignore")
def test_a_full_disk_ends_the_training_and_keeps_the_checkpoint_before(
    config, tmp_path, monkeypatch
):
    write = mmengine.runner.runner.save_checkpoint

    def on_full_disk(checkpoint, filename, **settings):
        write(checkpoint, filename, **settings)
        if checkpoint["meta"]["iter"] > 2:
            path = Path(filename)
            path.write_bytes(path.read_bytes()[:1000])
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(mmengine.runner.runner, "save_checkpoint", on_full_disk)
    with pytest.raises(TrainingError, match=r"iter_4\.pth cannot be written .*No space left"):
        run(config, "full")
    assert sorted(path.name for path in (tmp_path / "work").glob("*.pth")) == ["iter_2.pth"]
    assert not list((tmp_path / "work").glob(".*"))
