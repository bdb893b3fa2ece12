"""FBCNN: Jiang, Zhang, Timofte, "Towards Flexible Blind JPEG Artifacts Removal".

ICCV 2021. A residual U-Net of four scales. A head on its deepest features predicts the quality
factor; the prediction, or a factor that the user gives instead, is embedded and scales and shifts
every residual block of the decoder. The image itself is predicted, not a correction.

Where the paper leaves something open, the layers are those of the authors' released networks;
:func:`from_official` takes their weights over.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from jpeg_preproc.errors import WeightsError
from jpeg_preproc.restorers.contract import Quality, Restorer, RestorerOutput, RestorerSpec


class ResidualBlock(nn.Module):
    """x + conv(relu(conv(x)))."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(width, width, 3, padding=1)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """Return (N, C, H, W) from ``x`` of that shape."""
        return torch.add(x, self.conv2(F.relu(self.conv1(x))))


class QualityAttentionBlock(nn.Module):
    """x + gamma · conv(relu(conv(x))) + beta, the paper's quality factor attention."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(width, width, 3, padding=1)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1)

    def forward(self, x: Tensor, gamma: Tensor, beta: Tensor) -> Tensor:
        """Return (N, C, H, W) from ``x`` of that shape, ``gamma`` and ``beta`` (N, C, 1, 1)."""
        return x + gamma * self.conv2(F.relu(self.conv1(x))) + beta


class DecoderStage(nn.Module):
    """Twice the resolution, then blocks that the embedded quality factor steers."""

    def __init__(self, coarse: int, fine: int, embedding: int, num_blocks: int) -> None:
        super().__init__()
        self.up = nn.ConvTranspose2d(coarse, fine, 2, stride=2)
        # One gamma and one beta serve all blocks of the stage.
        self.gamma = nn.Linear(embedding, fine)
        self.beta = nn.Linear(embedding, fine)
        self.blocks = nn.ModuleList(QualityAttentionBlock(fine) for _ in range(num_blocks))

    def forward(self, x: Tensor, embedded: Tensor) -> Tensor:
        """Return (N, fine, 2H, 2W) from ``x`` (N, coarse, H, W) and ``embedded`` (N, E)."""
        gamma = torch.sigmoid(self.gamma(embedded))[:, :, None, None]  # (N, fine, 1, 1)
        beta = torch.tanh(self.beta(embedded))[:, :, None, None]
        x = self.up(x)
        for block in self.blocks:
            x = block(x, gamma, beta)
        return x


