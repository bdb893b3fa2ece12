"""Parts of AGARNet: its DCT layer, its blocks, its quality estimator. See :mod:`.agarnet`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from jpeg_preproc.jpeg import ZIGZAG, block_idct


def plain_start(layer: nn.Conv2d | nn.Conv3d) -> nn.Conv2d | nn.Conv3d:
    """Start a layer outside the blocks as the authors do: variance 0.02 / fan-in, bias 0."""
    fan_in = layer.weight[0].numel()
    nn.init.normal_(layer.weight, std=(0.02 / fan_in) ** 0.5)
    nn.init.zeros_(layer.bias)  # type: ignore[arg-type]
    return layer


def xavier_start(layer: nn.Conv2d | nn.Conv3d) -> nn.Conv2d | nn.Conv3d:
    """Start a layer of a block or of the estimator as the authors do: Xavier, bias 0."""
    nn.init.xavier_uniform_(layer.weight)
    nn.init.zeros_(layer.bias)  # type: ignore[arg-type]
    return layer


def _path(conv: type[nn.Conv2d] | type[nn.Conv3d], channels: int) -> nn.Sequential:
    """The two convolutions of every block, with a ReLU between."""
    first, second = (xavier_start(conv(channels, channels, 3, padding=1)) for _ in range(2))
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
        self.from_quality = xavier_start(nn.Conv3d(channels, channels, 1))
        self.from_table = xavier_start(nn.Conv3d(channels, channels, 1))
        if form == "code":
            self.from_both = xavier_start(nn.Conv3d(channels, channels, 1))

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


class ValidPool(nn.Module):
    """Pool whole windows of ``size`` × ``size``; what is left over at the edges does not count.

    So do torch's pools, but an exported graph of one fixes whether something is left over, and a
    slice's graph fixes its strides; hence the rows and columns are picked.
    """

    def __init__(self, kind: Literal["max", "mean"], size: int) -> None:
        super().__init__()
        self.size = size
        self.pool = nn.MaxPool2d(size) if kind == "max" else nn.AvgPool2d(size)

    def forward(self, x: Tensor) -> Tensor:
        """Return (N, C, H // size, W // size) from (N, C, H, W)."""
        for axis in (2, 3):
            whole = torch.arange(x.shape[axis] // self.size * self.size, device=x.device)
            x = x.index_select(axis, whole)
        pooled: Tensor = self.pool(x)
        return pooled


class QualityEstimator(nn.Module):
    """Q_EST: estimate the quality from pixels, one value for each 64×64 of the image.

    The start is our filling. The last layer's bias is 0.5: a ReLU follows, and an estimate that
    starts below zero would get no gradient. The first kernels have no mean: what tells the quality
    is differences of neighbours, an eighth of the brightness that Xavier's kernels pass on, and
    from those an estimator was still at its constant after 1,000 steps.

    The pools leave out what does not fill a window; images below 64 pixels are replicated at the
    right and lower edge up to 64 (our filling).

    The guards of a torch.export graph tell a map of one cell from a larger one, below and above
    128 pixels; the values are right at all sizes with ``module(check_guards=False)``.
    """

    def __init__(self, widths: Sequence[int] = (32, 64, 96, 192)) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        pools = [ValidPool("max", size) for size in (4, 2, 4)] + [ValidPool("mean", 2)]
        for inputs, outputs, pool in zip((1, *widths), widths, pools, strict=False):
            layers += [nn.Conv2d(inputs, outputs, 3, padding=1), nn.ReLU()]
            layers += [nn.Conv2d(outputs, outputs, 3, padding=1), nn.ReLU(), pool]
        self.layers = nn.Sequential(*layers, nn.Conv2d(widths[-1], 1, 1), nn.ReLU())
        self._start()

    @torch.no_grad()
    def _start(self) -> None:
        *hidden, last = (layer for layer in self.layers if isinstance(layer, nn.Conv2d))
        for layer in hidden:
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
            nn.init.zeros_(layer.bias)  # type: ignore[arg-type]
        first = hidden[0].weight
        first.sub_(first.mean(dim=(1, 2, 3), keepdim=True)).mul_(8)
        xavier_start(last).weight.mul_(0.1)  # near its bias, on the side of zero with a gradient
        nn.init.constant_(last.bias, 0.5)  # type: ignore[arg-type]

    def forward(self, image: Tensor) -> Tensor:
        """Return (N, 1, max(1, H // 64), max(1, W // 64)) of QF / 100, >= 0, not rounded."""
        height, width = image.shape[-2:]
        # sym_max and not max(): an exported graph must not fix the answer.
        right, below = torch.sym_max(0, 64 - width), torch.sym_max(0, 64 - height)
        padded = F.pad(image, (0, right, 0, below), mode="replicate")
        estimate: Tensor = self.layers(padded).to(image.dtype)
        return estimate
