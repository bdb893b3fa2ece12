"""A GPU that is not there: tensors without values, whose devices PyTorch checks all the same.

Under PyTorch's ``FakeTensorMode`` an operation computes shapes, dtypes and devices alone, and
raises where it would on a GPU because one of its tensors was left on the CPU. What computes wrong
values, runs out of memory or is slow there, only a real one shows.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from torch._subclasses.fake_tensor import (
    DataDependentOutputException,
    FakeTensor,
    FakeTensorMode,
)

from jpeg_preproc.restorers import JpegRestorer, engine

#: What PyTorch says where the devices of an operation differ, here and on a GPU.
DEVICES_DIFFER = "two different devices"

skip_without = pytest.mark.skipif(
    tuple(map(int, torch.__version__.split(".")[:2])) < (2, 6),
    reason="FakeTensorMode of older torch does not follow modules to another device",
)


# Of these FakeTensorMode takes the first tensor's device for that of all.
_UNCHECKED = (
    torch.ops.aten.convolution.default,
    torch.ops.aten.convolution_backward.default,
)


class _Mode(FakeTensorMode):
    """What is asked of a value is true, or 1, and one element of a mask is set.

    So the body of ``while wrong.any():`` is run, and ``values[wrong]`` is one of them.
    """

    def __init__(self) -> None:
        super().__init__(allow_non_fake_inputs=True)  # they count as being on the CPU

    def dispatch(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is torch.ops.aten.nonzero.default:
            return args[0].new_zeros((1, args[0].ndim), dtype=torch.int64)
        if func in _UNCHECKED:
            devices = {one.device.type for one in args[:3] if isinstance(one, torch.Tensor)}
            if len(devices) > 1:
                raise RuntimeError(f"{func}: found {DEVICES_DIFFER}: {', '.join(devices)}")
        try:
            return super().dispatch(func, types, args, kwargs)
        except DataDependentOutputException:
            return args[0].dtype == torch.bool or 1


def _numpy(tensor: FakeTensor, **_: Any) -> np.ndarray:
    """Return zeros, of a tensor that has been fetched from the device."""
    if tensor.device.type != "cpu":
        raise TypeError(f"can't convert {tensor.device} device type tensor to numpy")
    return np.zeros(tensor.shape, str(tensor.dtype).removeprefix("torch."))


def _backward(loss: torch.Tensor, *_: Any, **__: Any) -> None:
    """Give each parameter that the loss depends on a gradient, where the parameter is.

    Torch's own backward pass, of which nothing is ours, would begin with the driver.
    """
    left, seen = [loss.grad_fn], set()
    while left:
        node = left.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        left += [following for following, _ in node.next_functions]
        if hasattr(node, "variable"):
            node.variable.grad = torch.empty_like(node.variable)


@contextlib.contextmanager
def pretended_cuda() -> Iterator[pytest.MonkeyPatch]:
    """Let ``'cuda'`` be there in the block; what is made before it is on the CPU.

    Estimating a quality from pixels has no place in it: what the estimator says is kept by a cache.
    """
    with pytest.MonkeyPatch.context() as patch, _Mode():
        patch.setattr(engine, "usable_device", torch.device)
        patch.setattr(FakeTensor, "numpy", _numpy)
        patch.setattr(torch.Tensor, "backward", _backward)
        # In inference mode tensors of this kind would be asked for a driver.
        restore = JpegRestorer._restore_batch.__wrapped__  # type: ignore[attr-defined]
        patch.setattr(JpegRestorer, "_restore_batch", torch.no_grad()(restore))
        # Else autocast is off, with a warning.
        patch.setattr(torch.cuda.amp.common, "amp_definitely_not_available", lambda: False)
        patch.setattr(torch.cuda, "is_bf16_supported", lambda *_: True)
        yield patch


@contextlib.contextmanager
def recorded(network: torch.nn.Module) -> Iterator[list[torch.device]]:
    """Yield the devices of what each convolution of a network returns."""
    seen: list[torch.device] = []
    hooks = [
        module.register_forward_hook(lambda _, __, output: seen.append(output.device))
        for module in network.modules()
        if isinstance(module, torch.nn.Conv2d | torch.nn.Conv3d)
    ]
    yield seen
    for hook in hooks:
        hook.remove()
