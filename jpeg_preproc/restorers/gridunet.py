"""GridUNet: a small U-Net that works on the 8×8 grid and is told the file's quantisation tables.

Our own design, for CPUs first. Three ideas carry it:

* The first step is a pixel-unshuffle by 2, so nothing is computed at full resolution, where a
  convolution is bound by memory; after two more halvings one position is one 8×8 block of the
  JPEG grid, and a 3×3 kernel there sees nine whole blocks.
* The luma and chroma tables, 2 × 64 steps, are embedded once and scale and shift the features
  of every block (FiLM, Perez et al., AAAI 2018). A learned vector stands in where they are
  unknown, so that one set of weights serves every quality and the blind case.
* It predicts the correction, not the image: at high quality the correction tends to zero.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from jpeg_preproc.restorers.contract import Quality, Restorer, RestorerOutput, RestorerSpec, reach


def _zero(values: Tensor | None) -> None:
    """Set parameters to zero; a layer without a bias has none."""
    if values is not None:
        nn.init.zeros_(values)


class TableEmbedding(nn.Module):
    """Embed quantisation tables as one vector per image."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(128, width), nn.SiLU(), nn.Linear(width, width))
        self.unknown = nn.Parameter(torch.zeros(width))

    def forward(self, quality: Quality | None, batch: int) -> Tensor:
        """Return (N, width); images of unknown quality get the learned stand-in."""
        if quality is None:
            return self.unknown.expand(batch, -1)
        # Steps act on the error in proportion, hence the logarithm: 1..255 becomes 0..1.
        tables = quality.qtables.to(self.unknown.dtype).flatten(1)  # (N, 128)
        embedded: Tensor = self.layers(tables.log2() / 8)
        if quality.known is None:
            return embedded
        return torch.where(quality.known[:, None], embedded, self.unknown)


class TableBlock(nn.Module):
    """x + conv(relu(film(conv(x)))), with scale and shift from the table embedding."""

    def __init__(self, channels: int, embedding: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1)
        self.film = nn.Linear(embedding, 2 * channels)
        # Starting as the identity keeps a deep stack without normalisation well conditioned.
        _zero(self.film.weight)
        _zero(self.film.bias)
        nn.init.kaiming_normal_(self.conv1.weight, nonlinearity="relu")
        _zero(self.conv1.bias)
        nn.init.kaiming_normal_(self.conv2.weight, nonlinearity="linear")
        with torch.no_grad():
            self.conv2.weight.mul_(0.1)
        _zero(self.conv2.bias)

    def forward(self, x: Tensor, embedding: Tensor) -> Tensor:
        """Return (N, C, H, W) from ``x`` of that shape and an ``embedding`` (N, E)."""
        scale, shift = self.film(embedding)[:, :, None, None].chunk(2, dim=1)  # (N, C, 1, 1)
        # In place where autograd needs no copy: a large tile is mostly these features.
        hidden = torch.addcmul(shift, self.conv1(x), 1 + scale).relu_()
        return self.conv2(hidden).add_(x)


class GridUNet(Restorer):
    """Three-scale residual U-Net conditioned on quantisation tables.

    Args:
        widths: Channels at 1/2, 1/4 and 1/8 of the resolution.
        blocks: Residual blocks in the encoder at 1/2 and 1/4, at 1/8, and in the decoder at 1/4
            and 1/2.
        embedding: Width of the table embedding.
    """

    spec: ClassVar[RestorerSpec] = RestorerSpec(
        channels=(3,),
        size_multiple=8,
        quality="optional",
        paper="this project",
    )
    presets: ClassVar[dict[str, dict[str, object]]] = {
        "base": {"widths": (48, 96, 192), "blocks": (2, 2, 3, 2, 2)},
        "small": {"widths": (32, 64, 128), "blocks": (1, 2, 2, 2, 1)},
        "nano": {"widths": (16, 32, 64), "blocks": (1, 2, 2, 2, 1)},
    }

    def __init__(
        self,
        widths: Sequence[int] = (48, 96, 192),
        blocks: Sequence[int] = (2, 2, 3, 2, 2),
        embedding: int = 128,
    ) -> None:
        super().__init__()
        half, quarter, eighth = widths
        self.embed = TableEmbedding(embedding)

        def stage(channels: int, count: int) -> nn.ModuleList:
            return nn.ModuleList(TableBlock(channels, embedding) for _ in range(count))

        self.head = nn.Conv2d(12, half, 3, padding=1)
        self.encode_half = stage(half, blocks[0])
        self.down_quarter = nn.Conv2d(half, quarter, 2, stride=2)
        self.encode_quarter = stage(quarter, blocks[1])
        self.down_eighth = nn.Conv2d(quarter, eighth, 2, stride=2)
        self.middle = stage(eighth, blocks[2])
        self.up_quarter = nn.ConvTranspose2d(eighth, quarter, 2, stride=2)
        self.decode_quarter = stage(quarter, blocks[3])
        self.up_half = nn.ConvTranspose2d(quarter, half, 2, stride=2)
        self.decode_half = stage(half, blocks[4])
        self.tail = nn.Conv2d(half, 12, 3, padding=1)
        # A correction of zero to begin with: training starts at the JPEG image.
        _zero(self.tail.weight)
        _zero(self.tail.bias)

    @property
    def receptive_radius(self) -> int:
        """A position of its own scale for each 3×3 convolution, two a block, and the 8×8 block.

        Of ``base``: 2·(2·4 + 2) + 4·(2·4) + 8·(2·3) + 7 pixels.
        """
        half = reach(self.head, self.encode_half, self.decode_half, self.tail)
        quarter = reach(self.encode_quarter, self.decode_quarter)
        return 2 * half + 4 * quarter + 8 * reach(self.middle) + 7

    def forward(self, image: Tensor, quality: Quality | None = None) -> RestorerOutput:
        """Restore RGB images.

        Args:
            image: Batch (N, 3, H, W) in [0, 1], H and W multiples of 8.
            quality: Tables of the N files; ``None`` restores blind.

        Returns:
            The restored images, same shape, and the quality factors that were given.
        """
        embedding = self.embed(quality, image.shape[0])  # (N, E)
        x = F.pixel_unshuffle(image - 0.5, 2)  # (N, 12, H/2, W/2)
        x = head = self.head(x)
        for block in self.encode_half:
            x = block(x, embedding)
        half = x  # (N, C1, H/2, W/2)
        x = self.down_quarter(x)
        for block in self.encode_quarter:
            x = block(x, embedding)
        quarter = x  # (N, C2, H/4, W/4)
        x = self.down_eighth(x)
        for block in self.middle:
            x = block(x, embedding)  # (N, C3, H/8, W/8)
        x = self.up_quarter(x) + quarter
        for block in self.decode_quarter:
            x = block(x, embedding)
        x = self.up_half(x) + half
        for block in self.decode_half:
            x = block(x, embedding)
        correction = F.pixel_shuffle(self.tail(x + head), 2)  # (N, 3, H, W)
        return RestorerOutput(image + correction, None if quality is None else quality.qf)
