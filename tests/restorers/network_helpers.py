"""Sizes and costs of networks."""

from __future__ import annotations

import torch
from torch import nn


def count(*modules):
    return sum(value.numel() for module in modules for value in module.parameters())


def on_meta(make, *args, **kwargs):
    with torch.device("meta"):
        return make(*args, **kwargs)


def thop_macs(network, image):
    """Multiply-accumulates as thop counts them: transposed convolutions by output elements."""
    total = 0

    def hook(layer, inputs, output):
        nonlocal total
        if isinstance(layer, nn.Linear):
            total += output.numel() * layer.in_features
        else:
            taps = layer.kernel_size[0] * layer.kernel_size[1]
            total += output.numel() * layer.in_channels // layer.groups * taps

    for module in network.modules():
        if isinstance(module, nn.Linear | nn.Conv2d | nn.ConvTranspose2d):
            module.register_forward_hook(hook)
    with torch.no_grad():
        network.eval()(image)
    return total
