"""DAGN: Ma et al., "Sensitivity Decouple Learning for Image Compression Artifacts Reduction".

Two ResNet-50 encoders see the JPEG image. One is trained to keep what compression leaves alone
(compression-insensitive, "ci"), the other what it changes ("cs"). A U-shaped base network
restores the image; the ci features enter its bottleneck (CFM, eq. 10), and one scale and bias per
channel, read from each encoder, steer its decoder (eqs. 11-13). It is blind: it is not told the
quality.

No code of the authors is known. What the paper leaves open is filled so that parameters and MACs
at 512×512 agree with its table, and after FBCNN (Jiang et al., ICCV 2021), whose base network it
shares; each filling is named where it is made. The encoders, and the parts that only their
training needs, are in :mod:`jpeg_preproc.restorers.dagn_encoders`.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import ClassVar, Literal, TypeAlias

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from jpeg_preproc.restorers.contract import Quality, Restorer, RestorerOutput, RestorerSpec, reach
from jpeg_preproc.restorers.dagn_encoders import ResNetEncoder

#: Scale and bias of a stage, (N, C, 1, 1) each.
Guide: TypeAlias = tuple[Tensor, Tensor]

_PYRAMID = (1, 2, 4, 8)
_BINS = sum(size**2 for size in _PYRAMID)


class PyramidPool(nn.Module):
    """Average over grids of 1², 2², 4² and 8² bins ("Pool" in eq. 10; average is our filling).

    Equal to adaptive average pools, flattened and concatenated. Written as matrix products, since
    adaptive pools have no ONNX operator where the size is not known in advance.
    """

    index: Tensor
    size: Tensor

    def __init__(self) -> None:
        super().__init__()
        # The bins of one axis: (0, 1), (0, 2), (1, 2), (0, 4), ...
        bins = torch.tensor([(index, size) for size in _PYRAMID for index in range(size)])
        self.register_buffer("index", bins[:, :1], persistent=False)  # (15, 1)
        self.register_buffer("size", bins[:, 1:], persistent=False)  # (15, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Return (N, C, 85), fine grids last and each row by row, from (N, C, H, W)."""
        rows, columns = (self._weights(length, x.dtype) for length in x.shape[2:])
        grids = rows @ x @ columns.T  # (N, C, 15, 15); the grids lie on its diagonal
        pooled, start = [], 0
        for size in _PYRAMID:
            stop = start + size
            pooled.append(grids[:, :, start:stop, start:stop].flatten(2))
            start = stop
        return torch.cat(pooled, dim=2)

    def _weights(self, length: int, dtype: torch.dtype) -> Tensor:
        """Return (15, length): what each position of an axis adds to each bin."""
        # Bin i of k covers [i·length/k, (i + 1)·length/k) and takes each position it meets.
        position = torch.arange(length, device=self.size.device)
        before_end = position * self.size < (self.index + 1) * length
        after_start = (position + 1) * self.size > self.index * length
        weights = (before_end & after_start).to(dtype)
        return weights / weights.sum(dim=1, keepdim=True)


