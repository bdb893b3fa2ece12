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
* What is said at the estimator.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from jpeg_preproc.jpeg import ZIGZAG, block_idct, qtables_from_qf
from jpeg_preproc.restorers.contract import Quality, Restorer, RestorerOutput, RestorerSpec


def _plain(layer: nn.Conv2d | nn.Conv3d) -> nn.Conv2d | nn.Conv3d:
    """Start a layer outside the blocks as the authors do: variance 0.02 / fan-in, bias 0."""
    fan_in = layer.weight[0].numel()
    nn.init.normal_(layer.weight, std=(0.02 / fan_in) ** 0.5)
    nn.init.zeros_(layer.bias)  # type: ignore[arg-type]
    return layer


def _xavier(layer: nn.Conv2d | nn.Conv3d) -> nn.Conv2d | nn.Conv3d:
    """Start a layer of a block or of the estimator as the authors do: Xavier, bias 0."""
    nn.init.xavier_uniform_(layer.weight)
    nn.init.zeros_(layer.bias)  # type: ignore[arg-type]
    return layer


def _path(conv: type[nn.Conv2d] | type[nn.Conv3d], channels: int) -> nn.Sequential:
    """The two convolutions of every block, with a ReLU between."""
    first, second = (_xavier(conv(channels, channels, 3, padding=1)) for _ in range(2))
    return nn.Sequential(first, nn.ReLU(), second)


class BlockDCT(nn.Module):
    """The orthonormal 8×8 DCT-II as a convolution of stride 8; channels in zigzag order."""

    basis: Tensor

    def __init__(self) -> None:
        super().__init__()
        units = torch.eye(64, device="cpu").view(64, 1, 1, 8, 8)
        images = block_idct(units).numpy()[ZIGZAG]  # (64, 8, 8), one cosine product each
        self.register_buffer("basis", torch.tensor(images[:, None]), persistent=False)

    def forward(self, image: Tensor) -> Tensor:
        """Return (N, 64, H/8, W/8) from (N, 1, H, W); channel k is coefficient ``ZIGZAG[k]``."""
        return F.conv2d(image, self.basis, stride=8)

    def inverse(self, coefficients: Tensor) -> Tensor:
        """Undo :meth:`forward`: the transposed convolution with the same weights."""
        return F.conv_transpose2d(coefficients, self.basis, stride=8)


class QualityEstimator(nn.Module):
    """Q_EST: estimate the quality from pixels, one value for each 64×64 of the image.

    The bias of the last layer starts at 0.5 (our filling): a ReLU follows, and an estimate that
    starts below zero would get no gradient. The pools leave out what does not fill a window;
    images below 64 pixels are replicated at the right and lower edge up to 64 (our filling).
    """

    def __init__(self, widths: Sequence[int] = (32, 64, 96, 192)) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        pools = (nn.MaxPool2d(4), nn.MaxPool2d(2), nn.MaxPool2d(4), nn.AvgPool2d(2))
        for inputs, outputs, pool in zip((1, *widths), widths, pools, strict=False):
            layers += [_xavier(nn.Conv2d(inputs, outputs, 3, padding=1)), nn.ReLU()]
            layers += [_xavier(nn.Conv2d(outputs, outputs, 3, padding=1)), nn.ReLU(), pool]
        last = _xavier(nn.Conv2d(widths[-1], 1, 1))
        nn.init.constant_(last.bias, 0.5)  # type: ignore[arg-type]
        self.layers = nn.Sequential(*layers, last, nn.ReLU())

    def forward(self, image: Tensor) -> Tensor:
        """Return (N, 1, max(1, H // 64), max(1, W // 64)) of QF / 100, >= 0, not rounded."""
        height, width = image.shape[-2:]
        # sym_max and not max(): an exported graph must not fix the answer.
        right, below = torch.sym_max(0, 64 - width), torch.sym_max(0, 64 - height)
        padded = F.pad(image, (0, right, 0, below), mode="replicate")
        estimate: Tensor = self.layers(padded).to(image.dtype)
        return estimate


class Conditions(NamedTuple):
    """What the gates are made of; each map is 1×1 where one value serves the whole image.

    Attributes:
        q1: (N, 1, H, W) of QF / 100.
        q2: (N, 1, H/2, W/2), its 2×2 averages.
        q4: (N, 1, H/4, W/4), its 4×4 averages.
        q8: (N, 1, H/8, W/8), its 8×8 averages, one for each block of the file.
        table: (N, 64, H/8, W/8), luma steps / 255 in zigzag order.
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
        self.hidden = _plain(nn.Conv2d(1, 64, 1))
        self.head4 = _plain(nn.Conv2d(64, 4 * width, 1))
        self.head2 = _plain(nn.Conv2d(64, 2 * width, 1))
        self.head1 = _plain(nn.Conv2d(64, width, 1))

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
        self.quality = nn.Sequential(_plain(nn.Conv2d(1, 64, 1)), _plain(nn.Conv2d(64, width, 1)))
        self.table = nn.Sequential(
            _plain(nn.Conv2d(64, 64, 1)), nn.ReLU(), _plain(nn.Conv2d(64, 64, 1))
        )

    def forward(self, given: Conditions) -> tuple[Tensor, Tensor]:
        """Return g_Q (N, C, 1, H/8, W/8) and g_T (N, 1, 64, H/8, W/8), or 1×1 in space."""
        return self.quality(given.q8).unsqueeze(2), self.table(given.table).unsqueeze(1)


class ResBlock(nn.Module):
    """x + 0.1 · path(x)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.path = _path(nn.Conv2d, channels)

    def forward(self, x: Tensor) -> Tensor:
        """Return (N, C, H, W) from the same shape."""
        return x + 0.1 * self.path(x)


