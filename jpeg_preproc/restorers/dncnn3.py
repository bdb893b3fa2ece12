"""DnCNN-3: Zhang, Zuo, Chen, Meng, Zhang, "Beyond a Gaussian Denoiser" (IEEE TIP 2017).

A plain row of twenty 3×3 convolutions that predicts what to take away from the image. One set of
weights, trained blind on noise, upscaling and JPEG of quality 5-100, serves every quality.

In training, batch norm stands behind the 18 inner convolutions; the authors publish the weights
with it merged into them, for luma. Both forms are here: :meth:`DnCNN3.merged` goes from one to the
other, and :func:`from_official` takes the published weights over.
"""

from __future__ import annotations

import re
from typing import ClassVar

from torch import Tensor, nn
from torch.nn import functional as F

from jpeg_preproc.errors import WeightsError
from jpeg_preproc.restorers.contract import Quality, Restorer, RestorerOutput, RestorerSpec, reach

# The authors' epsilon, as it enters the result. The momentum is torch's: with the authors' 0.9,
# which in torch is the share of the newest batch, few batches would decide the statistics.
_EPSILON = 1e-4


class Layer(nn.Module):
    """relu(norm(conv(x))), or relu(conv(x))."""

    def __init__(self, inputs: int, outputs: int, batch_norm: bool) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, 3, padding=1)
        self.norm = nn.BatchNorm2d(outputs, eps=_EPSILON) if batch_norm else None

    def forward(self, x: Tensor) -> Tensor:
        """Return (N, outputs, H, W) from ``x`` (N, inputs, H, W)."""
        x = self.conv(x)
        return F.relu(x if self.norm is None else self.norm(x))


class DnCNN3(Restorer):
    """Twenty convolutions; the image minus what they predict.

    The first preset has the published form, luma without batch norm, so that the published
    weights fit it. Weights start as in the paper: normal, after He et al. (ICCV 2015).

    Args:
        channels: Channels of the images: 1 is luma, as published; 3 is RGB.
        width: Features between the convolutions.
        num_layers: Convolutions in all, at least 2.
        batch_norm: Whether batch norm stands behind the inner convolutions, as in the paper's
            training. They keep their bias, as in the authors' code, though the norm takes it away
            again: in training its gradient is zero but for rounding.
    """

    spec: ClassVar[RestorerSpec] = RestorerSpec(
        channels=(1, 3),
        size_multiple=1,
        quality="ignored",
        paper="Zhang et al., IEEE TIP 2017",
    )
    presets: ClassVar[dict[str, dict[str, object]]] = {
        "paper": {"channels": 1},
        "paper-batchnorm": {"channels": 1, "batch_norm": True},
        "paper-colour": {"channels": 3},
        "tiny": {"channels": 3, "width": 32},
        "tiny-grey": {"channels": 1, "width": 32},
    }

    def __init__(
        self,
        channels: int = 1,
        width: int = 64,
        num_layers: int = 20,
        batch_norm: bool = False,
    ) -> None:
        super().__init__()
        self.channels = channels
        self.width = width
        self.num_layers = num_layers
        self.head = Layer(channels, width, batch_norm=False)
        self.body = nn.Sequential(*(Layer(width, width, batch_norm) for _ in range(num_layers - 2)))
        self.tail = nn.Conv2d(width, channels, 3, padding=1)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
                nn.init.zeros_(module.bias)  # type: ignore[arg-type]

    @property
    def receptive_radius(self) -> int:
        """A pixel for each layer."""
        return reach(self)

    def forward(self, image: Tensor, quality: Quality | None = None) -> RestorerOutput:
        """Restore (N, channels, H, W) in [0, 1]; ``quality`` is not looked at."""
        return RestorerOutput(image - self.tail(self.body(self.head(image))))

    def merged(self) -> DnCNN3:
        """Return the same function of eval mode with batch norm merged into the convolutions.

        The result is apart from this network, on its device and in its dtype.
        """
        state = self.state_dict()
        merged = {key: value for key, value in state.items() if ".norm." not in key}
        for key, variance in state.items():
            if key.endswith("norm.running_var"):
                layer = key.removesuffix("norm.running_var")
                # norm(w ∗ x + b) = (s·w) ∗ x + s·(b - mean) + shift, with s = gain / deviation.
                scale = state[f"{layer}norm.weight"] / (variance + _EPSILON).sqrt()
                centred = state[f"{layer}conv.bias"] - state[f"{layer}norm.running_mean"]
                merged[f"{layer}conv.weight"] = (
                    state[f"{layer}conv.weight"] * scale[:, None, None, None]
                )
                merged[f"{layer}conv.bias"] = centred * scale + state[f"{layer}norm.bias"]
        network = DnCNN3(self.channels, self.width, self.num_layers)
        network.to(self.tail.weight.device, self.tail.weight.dtype)
        network.load_state_dict(merged)
        return network.train(self.training)


_OFFICIAL_KEY = re.compile(
    r"(?:model\.)?(\d+)\.(weight|bias|running_mean|running_var|num_batches_tracked)"
)


def from_official(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Rename the tensors of KAIR's ``dncnn3.pth`` to ours.

    There the layers are numbered in a row that also counts those without weights, with or without
    ``model.`` before the number. Both forms are taken: merged, for the preset ``paper``, and with
    batch norm, for ``paper-batchnorm``.

    Raises:
        WeightsError: A tensor that is named in another way.
    """
    layers: dict[int, dict[str, Tensor]] = {}
    for key, value in state.items():
        match = _OFFICIAL_KEY.fullmatch(key)
        if match is None:
            raise WeightsError(
                f"{key}: no tensor of KAIR's DnCNN, whose names are like 0.weight or model.0.weight"
            )
        layers.setdefault(int(match[1]), {})[match[2]] = value
    norms = {number for number, tensors in layers.items() if "running_mean" in tensors}
    last = len(layers) - len(norms) - 1
    renamed = {}
    position = -1  # of the convolution that was met last
    for number in sorted(layers):
        position += number not in norms
        if number in norms:
            ours = f"body.{position - 1}.norm"
        elif position == 0:
            ours = "head.conv"
        elif position == last:
            ours = "tail"
        else:
            ours = f"body.{position - 1}.conv"
        for kind, value in layers[number].items():
            renamed[f"{ours}.{kind}"] = value
    return renamed
