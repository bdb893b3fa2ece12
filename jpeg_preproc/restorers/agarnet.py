"""AGARNet: Kim, Soh, Cho, "AGARNet: Adaptively Gated JPEG Compression Artifacts Removal Network".

IEEE Access 2020. One set of weights for every quality: a quality map and the luma table steer
gates in two branches. F_dct works on the 8×8 DCT coefficients with 3-D kernels that cover
frequency × block row × block column; F_pix is a three-scale network on pixels. The quality is
the file's own, or that of an estimator: one number an image (AGARNet-EST) or a map (AGARNet-ESP).

Paper and the authors' TensorFlow test code differ in places; the default here is the code. Ours:

* The table is always in zigzag order, like the coefficients. The code's stored tables are
  transposed, which matters little, since luma tables are nearly symmetric.
* A known image is described by its own table, not by the IJG table of its quality factor.
* Upsampling is bilinear with pixel centres aligned; TensorFlow 1 shifted by half a pixel. ONNX
  and torch have the former, and trained weights are our own.
* The output mix starts at 1/2 each, the middle of the α and 1 − α of the paper's figure.
* What is said at the estimator, in ``agarnet_parts.py`` with the blocks and the DCT layer.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from jpeg_preproc.jpeg import ZIGZAG
from jpeg_preproc.jpeg.tables import luma_steps
from jpeg_preproc.restorers.agarnet_parts import (
    BlockDCT,
    GatedBlock3d,
    GateResBlock,
    QualityEstimator,
    ResBlock,
    plain_start,
    xavier_start,
)
from jpeg_preproc.restorers.contract import Quality, Restorer, RestorerOutput, RestorerSpec


class Conditions(NamedTuple):
    """What the gates are made of; each map is 1×1 where one value serves the whole image.

    Attributes:
        q1: Map (N, 1, H, W) of QF / 100.
        q2: Its 2×2 averages, (N, 1, H/2, W/2).
        q4: Its 4×4 averages, (N, 1, H/4, W/4).
        q8: Its 8×8 averages, (N, 1, H/8, W/8), one for each block of the file.
        table: Luma steps / 255 in zigzag order, (N, 64, H/8, W/8).
    """

    q1: Tensor
    q2: Tensor
    q4: Tensor
    q8: Tensor
    table: Tensor


class PixelGates(nn.Module):
    """G_pix: one linear hidden layer and a linear head for each scale, all 1×1.

    The paper's figure draws a chain; the code has parallel heads. The code averages the gates of
    a pixel map after the heads; here the map is averaged before, which gives the same, since
    nothing in between is non-linear, for a sixteenth of the work.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.hidden = plain_start(nn.Conv2d(1, 64, 1))
        self.head4 = plain_start(nn.Conv2d(64, 4 * width, 1))
        self.head2 = plain_start(nn.Conv2d(64, 2 * width, 1))
        self.head1 = plain_start(nn.Conv2d(64, width, 1))

    def forward(self, given: Conditions) -> tuple[Tensor, Tensor, Tensor]:
        """Return the gates g1, g2, g4 at full, half and quarter resolution (or 1×1)."""
        return (
            self.head1(self.hidden(given.q1)),
            self.head2(self.hidden(given.q2)),
            self.head4(self.hidden(given.q4)),
        )