class GuidedBlock(nn.Module):
    """x + scale ⊙ conv(ReLU(BN(conv(x)))) + bias.

    With a guide this is a cig block (eq. 12) or a csg block (eq. 13), whose RNorm is BN and ReLU;
    without one a residual block of the base network. The paper's ablation sets scale and bias to
    "(O, J)"; read as scale 1 and bias 0, which is the plain block, as the literal reading would
    silence it.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1)
        self.norm = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1)
        _init(self.conv1, "relu")
        # Starting near the identity keeps the trunk, which is not normalised, well conditioned.
        _init(self.conv2, "linear", gain=0.02)

    def forward(self, x: Tensor, guide: Guide | None = None) -> Tensor:
        """Return (N, C, H, W) from ``x`` of that shape."""
        hidden = self.conv2(F.relu(self.norm(self.conv1(x))))
        if guide is None:
            return torch.add(x, hidden)
        scale, bias = guide
        return x + scale * hidden + bias


class Guider(nn.Module):
    """Three-layer MLP from pooled encoder features to the guides of the three decoder stages.

    Layers one and two are shared, layer three is apart for each stage (paper). Filled: the input
    is the global average; hidden widths, which fit the paper's total; sigmoid for the scale and
    tanh for the bias, as FBCNN.
    """

    def __init__(self, features: int, hidden: Sequence[int], channels: Sequence[int]) -> None:
        super().__init__()
        first, second = hidden
        self.shared = nn.Sequential(
            nn.Linear(features, first), nn.ReLU(), nn.Linear(first, second), nn.ReLU()
        )
        heads = [nn.Linear(second, 2 * count) for count in channels]
        for head in heads:
            # Near scale 1/2 and bias 0 to begin with, for every image.
            nn.init.normal_(head.weight, std=0.01)
            nn.init.zeros_(head.bias)
        self.heads = nn.ModuleList(heads)

    def forward(self, features: Tensor) -> list[Guide]:
        """Return (scale, bias) for each stage from (N, features, h, w)."""
        shared = self.shared(features.mean((2, 3)))
        guides = []
        for head in self.heads:
            scale, bias = head(shared)[:, :, None, None].chunk(2, dim=1)  # (N, C, 1, 1)
            guides.append((scale.sigmoid(), bias.tanh()))
        return guides


class CrossFeatureFusion(nn.Module):
    """CFM, eq. 10: q^T Pool(θ) Pool(φ)^T + base^T, with q from the base features, θ and φ from ci.

    Filled: θ, φ and q are 1×1 convolutions to the width of the base features; no softmax.

    Args:
        features: Channels of the encoder's features.
        channels: Channels of the base features.
        normalise: Divide the similarities by 85·√channels; eq. 10 does not, and grows with both.
    """

    def __init__(self, features: int, channels: int, normalise: bool = False) -> None:
        super().__init__()
        self.query = nn.Conv2d(channels, channels, 1)
        self.theta = nn.Conv2d(features, channels, 1)
        self.phi = nn.Conv2d(features, channels, 1)
        self.pool = PyramidPool()
        self.divisor = _BINS * channels**0.5 if normalise else 1.0
        # Sums over all channels and bins would drown the base features: begin nearly without.
        _init(self.phi, "linear", gain=0.01)

    def forward(self, base: Tensor, insensitive: Tensor) -> Tensor:
        """Return (N, C, H, W) from ``base`` of that shape and (N, features, h, w)."""
        query = self.query(base).flatten(2)  # (N, C, HW)
        theta = self.pool(self.theta(insensitive))  # (N, C, 85)
        phi = self.pool(self.phi(insensitive))  # (N, C, 85)
        # Eq. 10 transposed, which leaves the result in the order of the base features.
        similarity = theta.transpose(1, 2) @ query / self.divisor  # (N, 85, HW)
        return base + (phi @ similarity).reshape(base.shape)


class GuidedStage(nn.Module):
    """DAGB, eq. 11: cig blocks after csg blocks after a 2×2 transposed convolution of x + skip."""

    def __init__(self, inputs: int, channels: int, num_blocks: int, up_gain: float = 1) -> None:
        super().__init__()
        self.up = nn.ConvTranspose2d(inputs, channels, 2, stride=2)
        _init(self.up, "linear", gain=up_gain)
        self.csg = _blocks(channels, num_blocks)
        self.cig = _blocks(channels, num_blocks)

    def forward(
        self, x: Tensor, skip: Tensor, sensitive: Guide | None, insensitive: Guide | None
    ) -> Tensor:
        """Return (N, channels, 2H, 2W) from ``x`` and ``skip``, (N, inputs, H, W) each."""
        x = self.up(x + skip)
        for block in self.csg:
            x = block(x, sensitive)
        for block in self.cig:
            x = block(x, insensitive)
        return x


class DAGN(Restorer):
    """The whole network: encoders, guiders, fusion, base encoder and guided decoder.

    Filled: convolutions of head (3×3) and tail (3×3), no global residual, skips added at equal
    size before the up-sampling and, for the last, before the tail, all as FBCNN; fusion once, at
    the bottleneck; the encoders see the image at full size.

    Args:
        widths: Channels at 1/1, 1/2, 1/4 and 1/8 of the resolution.
        num_blocks: Residual blocks of each scale, csg blocks and cig blocks of each stage.
        encoder_width: Channels of the encoders' stem; their features have 32 times as many.
        encoder_blocks: Bottleneck blocks in the encoders' four stages.
        guider_widths: Hidden widths of the guiders.
        cigm: Steer the cig blocks by ci features; without, they are plain residual blocks.
        csgm: Steer the csg blocks by cs features; without, they are plain residual blocks.
        cfm: Fuse ci features into the bottleneck; without, it passes on unchanged.
        normalise_cfm: Keep the fusion's size independent of its width; not in the paper.

    A switch that is off leaves its parts unbuilt; the ci encoder serves two of them. With
    ``cigm=csgm=cfm=False`` the paper's baseline (Table V) remains.

    Attributes:
        encoders: ``"insensitive"`` and ``"sensitive"``, as far as they are needed. Stage 1 of the
            training fills them (``network.encoders[...].load_state_dict``); stage 2 calls
            :meth:`freeze_encoders` first.
    """

    spec: ClassVar[RestorerSpec] = RestorerSpec(
        channels=(3,),
        size_multiple=16,
        quality="ignored",
        paper="Ma et al., Sensitivity Decouple Learning for Image Compression Artifacts Reduction",
    )
    presets: ClassVar[dict[str, dict[str, object]]] = {
        "paper": {},
        "tiny": {
            "widths": (16, 32, 48, 96),
            "num_blocks": 2,
            "encoder_width": 8,
            "encoder_blocks": (1, 1, 1, 1),
            "guider_widths": (64, 48),
        },
    }

    def __init__(
        self,
        widths: Sequence[int] = (64, 128, 256, 512),
        num_blocks: int = 4,
        encoder_width: int = 64,
        encoder_blocks: Sequence[int] = (3, 4, 6, 3),
        guider_widths: Sequence[int] = (512, 256),
        cigm: bool = True,
        csgm: bool = True,
        cfm: bool = True,
        normalise_cfm: bool = False,
    ) -> None:
        super().__init__()
        for name, values, count in (
            ("widths", widths, 4),
            ("encoder_blocks", encoder_blocks, 4),
            ("guider_widths", guider_widths, 2),
        ):
            if len(values) != count or min(values) < 1:
                raise ValueError(f"{name} is {values!r}; DAGN needs {count} numbers of at least 1")
        if num_blocks < 1 or encoder_width < 1:
            raise ValueError(
                f"num_blocks ({num_blocks}) and encoder_width ({encoder_width}) must be at least 1"
            )
        self.encoders = nn.ModuleDict()
        self.guiders = nn.ModuleDict()
        for name, guided, fused in (("insensitive", cigm, cfm), ("sensitive", csgm, False)):
            if guided or fused:
                self.encoders[name] = ResNetEncoder(encoder_width, encoder_blocks)
            if guided:
                self.guiders[name] = Guider(32 * encoder_width, guider_widths, widths[2::-1])
        self._frozen = False

        self.head = nn.Conv2d(3, widths[0], 3, padding=1)
        self.encode = nn.ModuleList(_blocks(width, num_blocks) for width in widths)
        down = [nn.Conv2d(fine, coarse, 2, stride=2) for fine, coarse in pairwise(widths)]
        self.down = nn.ModuleList(down)
        features = 32 * encoder_width
        self.fuse = CrossFeatureFusion(features, widths[3], normalise_cfm) if cfm else None
        self.middle = _blocks(widths[3], num_blocks)
        self.decode = nn.ModuleList(
            GuidedStage(coarse, fine, num_blocks, up_gain=1 if index < 2 else 0.1)
            for index, (coarse, fine) in enumerate(pairwise(reversed(widths)))
        )
        self.tail = nn.Conv2d(widths[0], 3, 3, padding=1)
        for layer in (self.head, *down, self.tail):
            _init(layer, "linear", gain=0.1 if layer is self.tail else 1)
        _carry_the_image(self.head, self.tail)

    @property
    def receptive_radius(self) -> int | None:
        """``None``: the guides are of the whole image; without any, a U-Net's of four scales."""
        if self.encoders:
            return None
        scales = [1, 2, 4, 8]
        radius = reach(self.head, self.tail) + scales[-1] * reach(self.middle) + scales[-1] - 1
        for scale, blocks in zip(scales, self.encode, strict=True):
            radius += scale * reach(blocks)
        for scale, stage in zip(scales[-2::-1], self.decode, strict=True):
            radius += scale * reach(stage)
        return radius

    def forward(self, image: Tensor, quality: Quality | None = None) -> RestorerOutput:
        """Restore (N, 3, H, W) in [0, 1], H and W multiples of 16; ``quality`` is not looked at."""
        features = {name: encoder(image) for name, encoder in self.encoders.items()}
        guides = {name: guider(features[name]) for name, guider in self.guiders.items()}

        x = self.head(image)
        skips: list[Tensor] = []
        for scale, blocks in enumerate(self.encode):
            x = blocks(x if scale == 0 else self.down[scale - 1](x))
            skips.append(x)  # (N, widths[scale], H/2^scale, W/2^scale)
        if self.fuse is not None:
            x = self.fuse(x, features["insensitive"])
        x = self.middle(x)
        for index, stage in enumerate(self.decode):
            sensitive, insensitive = (
                guides[name][index] if name in guides else None
                for name in ("sensitive", "insensitive")
            )
            x = stage(x, skips.pop(), sensitive, insensitive)
        return RestorerOutput(self.tail(x + skips.pop()))

    def freeze_encoders(self) -> None:
        """Keep the encoders as they are, for stage 2: no gradient, and BN fixed in ``train()``."""
        self._frozen = True
        self.encoders.requires_grad_(False).eval()

    def train(self, mode: bool = True) -> DAGN:
        """Switch between training and evaluation; frozen encoders stay in evaluation."""
        super().train(mode)
        if self._frozen:
            self.encoders.eval()
        return self


def _init(
    layer: nn.Conv2d | nn.ConvTranspose2d, nonlinearity: Literal["linear", "relu"], gain: float = 1
) -> None:
    """Draw weights that keep the signal's size, times ``gain``; the paper does not say how."""
    nn.init.kaiming_normal_(layer.weight, nonlinearity=nonlinearity)
    with torch.no_grad():
        layer.weight.mul_(gain)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)


def _carry_the_image(head: nn.Conv2d, tail: nn.Conv2d) -> None:
    """Let the first channels of the features be the image to begin with.

    Without a global residual a network spends its first thousands of steps on copying the image;
    the paper does not say how it starts.
    """
    centre = head.kernel_size[0] // 2
    with torch.no_grad():
        for channel in range(min(head.in_channels, head.out_channels)):
            head.weight[channel] = 0
            head.weight[channel, channel, centre, centre] = 1
            tail.weight[channel, channel, centre, centre] += 1


def _blocks(channels: int, count: int) -> nn.Sequential:
    """Return ``count`` blocks in a row."""
    return nn.Sequential(*(GuidedBlock(channels) for _ in range(count)))
