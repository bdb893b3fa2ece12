"""Build the network of a config of mmdet or mmseg, and load a checkpoint that must fit it."""

from __future__ import annotations

import contextlib
import io
import os
import pickle
import warnings
from collections.abc import Iterator
from pathlib import Path

from mmengine.config import Config
from mmengine.model import revert_sync_batchnorm
from mmengine.registry import MODELS
from mmengine.runner.checkpoint import CheckpointLoader
from torch import nn

from jpeg_preproc.errors import JpegPreprocError, WeightsError

# What loading a damaged or foreign checkpoint raises.
_CHECKPOINT_ERRORS = (
    OSError,
    EOFError,
    RuntimeError,
    LookupError,
    ValueError,
    pickle.UnpicklingError,
)
_MEND = "Give the checkpoint that was trained with this config, or the config of this checkpoint"


def load_model(config: Config, checkpoint: str | os.PathLike[str], device: str) -> nn.Module:
    """Build a config's model with a checkpoint's weights, in eval mode on ``device``.

    Raises:
        WeightsError: The checkpoint is missing, damaged, or not of this model.
        JpegPreprocError: The model cannot be built.
    """
    path = Path(checkpoint)
    if not path.is_file():
        raise WeightsError(f"{path} does not exist; give a checkpoint file, downloaded already")
    model = build_model(config)
    try:
        loaded = CheckpointLoader.load_checkpoint(str(path), map_location="cpu", logger=None)
        state = loaded.get("state_dict", loaded)
        state = {key.removeprefix("module."): value for key, value in state.items()}
    except (*_CHECKPOINT_ERRORS, AttributeError) as error:
        raise WeightsError(
            f"{path} cannot be read as a checkpoint: {error}; fetch it again. (torch >= 2.6 reads "
            "tensors only; for an old checkpoint you trust, set TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD=1)"
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


def build_model(config: Config) -> nn.Module:
    """Build a config's model with random weights, on the CPU.

    Raises:
        JpegPreprocError: It cannot be built.
    """
    try:
        # Synchronised batch norm runs on GPUs only; in eval mode the plain one is the same.
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