class DctGates(nn.Module):
    """G_dctQ and G_dctT: a gate for each channel from the quality, for each frequency from T."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.quality = nn.Sequential(
            plain_start(nn.Conv2d(1, 64, 1)), plain_start(nn.Conv2d(64, width, 1))
        )
        self.table = nn.Sequential(
            plain_start(nn.Conv2d(64, 64, 1)), nn.ReLU(), plain_start(nn.Conv2d(64, 64, 1))
        )

    def forward(self, given: Conditions) -> tuple[Tensor, Tensor]:
        """Return g_Q (N, C, 1, H/8, W/8) and g_T (N, 1, 64, H/8, W/8), or 1×1 in space."""
        return self.quality(given.q8).unsqueeze(2), self.table(given.table).unsqueeze(1)


class DctBranch(nn.Module):
    """F_dct: coefficients to coefficients, predicted directly; no activation outside the blocks."""

    def __init__(self, width: int, blocks: int, form: Literal["code", "figure"]) -> None:
        super().__init__()
        self.head = plain_start(nn.Conv3d(1, width, 3, padding=1))
        self.enter = plain_start(nn.Conv3d(width, width, 3, padding=1))
        self.blocks = nn.ModuleList(GatedBlock3d(width, form) for _ in range(blocks))
        self.leave = nn.Sequential(
            plain_start(nn.Conv3d(width, width, 1)),
            plain_start(nn.Conv3d(width, width, 3, padding=1)),
        )
        self.tail = plain_start(nn.Conv3d(width, 1, 3, padding=1))

    def forward(self, coefficients: Tensor, gate_q: Tensor, gate_t: Tensor) -> Tensor:
        """Return (N, 64, h, w) from the same shape, which is the coefficients in zigzag order."""
        head = self.head(coefficients.unsqueeze(1))  # (N, C, 64, h, w)
        x = self.enter(head)
        for block in self.blocks:
            x = block(x, gate_q, gate_t)
        restored: Tensor = self.tail(self.leave(x) + head)
        return restored.squeeze(1)


class PixelBranch(nn.Module):
    """F_pix: a three-scale encoder and decoder; gates where the quality comes in.

    Args:
        width: Channels at full resolution; twice and four times as many below.
        blocks: Residual blocks of each kind at each stage but the coarsest. The figure has ten
            in some places; the code has five in all.
        middle: Gated blocks at a quarter of the resolution.
    """

    def __init__(self, width: int, blocks: int, middle: int) -> None:
        super().__init__()

        def conv(inputs: int, outputs: int) -> nn.Conv2d | nn.Conv3d:
            return plain_start(nn.Conv2d(inputs, outputs, 3, padding=1))

        def plain(channels: int) -> nn.Sequential:
            return nn.Sequential(*(ResBlock(channels) for _ in range(blocks)))

        def gated(channels: int, count: int) -> nn.ModuleList:
            return nn.ModuleList(GateResBlock(channels) for _ in range(count))

        self.head1, self.encode1 = conv(1, width), plain(width)
        self.head2, self.encode2 = conv(width, 2 * width), plain(2 * width)
        self.head4, self.encode4 = conv(2 * width, 4 * width), gated(4 * width, middle)
        # The code's library puts a ReLU after this layer by default, and so do we.
        self.last4 = nn.Sequential(xavier_start(nn.Conv2d(4 * width, 4 * width, 1)), nn.ReLU())
        self.up2, self.decode2 = conv(4 * width, 4 * width), plain(4 * width)
        self.join2, self.gated2 = conv(6 * width, 2 * width), gated(2 * width, blocks)
        self.up1, self.decode1 = conv(2 * width, 2 * width), plain(2 * width)
        self.join1, self.gated1 = conv(3 * width, width), gated(width, blocks)
        self.tail = conv(width, 1)

    def forward(self, image: Tensor, gates: tuple[Tensor, Tensor, Tensor]) -> Tensor:
        """Return the pixel part (N, 1, H, W) of the result; ``gates`` are g1, g2, g4."""
        g1, g2, g4 = gates
        head = self.head1(image)
        full = self.encode1(head) + head  # (N, C, H, W)
        head = self.head2(F.avg_pool2d(F.relu(full), 2))
        half = self.encode2(head) + head  # (N, 2C, H/2, W/2)
        x = head = self.head4(F.avg_pool2d(F.relu(half), 2))
        for block in self.encode4:
            x = block(x, g4)
        x = self.last4(x) + head  # (N, 4C, H/4, W/4)
        x = self.decode2(self.up2(_double(x)))
        x = self.join2(torch.cat([x, half], dim=1))  # (N, 2C, H/2, W/2)
        for block in self.gated2:
            x = block(x, g2)
        x = self.decode1(self.up1(_double(x)))
        x = self.join1(torch.cat([x, full], dim=1))  # (N, C, H, W)
        for block in self.gated1:
            x = block(x, g1)
        pixels: Tensor = self.tail(x)
        return pixels


def _double(x: Tensor) -> Tensor:
    return F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)


@dataclass(frozen=True)
class AGARNetOutput(RestorerOutput):
    """A restored batch, and what the second loss of the training needs.

    Attributes:
        idct: What the DCT branch alone makes of the image, the Ŷ_idct of the paper, (N, 1, H, W).
    """

    idct: Tensor | None = None


class AGARNet(Restorer):
    """Two gated branches, on coefficients and on pixels, and an estimator of the quality.

    Args:
        width: Channels of the pixel branch at full resolution.
        num_blocks: Its blocks of each kind at full and half resolution.
        num_middle_blocks: Its gated blocks at a quarter of the resolution.
        dct_width: Channels of the DCT branch. The paper's figure says 64, the code has 32.
        num_dct_blocks: Gated blocks of the DCT branch.
        estimator_widths: Channels of the estimator's four stages.
        estimator: ``'global'``: one quality an image (AGARNet-EST). ``'pixel'``: a map
            (AGARNet-ESP). Both have the same weights.
        block: Form of the gates in the DCT branch; see :class:`GatedBlock3d`.

    Raises:
        ValueError: An ``estimator`` or ``block`` that there is not.
    """

    # It has no receptive radius, so no tiles: of an image of unknown quality each tile would get an
    # estimate of its own, and seams. With a given quality 300 px would do.
    spec: ClassVar[RestorerSpec] = RestorerSpec(
        channels=(1,),
        size_multiple=8,
        quality="optional",
        paper="Kim et al., IEEE Access 2020",
    )
    presets: ClassVar[dict[str, dict[str, object]]] = {
        "paper": {},
        "tiny": {
            "width": 12,
            "num_blocks": 3,
            "num_middle_blocks": 10,
            "dct_width": 8,
            "num_dct_blocks": 4,
            "estimator_widths": (16, 32, 48, 96),
        },
    }
    channels = 1
    tables: Tensor
    zigzag: Tensor

    def __init__(
        self,
        width: int = 32,
        num_blocks: int = 5,
        num_middle_blocks: int = 20,
        dct_width: int = 32,
        num_dct_blocks: int = 8,
        estimator_widths: Sequence[int] = (32, 64, 96, 192),
        estimator: Literal["global", "pixel"] = "global",
        block: Literal["code", "figure"] = "code",
    ) -> None:
        super().__init__()
        if estimator not in ("global", "pixel"):
            raise ValueError(f"estimator {estimator!r} is neither 'global' nor 'pixel'")
        if block not in ("code", "figure"):
            raise ValueError(f"block {block!r} is neither 'code' nor 'figure'")
        self.per_pixel = estimator == "pixel"
        self.dct = BlockDCT()
        self.pixel_gates = PixelGates(width)
        self.dct_gates = DctGates(dct_width)
        self.dct_branch = DctBranch(dct_width, num_dct_blocks, block)
        self.pixel_branch = PixelBranch(width, num_blocks, num_middle_blocks)
        # The 1×1 convolution of [Ŷ_idct, X] as two factors, which autocast leaves in fp32.
        self.mix = nn.Parameter(torch.full((2,), 0.5))
        self.estimator = QualityEstimator(estimator_widths)
        luma = luma_steps()[:, ZIGZAG]
        tables = torch.tensor(luma.astype(np.float32) / 255)  # (100, 64)
        self.register_buffer("tables", tables, persistent=False)
        self.register_buffer("zigzag", torch.tensor(ZIGZAG), persistent=False)

    def forward(self, image: Tensor, quality: Quality | None = None) -> AGARNetOutput:
        """Restore luma images.

        Args:
            image: Batch (N, 1, H, W) in [0, 1], H and W multiples of 8.
            quality: Tables and factors of the N files; where there is none, or not known, the
                estimator's are used.

        Returns:
            The restored images, same shape; the quality factor that was given or estimated (of a
            map the mean); and Ŷ_idct for the training.
        """
        given = self.conditions(image, quality)
        coefficients = self.dct_branch(self.dct(image), *self.dct_gates(given))
        idct = self.dct.inverse(coefficients)
        pixels = self.pixel_branch(image, self.pixel_gates(given))
        restored = pixels + self.mix[0] * idct + self.mix[1] * image
        return AGARNetOutput(restored, 100 * given.q1.mean(dim=(1, 2, 3)), idct)

    def conditions(self, image: Tensor, quality: Quality | None) -> Conditions:
        """Return what the gates are made of, image by image given or estimated."""
        if quality is None:
            return self._estimate(image)
        q = quality.qf.to(image.dtype).view(-1, 1, 1, 1) / 100
        luma = quality.qtables[:, 0].flatten(1).to(image.dtype)[:, self.zigzag]  # (N, 64)
        given = Conditions(q, q, q, q, luma[:, :, None, None] / 255)
        if quality.known is None:
            return given
        known = quality.known.view(-1, 1, 1, 1)
        estimated = self._estimate(image)
        return Conditions(
            *(torch.where(known, a, b) for a, b in zip(given, estimated, strict=True))
        )

    def _estimate(self, image: Tensor) -> Conditions:
        """Return conditions from the estimator, rounded as in the paper in eval mode only."""
        estimate = self.estimator(image)
        if self.per_pixel:
            q1 = F.interpolate(estimate, image.shape[-2:], mode="bilinear", align_corners=False)
            q1 = self._rounded(q1)
            q2, q4 = F.avg_pool2d(q1, 2), F.avg_pool2d(q1, 4)
            q8 = self._rounded(F.avg_pool2d(q1, 8))
        else:
            q1 = q2 = q4 = q8 = self._rounded(estimate.mean(dim=(2, 3), keepdim=True))
        # The look-up takes the nearest of libjpeg's tables; no gradient passes it.
        index = (100 * q8[:, 0]).round().clamp(1, 100).long() - 1  # (N, h, w)
        return Conditions(q1, q2, q4, q8, self.tables[index].permute(0, 3, 1, 2))

    def _rounded(self, q: Tensor) -> Tensor:
        """Round to 0.01 and clamp to 0.01-1 (the clamp is our filling), in eval mode only.

        Rounding has no gradient; while training the estimate stays as it is, so that the
        estimator can learn from the restoration too.
        """
        return q if self.training else (100 * q).round().clamp(1, 100) / 100