class GateResBlock(nn.Module):
    """x + 0.1 · tanh(σ(g) ⊙ path(x))."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.path = _path(nn.Conv2d, channels)

    def forward(self, x: Tensor, gate: Tensor) -> Tensor:
        """Return (N, C, H, W); ``gate`` is (N, C, H, W) or (N, C, 1, 1), before the σ."""
        return x + 0.1 * torch.tanh(torch.sigmoid(gate) * self.path(x))


class GatedBlock3d(nn.Module):
    """3DG-ResBlock: x + m ⊙ path(x), with 3-D convolutions.

    Args:
        channels: C of ``x``.
        form: ``'code'``: m = P3(σ(P1(σ(g_Q ⊙ x)) ⊙ P2(σ(g_T ⊙ x)))), as the authors' code has it.
            ``'figure'``: m = σ(σ(P1(σ(g_Q) ⊙ x)) ⊙ σ(P2(σ(g_T) ⊙ x))), as the paper draws it.
    """

    def __init__(self, channels: int, form: Literal["code", "figure"] = "code") -> None:
        super().__init__()
        self.form = form
        self.path = _path(nn.Conv3d, channels)
        self.from_quality = _xavier(nn.Conv3d(channels, channels, 1))
        self.from_table = _xavier(nn.Conv3d(channels, channels, 1))
        if form == "code":
            self.from_both = _xavier(nn.Conv3d(channels, channels, 1))

    def forward(self, x: Tensor, gate_q: Tensor, gate_t: Tensor) -> Tensor:
        """Return (N, C, 64, h, w); gates as :class:`DctGates` gives them."""
        if self.form == "code":
            quality = self.from_quality(torch.sigmoid(gate_q * x))
            table = self.from_table(torch.sigmoid(gate_t * x))
            gate = self.from_both(torch.sigmoid(quality * table))
        else:
            quality = torch.sigmoid(self.from_quality(torch.sigmoid(gate_q) * x))
            table = torch.sigmoid(self.from_table(torch.sigmoid(gate_t) * x))
            gate = torch.sigmoid(quality * table)
        return x + gate * self.path(x)


class DctBranch(nn.Module):
    """F_dct: coefficients to coefficients, predicted directly; no activation outside the blocks."""

    def __init__(self, width: int, blocks: int, form: Literal["code", "figure"]) -> None:
        super().__init__()
        self.head = _plain(nn.Conv3d(1, width, 3, padding=1))
        self.enter = _plain(nn.Conv3d(width, width, 3, padding=1))
        self.blocks = nn.ModuleList(GatedBlock3d(width, form) for _ in range(blocks))
        self.leave = nn.Sequential(
            _plain(nn.Conv3d(width, width, 1)), _plain(nn.Conv3d(width, width, 3, padding=1))
        )
        self.tail = _plain(nn.Conv3d(width, 1, 3, padding=1))

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
            return _plain(nn.Conv2d(inputs, outputs, 3, padding=1))

        def plain(channels: int) -> nn.Sequential:
            return nn.Sequential(*(ResBlock(channels) for _ in range(blocks)))

        def gated(channels: int, count: int) -> nn.ModuleList:
            return nn.ModuleList(GateResBlock(channels) for _ in range(count))

        self.head1, self.encode1 = conv(1, width), plain(width)
        self.head2, self.encode2 = conv(width, 2 * width), plain(2 * width)
        self.head4, self.encode4 = conv(2 * width, 4 * width), gated(4 * width, middle)
        # The code's library puts a ReLU after this layer by default, and so do we.
        self.last4 = nn.Sequential(_xavier(nn.Conv2d(4 * width, 4 * width, 1)), nn.ReLU())
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
        idct: Ŷ_idct, (N, 1, H, W): what the DCT branch alone makes of the image.
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

    # No tiles: of an image of unknown quality each tile would get an estimate of its own, and
    # seams. With a given quality 300 px would do.
    spec: ClassVar[RestorerSpec] = RestorerSpec(
        channels=(1,),
        size_multiple=8,
        quality="optional",
        receptive_radius=None,
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
        luma = np.stack([qtables_from_qf(qf)[0].reshape(64)[ZIGZAG] for qf in range(1, 101)])
        tables = torch.tensor(luma.astype(np.float32) / 255)  # (100, 64)
        self.register_buffer("tables", tables, persistent=False)
        self.register_buffer("zigzag", torch.tensor(ZIGZAG), persistent=False)

    def forward(self, image: Tensor, quality: Quality | None = None) -> AGARNetOutput:
        """Restore luma images.

        Args:
            image: (N, 1, H, W) in [0, 1], H and W multiples of 8.
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
