"""A bilateral filter: Tomasi and Manduchi, "Bilateral Filtering for Gray and Color Images".

ICCV 1998. Each pixel becomes the mean of those around it, each weighted by how near it is, in the
image and in colour. It has learned nothing: a cheap row of what is gained without learning, beside
those of networks. Where the paper takes CIE Lab, this takes RGB, as the networks do.
"""

from __future__ import annotations

import math
from typing import ClassVar

import torch
from torch import Tensor, nn

from jpeg_preproc.restorers.contract import Quality, Restorer, RestorerOutput, RestorerSpec, reach


class Bilateral(Restorer):
    """The filter as a network of two parameters, so that it stands wherever networks do.

    Args:
        channels: Channels of the images: 3 is RGB, 1 is luma.
        radius: How far it looks along an axis, pixels.
        space: Deviation of the weights in the image, pixels.
        colour: Deviation of the weights in colour, of images in [0, 1].
    """

    spec: ClassVar[RestorerSpec] = RestorerSpec(
        channels=(1, 3),
        size_multiple=1,
        quality="ignored",
        paper="Tomasi and Manduchi, ICCV 1998",
    )
    presets: ClassVar[dict[str, dict[str, object]]] = {
        "base": {"channels": 3},
        "grey": {"channels": 1},
    }

    #: Squared distance of each neighbour in the image, (1, K, 1, 1), pixels.
    distances: Tensor

    def __init__(
        self, channels: int = 3, radius: int = 2, space: float = 1.0, colour: float = 0.08
    ) -> None:
        super().__init__()
        self.channels = channels
        side = 2 * radius + 1
        # A convolution with one kernel for each neighbour, which is 1 there, copies it.
        self.neighbours = nn.Conv2d(
            *(1, side * side, side), padding=radius, padding_mode="replicate", bias=False
        )
        kernels = torch.eye(side * side).reshape(side * side, 1, side, side)
        del self.neighbours.weight
        self.neighbours.register_buffer("weight", kernels, persistent=False)
        steps = torch.arange(-radius, radius + 1).square()
        distances = (steps[:, None] + steps).reshape(1, -1, 1, 1).float()
        self.register_buffer("distances", distances, persistent=False)
        self.log_space = nn.Parameter(torch.full((1,), math.log(space)))
        self.log_colour = nn.Parameter(torch.full((1,), math.log(colour)))

    @property
    def receptive_radius(self) -> int:
        """As far as the filter looks."""
        return reach(self)

    def forward(self, image: Tensor, quality: Quality | None = None) -> RestorerOutput:
        """Restore (N, channels, H, W) in [0, 1]; ``quality`` is not looked at."""
        count, channels, height, width = image.shape
        planes = image.reshape(count * channels, 1, height, width)
        around = self.neighbours(planes).reshape(count, channels, -1, height, width)
        differences = (around - image[:, :, None]).square().sum(1)  # (N, K, H, W)
        exponents = self.distances / self.log_space.exp().square()
        exponents = exponents + differences / self.log_colour.exp().square()
        weights = (-exponents / 2).exp()[:, None]
        return RestorerOutput((weights * around).sum(2) / weights.sum(2))
