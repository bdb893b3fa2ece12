"""Learning from a larger restorer: its output is a target beside the clean image."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from jpeg_preproc.errors import TrainingError
from jpeg_preproc.restorers.contract import Quality
from jpeg_preproc.restorers.device import to_channels_last
from jpeg_preproc.restorers.weights import load_weights


class Teacher:
    """A frozen restorer whose results a smaller one learns to give.

    After Hinton, Vinyals and Dean, "Distilling the Knowledge in a Neural Network", 2015. It knows
    what can be restored and what cannot, and so is an easier target than the clean image. As a
    :class:`~jpeg_preproc.training.feature_losses.TaskLoss` it is no ``nn.Module``, and copies of
    the model that holds it share it.

    Args:
        weights: A shipped name, or the path of a safetensors file with its manifest beside it.
        share: Share of the pixel loss that is towards the teacher, 0-1; the rest is towards the
            clean image.

    Raises:
        TrainingError: ``share`` is outside 0-1.
        WeightsError: The weights are damaged.
    """

    def __init__(self, weights: str, share: float = 0.7) -> None:
        if not 0 < share <= 1:
            raise TrainingError(f"model.teacher.share is {share!r}; give a number above 0, up to 1")
        self.share = float(share)
        network, manifest = load_weights(weights)
        to_channels_last(network)
        self._network = network.requires_grad_(False).eval()
        #: For the manifest of what learns from it.
        self.record = {"name": manifest.name, "sha256": manifest.sha256, "share": self.share}

    @torch.no_grad()
    def __call__(self, image: Tensor, quality: Quality) -> Tensor:
        """Return its results, (N, C, H, W).

        Args:
            image: Decoded JPEG images, (N, C, H, W) in [0, 1].
            quality: What is told of them.
        """
        return self._network(image, quality).image.float()

    def apply(self, change: Callable[[Tensor], Tensor]) -> None:
        """Move or convert it as ``nn.Module._apply`` does the model that holds this."""
        self._network._apply(change)

    def __deepcopy__(self, memo: dict[int, Any]) -> Teacher:
        return self
