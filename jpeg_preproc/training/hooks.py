"""What happens during a training besides steps: weights that can be used at once."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.dist import master_only
from mmengine.hooks import EMAHook, Hook
from mmengine.model import is_model_wrapper
from mmengine.registry import HOOKS
from torch.nn.modules.batchnorm import _BatchNorm

from jpeg_preproc.errors import TrainingError
from jpeg_preproc.restorers.weights import save_weights

# What a runner's message hub has the validations under.
_GAINS = "jpeg_preproc_gains"


@HOOKS.register_module()
class StopOnNanHook(Hook):
    """End a training whose loss is no number, before the step's weights are kept anywhere.

    The last checkpoint stays the last good one.

    Raises:
        TrainingError: A loss is no number; the message names the step and the items of the data
            set.
    """

    # Before the hooks that average, save and log.
    priority = "VERY_HIGH"

    def after_train_iter(
        self, runner: Any, batch_idx: int, data_batch: Any = None, outputs: Any = None
    ) -> None:
        """Look at every loss of the step."""
        for name, value in (outputs or {}).items():
            if isinstance(value, torch.Tensor) and not bool(torch.isfinite(value).all()):
                items = data_batch["item"].tolist() if "item" in data_batch else "unknown"
                raise TrainingError(
                    f"step {runner.iter + 1}: {name} is {value.item()}; the batch was items "
                    f"{items} of the training set. The last checkpoint in {runner.work_dir} is "
                    "good: lower the learning rate or clip gradients more, and go on from it "
                    "with --resume"
                )


@HOOKS.register_module()
class SaveEstimatorHook(Hook):
    """Write the weights of the quality estimator, with their manifest, into the work directory.

    To ship them, copy both files to ``jpeg_preproc/restorers/estimator``.

    Args:
        licence: Licence of the weights.
        interval: Steps between two writes.
    """

    priority = "LOW"

    def __init__(self, licence: str = "", interval: int = 500) -> None:
        self.licence, self.interval = licence, interval

    def after_train_iter(
        self, runner: Any, batch_idx: int, data_batch: Any = None, outputs: Any = None
    ) -> None:
        """Write every ``interval`` steps and after the last one."""
        if self.every_n_train_iters(runner, self.interval) or runner.iter + 1 == runner.max_iters:
            training = {
                "config": Path(runner.cfg.filename or "").name,
                "iterations": runner.iter + 1,
                "data": list(runner.cfg.get("clean_data", [])),
                "labels": runner.cfg.get("labels", ""),
            }
            if runner.model.continues is not None:
                training["continues"] = runner.model.continues
            save_weights(
                runner.model.estimator,
                Path(runner.work_dir) / "quality.safetensors",
                preset="",
                training=training,
                licence=self.licence,
            )


@HOOKS.register_module()
class SaveWeightsHook(Hook):
    """Write the (averaged) weights as ``<work dir>/<name>.safetensors`` with their manifest.

    ``JpegRestorer('<work dir>/<name>.safetensors')`` loads them, without running code, while the
    training goes on; to ship them, copy both files to ``jpeg_preproc/restorers/weights``. The
    manifest also names the downstream networks that a ``task`` variant was trained with, has the
    :func:`training_log`, and the config's ``weights_strength``: the share of the correction to
    make, by quality factor.

    Args:
        name: Stem of the files; ``None`` takes the config's ``weights_name``, or its own name.
        data: Lines on the training images and their licences, for the manifest; ``None`` takes the
            config's ``clean_data``.
        licence: Licence of the weights.
        interval: Steps between two writes.
    """

    priority = "LOW"

    def __init__(
        self,
        name: str | None = None,
        data: Sequence[str] | None = None,
        licence: str = "",
        interval: int = 500,
    ) -> None:
        self.name, self.data = name, data
        self.licence, self.interval = licence, interval

    def after_train_iter(
        self, runner: Any, batch_idx: int, data_batch: Any = None, outputs: Any = None
    ) -> None:
        """Write every ``interval`` steps and after the last one."""
        if self.every_n_train_iters(runner, self.interval) or runner.iter + 1 == runner.max_iters:
            self.write(runner, runner.iter + 1)

    def after_val_epoch(self, runner: Any, metrics: dict[str, float] | None = None) -> None:
        """Keep what the validation found, and write with it."""
        if not runner.iter:  # validated without having been trained
            return
        gain = (metrics or {}).get("psnr/gain")
        if gain is not None:
            pair = [runner.iter, round(float(gain), 4)]
            # In checkpoints, so that a resume knows of it.
            hub = runner.message_hub
            hub.update_info(_GAINS, [*hub.get_info(_GAINS, []), pair])
        self.write(runner, runner.iter)

    @master_only
    def write(self, runner: Any, steps: int) -> Path:
        """Write the weights as they are after ``steps`` and return their path."""
        averaged = [hook.ema_model for hook in runner.hooks if isinstance(hook, EMAHook)]
        model = averaged[0] if averaged else runner.model
        while is_model_wrapper(model) or averaged:
            model, averaged = model.module, []
        config = Path(runner.cfg.filename or "")
        name = self.name or runner.cfg.get("weights_name") or config.stem
        data = self.data if self.data is not None else runner.cfg.get("clean_data", [])
        training = {
            "config": config.name,
            "iterations": steps,
            "data": list(data),
            "log": training_log(runner, self.interval),
        }
        if model.continues is not None:
            training["continues"] = model.continues
        if model.task is not None:
            training["task"] = model.task.records()
        if model.teacher is not None:
            training["teacher"] = model.teacher.record
        path = Path(runner.work_dir) / f"{name}.safetensors"
        save_weights(
            model.restorer,
            path,
            preset=model.preset,
            settings=dict(model.settings),
            dtype=torch.float16,
            training=training,
            licence=self.licence,
            strength=runner.cfg.get("weights_strength"),
        )
        return path


def training_log(runner: Any, every: int) -> dict[str, list[list[float]]]:
    """Return how a training went, thin enough for a manifest.

    Both lists are of pairs. ``loss`` has the mean loss of each ``every`` steps, by the last of
    them; ``gain`` the mean gain in dB over JPEG of the averaged weights, by the step at which they
    were validated. After a resume both begin where the training did.

    Args:
        runner: The runner that trains.
        every: Steps of one mean.
    """
    hub = runner.message_hub
    known = hub.log_scalars.get("train/loss")
    losses = np.empty(0) if known is None else np.asarray(known.data[0])
    return {
        "loss": [
            [min(start + every, len(losses)), round(float(losses[start : start + every].mean()), 6)]
            for start in range(0, len(losses), every)
        ],
        "gain": hub.get_info(_GAINS, []),
    }


@HOOKS.register_module()
class FreezeNormHook(Hook):
    """Keep the statistics of every batch norm of a model as its checkpoint has them.

    Fine-tuning with few images to a batch would else replace them by poor estimates; and where a
    checkpoint has its statistics folded into the convolutions, as converted ones often have, a
    norm that goes by the batch computes something else altogether. Scales and offsets learn on.
    """

    def before_train_iter(self, runner: Any, batch_idx: int, data_batch: Any = None) -> None:
        """Put the norms into evaluation, out of which each ``train()`` of the model takes them."""
        for module in runner.model.modules():
            if isinstance(module, _BatchNorm):
                module.eval()
