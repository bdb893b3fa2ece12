"""From a config to a runner that trains: the options of the command line, one process or many."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config

from jpeg_preproc.defaults import CONFIG_ABSENT
from jpeg_preproc.distributed import join_processes
from jpeg_preproc.errors import TrainingError
from jpeg_preproc.training.runner import GuardedRunner


def build_runner(
    config: str,
    work_dir: str | None = None,
    *,
    resume: bool = False,
    bf16: bool = False,
    launcher: str = "none",
    cfg_options: Mapping[str, Any] | None = None,
    trust_checkpoint: bool = False,
) -> GuardedRunner:
    """Return the runner of a config of ``configs/restorers``.

    Args:
        config: Path of the config.
        work_dir: Where logs, checkpoints and weights go; ``None`` for ``work_dirs/<config name>``.
        resume: Go on from the last checkpoint in ``work_dir``, or start if there is none.
        bf16: Compute convolutions and matrix products in bf16.
        launcher: What has started the processes, one of
            :data:`~jpeg_preproc.distributed.LAUNCHERS`.
        cfg_options: Dotted keys and the values they are set to.
        trust_checkpoint: Go on or start from a checkpoint that holds more than tensors, which runs
            its code.

    Raises:
        TrainingError: The config cannot be read.
        LauncherError: The launcher has not started this process.
        JpegPreprocError: The data or the weights that it names cannot be used.
    """
    if not Path(config).is_file():
        raise TrainingError(f"{config} {CONFIG_ABSENT}")
    try:
        cfg = Config.fromfile(config)
    except (OSError, SyntaxError, NameError, KeyError, ImportError) as error:
        raise TrainingError(f"{config} cannot be read as an mmengine config: {error}") from error
    cfg.merge_from_dict(dict(cfg_options or {}))
    if bf16:
        cfg.model.autocast = "bf16"
    cfg.work_dir = work_dir or f"work_dirs/{Path(config).stem}"
    cfg.resume = resume
    cfg.launcher = launcher
    join_processes(launcher)
    if launcher != "none" and not torch.cuda.is_available():
        cfg.model_wrapper_cfg = dict(
            type="MMDistributedDataParallel", device_ids=None, broadcast_buffers=False
        )
    return GuardedRunner.from_cfg(cfg, trust_checkpoint=trust_checkpoint)
