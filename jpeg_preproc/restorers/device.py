"""Whether a device is there, and which precision it can do."""

from __future__ import annotations

import re
import warnings
from functools import cache

import torch
from torch import nn

from jpeg_preproc.errors import DeviceError

# torch's messages, of CUDA and of the CPU.
_NO_MEMORY = re.compile("out of memory|allocate memory")


def usable_device(device: str | torch.device) -> torch.device:
    """Return ``device`` as torch's, if torch knows it and, of CUDA, finds it.

    Raises:
        DeviceError: It is unknown, or a CUDA device that is not there.

    >>> usable_device("cpu")
    device(type='cpu')
    """
    try:
        found = torch.device(device)
    except RuntimeError as error:
        raise DeviceError(
            f"device {device!r} is not torch's: {error}; give 'cpu' or 'cuda:0'"
        ) from error
    if found.type == "cuda" and not torch.cuda.is_available():
        raise DeviceError(f"device {device!r}: torch finds no CUDA device here; set device='cpu'")
    if found.type == "cuda" and (found.index or 0) >= torch.cuda.device_count():
        raise DeviceError(
            f"device {device!r}: torch finds {torch.cuda.device_count()} CUDA device(s), counted "
            "from 0; give one of these"
        )
    return found


def is_out_of_memory(error: Exception) -> bool:
    """Tell whether ``error`` says that the CPU's or a GPU's memory does not suffice.

    >>> is_out_of_memory(RuntimeError("CUDA out of memory.")), is_out_of_memory(ValueError("no"))
    (True, False)
    """
    if isinstance(error, RuntimeError):
        return _NO_MEMORY.search(str(error)) is not None
    return isinstance(error, MemoryError)


def autocast(device: torch.device, dtype: torch.dtype) -> torch.autocast:
    """Return a context in which convolutions run in ``dtype``; in fp32 whatever is outside.

    Raises:
        DeviceError: This torch cannot do it on this device.
    """
    if dtype is torch.float16 and device.type == "cpu" and not _cpu_has_fp16():
        raise DeviceError(
            f"torch {torch.__version__} has no fp16 on the CPU; take bf16 or fp32, or a newer torch"
        )
    half = dtype is not torch.float32
    # torch 2.1 refuses fp32 by name even for a context that is off.
    return torch.autocast(device.type, dtype if half else None, enabled=half)


def to_channels_last(network: nn.Module) -> None:
    """Store kernels as convolutions read them when images are (N, H, W, C) in memory.

    Networks of 3×3 convolutions take about a quarter less time on the CPU so.
    """
    for value in network.parameters():
        if value.ndim == 4:  # networks may have 3-D kernels as well
            value.data = value.data.contiguous(memory_format=torch.channels_last)


@cache
def _cpu_has_fp16() -> bool:
    """Tell by whether torch warns, as 2.1 does before it fails on entering."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", UserWarning)
            torch.autocast("cpu", torch.float16)
    except UserWarning:
        return False
    return True