class QualityHead(nn.Module):
    """Predict q = (100 - QF) / 100 from the deepest features."""

    def __init__(self, width: int, hidden: int, num_blocks: int) -> None:
        super().__init__()
        self.blocks = _stage(width, num_blocks)
        self.linear1 = nn.Linear(width, hidden)
        self.linear2 = nn.Linear(hidden, hidden)
        self.linear3 = nn.Linear(hidden, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Return (N, 1) in 0-1 from features (N, C, H/8, W/8)."""
        x = self.blocks(x).mean((2, 3))  # (N, C)
        x = F.relu(self.linear2(F.relu(self.linear1(x))))
        return torch.sigmoid(self.linear3(x))


class FBCNN(Restorer):
    """Flexible blind CNN: blind by default, steered by a quality factor where one is given.

    The quality factor of an image that is given and known replaces the prediction, in the network
    as in ``RestorerOutput.qf``. Without ``quality``, or where it is not known, the network goes by
    its own prediction. So the engine's ``qf='auto'`` steers it by the file's tables, and
    ``qf='blind'`` leaves it to itself.

    Weights start normal, with the deviation that an orthogonal matrix of gain 0.2 would have, and
    biases at zero. The authors start from such orthogonal matrices; computing those for the full
    width takes half a minute of a CPU, and every load would pay for it.

    Args:
        channels: Channels of the images: 3 is RGB, 1 is luma; both are published.
        widths: Channels at 1/1, 1/2, 1/4 and 1/8 of the resolution.
        num_blocks: Residual blocks of each stage.
        embedding: Width of the quality head and of the embedding.
    """

    spec: ClassVar[RestorerSpec] = RestorerSpec(
        channels=(3, 1),
        size_multiple=8,
        quality="optional",
        paper="Jiang et al., ICCV 2021",
    )
    presets: ClassVar[dict[str, dict[str, object]]] = {
        "paper": {"channels": 3},
        "paper-grey": {"channels": 1},
        "tiny": {"channels": 3, "widths": (16, 32, 64, 128), "num_blocks": 1, "embedding": 128},
        "tiny-grey": {
            "channels": 1,
            "widths": (16, 32, 64, 128),
            "num_blocks": 1,
            "embedding": 128,
        },
    }

    def __init__(
        self,
        channels: int = 3,
        widths: Sequence[int] = (64, 128, 256, 512),
        num_blocks: int = 4,
        embedding: int = 512,
    ) -> None:
        super().__init__()
        self.channels = channels
        finest, deepest = widths[0], widths[-1]
        steps = list(pairwise(widths))  # (fine, coarse), finest first

        self.head = nn.Conv2d(channels, finest, 3, padding=1)
        self.encoder = nn.ModuleList(_stage(fine, num_blocks) for fine, _ in steps)
        self.down = nn.ModuleList(nn.Conv2d(fine, coarse, 2, stride=2) for fine, coarse in steps)
        self.middle_encoder = _stage(deepest, num_blocks)
        self.quality_head = QualityHead(deepest, embedding, num_blocks)
        self.embed = nn.Sequential(
            *(nn.Linear(1, embedding), nn.ReLU()),
            *(nn.Linear(embedding, embedding), nn.ReLU()),
            *(nn.Linear(embedding, embedding), nn.ReLU()),
        )
        self.middle_decoder = _stage(deepest, num_blocks)
        self.decoder = nn.ModuleList(
            DecoderStage(coarse, fine, embedding, num_blocks) for fine, coarse in reversed(steps)
        )
        self.tail = nn.Conv2d(finest, channels, 3, padding=1)
        for module in self.modules():
            if isinstance(module, (nn.Conv2d, nn.ConvTranspose2d, nn.Linear)):
                # Rows, or columns where there are more rows, of length 0.2.
                rows = len(module.weight)
                longer = max(rows, module.weight.numel() // rows)
                nn.init.normal_(module.weight, std=0.2 * longer**-0.5)
                nn.init.zeros_(module.bias)  # type: ignore[arg-type]

    def forward(self, image: Tensor, quality: Quality | None = None) -> RestorerOutput:
        """Restore a batch.

        Args:
            image: Batch (N, channels, H, W) in [0, 1], H and W multiples of 8.
            quality: Factors that replace the prediction where they are known.

        Returns:
            The images, same shape, and the quality factors they were restored by: those given, or
            the prediction, between 0 and 100 and not rounded, so that a loss can be put on it.
        """
        x = self.head(image)  # (N, C1, H, W)
        skips = []
        for stage, down in zip(self.encoder, self.down, strict=True):
            skips.append(x)
            x = down(stage(x))
        skips.append(x)  # (N, C4, H/8, W/8)
        x = self.middle_encoder(x)
        # In bf16 the factor would be rounded to steps of 0.4.
        factor = 100 - 100 * self.quality_head(x).float()  # (N, 1)
        if quality is not None:
            given = quality.qf.to(factor)[:, None]
            known = quality.known
            factor = given if known is None else torch.where(known[:, None], given, factor)
        embedded = self.embed((1 - factor / 100).to(x.dtype))  # (N, E)

        x = self.middle_decoder(x)
        for stage in self.decoder:
            x = stage(x + skips.pop(), embedded)
        restored = self.tail(x + skips.pop())  # (N, channels, H, W)
        return RestorerOutput(restored, factor[:, 0])


def _stage(width: int, num_blocks: int) -> nn.Sequential:
    """Residual blocks in a row."""
    return nn.Sequential(*(ResidualBlock(width) for _ in range(num_blocks)))


def _official_layers() -> dict[str, str]:
    """Return the layer names of the authors' released networks and ours."""
    layers = {"m_head": "head", "m_tail": "tail"}

    def block(theirs: str, ours: str) -> None:
        layers[f"{theirs}.res.0"] = f"{ours}.conv1"
        layers[f"{theirs}.res.2"] = f"{ours}.conv2"

    for level in range(3):
        # They count both sides from the finest level; our decoder starts at the coarsest.
        finer = 3 - level
        layers[f"m_down{level + 1}.4"] = f"down.{level}"
        layers[f"m_up{finer}.0"] = f"decoder.{level}.up"
        layers[f"to_gamma_{finer}.0"] = f"decoder.{level}.gamma"
        layers[f"to_beta_{finer}.0"] = f"decoder.{level}.beta"
        for index in range(4):
            block(f"m_down{level + 1}.{index}", f"encoder.{level}.{index}")
            block(f"m_up{finer}.{index + 1}", f"decoder.{level}.blocks.{index}")
    for index in range(4):
        block(f"m_body_encoder.{index}", f"middle_encoder.{index}")
        block(f"m_body_decoder.{index}", f"middle_decoder.{index}")
        block(f"qf_pred.{index}", f"quality_head.blocks.{index}")
    for index in range(3):
        # Their four blocks are followed by the pooling and a reshape, which hold no weights.
        layers[f"qf_pred.{6 + 2 * index}"] = f"quality_head.linear{index + 1}"
        layers[f"qf_embed.{2 * index}"] = f"embed.{2 * index}"
    return layers


def from_official(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Rename the tensors of the authors' ``fbcnn_color.pth`` or ``fbcnn_gray.pth`` to ours.

    They fit the presets ``paper`` and ``paper-grey``.

    Raises:
        WeightsError: A tensor that FBCNN does not have.
    """
    layers = _official_layers()
    renamed = {}
    for key, value in state.items():
        layer, _, kind = key.rpartition(".")
        if layer not in layers:
            raise WeightsError(
                f"{key}: no tensor of the authors' FBCNN, whose names begin with m_head, m_down, "
                "m_body, m_up, m_tail, qf_ and to_; give the state dict as they publish it"
            )
        renamed[f"{layers[layer]}.{kind}"] = value
    return renamed
