"""Weights of which every one matters: networks start with some at zero, on purpose."""

from __future__ import annotations

from typing import TypeVar

import torch
from torch import nn

Module = TypeVar("Module", bound=nn.Module)


def stir(module: Module, by: float = 0.02) -> Module:
    """Return ``module`` in eval mode, with noise of deviation ``by`` on all that it has learned.

    The running means and variances of batch norm count too; the noise is the same in each run.
    """
    noise = torch.Generator().manual_seed(0)
    statistics = [
        value for name, value in module.named_buffers() if name.endswith(("_mean", "_var"))
    ]
    with torch.no_grad():
        for value in module.parameters():
            value.add_(torch.randn(value.shape, generator=noise, dtype=value.dtype) * by)
        for statistic in statistics:
            statistic.add_(torch.rand(statistic.shape, generator=noise, dtype=statistic.dtype) * by)
    return module.eval()
