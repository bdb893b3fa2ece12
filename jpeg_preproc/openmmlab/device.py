"""Whether a transform may use a device in the process it runs in."""

from __future__ import annotations

import multiprocessing

import torch
from torch.utils.data import get_worker_info

from jpeg_preproc.errors import PipelineError


def require_device(device: str) -> None:
    """Check that ``device`` exists and that this process may use it.

    A forked process cannot use CUDA once its parent has; torch's own error says nothing of
    dataloaders, and comes only when the parent happened to be first.

    Raises:
        PipelineError: An unknown or absent device, or CUDA in a forked dataloader worker.
    """
    try:
        kind = torch.device(device).type
    except RuntimeError as error:
        raise PipelineError(
            f"JpegRestore: device {device!r} is not torch's: {error}; give 'cpu' or 'cuda:0'"
        ) from error
    if kind != "cuda":
        return
    if get_worker_info() is not None and _was_forked():
        raise PipelineError(
            f"JpegRestore(device={device!r}) runs in a forked dataloader worker, where CUDA cannot "
            "be used: set num_workers=0 (and persistent_workers=False) in the dataloader, or "
            "device='cpu', or restore on the model's side: with_jpeg_restore(where='preprocessor')"
        )
    if not torch.cuda.is_available():
        raise PipelineError(
            f"JpegRestore(device={device!r}): torch finds no CUDA device here; set device='cpu'"
        )


def _was_forked() -> bool:
    """Tell whether this process was started by fork, by its own method or the default one."""
    own = getattr(multiprocessing.current_process(), "_start_method", None)
    return (own or multiprocessing.get_start_method()) == "fork"
