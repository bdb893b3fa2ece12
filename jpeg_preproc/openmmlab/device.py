"""Whether a transform may use a device in the process it runs in."""

from __future__ import annotations

import multiprocessing

from torch.utils.data import get_worker_info

from jpeg_preproc.errors import DeviceError, PipelineError
from jpeg_preproc.restorers.device import usable_device


def require_device(device: str) -> None:
    """Check that ``device`` exists and that this process may use it.

    A forked process cannot use CUDA once its parent has; torch's own error says nothing of
    dataloaders, and comes only when the parent happened to be first.

    Raises:
        PipelineError: The device is unknown or absent, or is CUDA in a forked dataloader worker.
    """
    # This comes first, since in a forked process it may be an error to ask whether CUDA is there.
    if device.startswith("cuda") and get_worker_info() is not None and _was_forked():
        raise PipelineError(
            f"JpegRestore(device={device!r}) runs in a forked dataloader worker, where CUDA cannot "
            "be used: set num_workers=0 (and persistent_workers=False) in the dataloader, or "
            "device='cpu', or restore on the model's side: with_jpeg_restore(where='preprocessor')"
        )
    try:
        usable_device(device)
    except DeviceError as error:
        raise PipelineError(f"JpegRestore: {error}") from error


def _was_forked() -> bool:
    """Tell whether this process was started by fork, by its own method or the default one."""
    own = getattr(multiprocessing.current_process(), "_start_method", None)
    return (own or multiprocessing.get_start_method()) == "fork"
