"""Build the network of a config of mmdet or mmseg, and load a checkpoint that must fit it."""

from __future__ import annotations

import contextlib
import io
import os
import warnings
from collections.abc import Iterator

from mmengine.config import Config
from mmengine.model import revert_sync_batchnorm
from mmengine.registry import MODELS
from torch import nn

from jpeg_preproc.checkpoint import guarded_mmengine, read_checkpoint
from jpeg_preproc.errors import JpegPreprocError, WeightsError

_MEND = "Give the checkpoint that was trained with this config, or the config of this checkpoint"


def load_model(
    config: Config,
    checkpoint: str | os.PathLike[str],
    device: str,
    *,
    trust_checkpoint: bool = False,
) -> nn.Module:
    """Build a config's model with a checkpoint's weights, in eval mode on ``device``.

    Args:
        config: The config.
        checkpoint: Path of the weights.
        device: The device that the model is put on.
        trust_checkpoint: Load a checkpoint that holds more than tensors, which runs its code.

    Raises:
        UntrustedCheckpointError: The checkpoint holds more than tensors.
        WeightsError: The checkpoint is missing, damaged, or not of this model.
        JpegPreprocError: The model cannot be built.
    """
    path = os.fspath(checkpoint)
    loaded = read_checkpoint(path, trust=trust_checkpoint)
    model = build_model(config, trust_checkpoint=trust_checkpoint)
    try:
        state = loaded.get("state_dict", loaded)
        state = {key.removeprefix("module."): value for key, value in state.items()}
    except AttributeError as error:
        raise WeightsError(
            f"{path} cannot be read as a checkpoint: it holds no weights by name; fetch it again"
        ) from error
    try:
        missing = set(model.load_state_dict(state, strict=False).missing_keys)
    except RuntimeError as error:  # shapes differ
        # torch lists every tensor, one on a line below a heading.
        reasons = [line.strip() for line in str(error).splitlines()[1:]] or [str(error)]
        raise WeightsError(
            f"{path} is not a checkpoint of {config.filename}: {reasons[0]}"
            f"{f' And {len(reasons) - 1} more.' if len(reasons) > 1 else ''} {_MEND}"
        ) from error
    # Buffers may be younger than the checkpoint; a parameter left at random is always wrong.
    random = [name for name, _ in model.named_parameters() if name in missing]
    if random:
        raise WeightsError(
            f"{path} is not a checkpoint of {config.filename}: it has no {', '.join(random[:3])}"
            f"{f' and {len(random) - 3} more' if len(random) > 3 else ''}. {_MEND}"
        )
    model.cfg = config
    return model.to(device).eval()


def build_model(config: Config, *, trust_checkpoint: bool = False) -> nn.Module:
    """Build a config's model with random weights, on the CPU.

    Args:
        config: The config.
        trust_checkpoint: Let the model's constructor load checkpoints that hold more than tensors.

    Raises:
        JpegPreprocError: The model cannot be built.
    """
    try:
        # Synchronised batch norm runs on GPUs only; in eval mode the plain one is the same.
        with guarded_mmengine(trust_checkpoint):
            return revert_sync_batchnorm(MODELS.build(config.model))
    except (KeyError, TypeError, ImportError, AssertionError) as error:
        raise JpegPreprocError(
            f"{config.filename}: its model cannot be built: {error}; is the package it belongs to "
            "installed (default_scope, custom_imports)?"
        ) from error


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Keep what pycocotools prints and OpenMMLab warns of out of the progress display."""
    with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
        for package in ("mmengine", "mmcv", "mmdet", "mmseg", "torch"):
            warnings.filterwarnings("ignore", module=rf"{package}\b")
        yield
