"""QCN and QGCN: Li, Wang, Xie, Ma, "Learning a Single Model With a Wide Range of Quality Factors".

"… for JPEG Image Artifacts Removal", IEEE TIP 29, 2020. One set of weights serves every quality:
the file's quantisation tables, tiled over the image, go in beside the pixels (the quantisation
maps). QCN is the restoration branch alone; QGCN adds a global branch, which looks at the whole
image in small and tells the restoration branch one vector.

Layers, scales and initialisation follow the authors' repository VDIGPKU/QGCN (``qmar`` is QCN,
``qmarg`` is QGCN). Inside, pixels and maps lie in [-1, 1]; outside, images lie in [0, 1].
"""

from __future__ import annotations

import math
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from jpeg_preproc.errors import QualityError, WeightsError
from jpeg_preproc.restorers.contract import Quality, Restorer, RestorerOutput, RestorerSpec, reach

# The global branch sees the image at this size, and four halvings of it: 112 -> 7.
_GLOBAL_SIZE = 112
_GLOBAL_GRID = _GLOBAL_SIZE // 16


def quantisation_maps(image: Tensor, quality: Quality) -> Tensor:
    """Tile the tables over the image, in the scale of its pixels (paper, quantisation maps).

    A step v becomes (v/255 - 0.5)/0.5, as an 8-bit pixel would. The authors read 8-bit tables
    only; larger steps, which 16-bit tables can have, count as 255 here.

    Args:
        image: Batch (N, C, H, W), H and W multiples of 8, its corner on the JPEG grid.
        quality: Tables of the N images; ``known`` is not looked at.

    Returns:
        (N, 1, H, W) luma map for a grey image, else (N, 2, H, W) luma and chroma, in [-1, 1].

    Raises:
        QualityError: Tables of another shape than (N, 2, 8, 8).
    """
    batch, channels, height, width = image.shape
    tables = quality.qtables
    if tables.ndim != 4 or tables.shape[1:] != (2, 8, 8) or tables.shape[0] != batch:
        raise QualityError(
            f"quantisation tables have shape {tuple(tables.shape)} for {batch} images; expected "
            "(N, 2, 8, 8), luma and chroma of each, as Quality.from_qtables makes them"
        )
    used = tables[:, :1] if channels == 1 else tables
    scaled = used.to(image.dtype).clamp(max=255) / 255 * 2 - 1  # (N, T, 8, 8)
    return scaled.repeat(1, 1, height // 8, width // 8)


class ResidualBlock(nn.Module):
    """x + scale · conv(relu(conv(x))), without bias or normalisation."""

    def __init__(self, width: int, scale: float) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.scale = scale

    def forward(self, x: Tensor) -> Tensor:
        """Return (N, width, H, W) from ``x`` of that shape."""
        return torch.add(x, self.conv2(F.relu(self.conv1(x))), alpha=self.scale)


def _blocks(count: int, width: int, scale: float) -> nn.Sequential:
    """Return ``count`` residual blocks in a row."""
    return nn.Sequential(*(ResidualBlock(width, scale) for _ in range(count)))


class _RestorationBranch(Restorer):
    """What QCN and QGCN have in common: the way in, down to half the resolution, and out."""

    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        if channels not in self.spec.channels:
            raise ValueError(f"channels is {channels}; {type(self).__name__} takes 1 or 3")
        self.channels = channels
        maps = 1 if channels == 1 else 2
        self.extract = nn.Conv2d(channels + maps, width, 3, padding=1, bias=False)
        self.downscale = nn.Conv2d(width, width, 4, stride=2, padding=1, bias=False)
        self.mix = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.upscale = nn.Conv2d(width, 4 * width, 3, padding=1)
        self.reconstruct = nn.Conv2d(width, channels, 3, padding=1, bias=False)

    def _initialise(self) -> None:
        """Draw convolutions from N(0, 2/(k²·C_out)), biases zero, as the authors' code does."""
        for layer in self.modules():
            if isinstance(layer, nn.Conv2d):
                fan_out = layer.kernel_size[0] * layer.kernel_size[1] * layer.out_channels
                nn.init.normal_(layer.weight, std=math.sqrt(2 / fan_out))
                if layer.bias is not None:
                    nn.init.zeros_(layer.bias)

    def _enter(self, image: Tensor, quality: Quality | None) -> tuple[Tensor, Quality]:
        """Return features (N, width, H, W) of pixels and maps, and the quality that is there."""
        if quality is None:
            raise QualityError(
                f"{type(self).__name__} needs the quantisation tables of each image: give quality"
            )
        maps = quantisation_maps(image, quality)
        features: Tensor = self.extract(torch.cat([image * 2 - 1, maps], dim=1))
        return features, quality

    def _expand(self, x: Tensor) -> Tensor:
        """Return (N, width, H, W) from (N, width, H/2, W/2)."""
        return F.pixel_shuffle(self.upscale(self.mix(x)), 2)

    def _leave(self, x: Tensor, image: Tensor, quality: Quality) -> RestorerOutput:
        """Turn features (N, width, H, W) into images; not a correction of the input."""
        # Under autocast: back in the input's dtype first, so that nothing is rounded twice.
        restored = self.reconstruct(x).to(image.dtype) * 0.5 + 0.5
        return RestorerOutput(restored, quality.qf)


class QCN(_RestorationBranch):
    """Restoration by quantisation maps, without the global branch (the authors' ``qmar``).

    One skip at full resolution; there is no long skip over the residual blocks.

    Args:
        channels: Channels of the images: 3 is RGB, with luma and chroma maps; 1 is luma, with the
            luma map.
        width: Channels of all features.
        num_blocks: Residual blocks at half resolution.
        residual_scale: Factor of each block's residual.
    """

    spec: ClassVar[RestorerSpec] = RestorerSpec(
        channels=(3, 1),
        size_multiple=8,
        quality="required",
        paper="Li et al., IEEE TIP 2020",
    )
    presets: ClassVar[dict[str, dict[str, object]]] = {
        "paper": {"channels": 3},
        "paper-grey": {"channels": 1},
        "tiny": {"channels": 3, "width": 48, "num_blocks": 8},
        "tiny-grey": {"channels": 1, "width": 48, "num_blocks": 8},
    }

    def __init__(
        self,
        channels: int = 3,
        width: int = 64,
        num_blocks: int = 64,
        residual_scale: float = 0.1,
    ) -> None:
        super().__init__(channels, width)
        self.blocks = _blocks(num_blocks, width, residual_scale)
        self._initialise()

    @property
    def receptive_radius(self) -> int:
        """At half resolution two convolutions a block and two after them; three at full; and 2×2.

        Of ``paper``: 2·(2·64 + 2) + 3 + 1 pixels.
        """
        full = reach(self.extract, self.downscale, self.reconstruct)
        return full + 2 * reach(self.blocks, self.mix, self.upscale) + 1

    def forward(self, image: Tensor, quality: Quality | None = None) -> RestorerOutput:
        """Restore a batch by its tables.

        Args:
            image: Batch (N, channels, H, W) in [0, 1], H and W multiples of 8.
            quality: Tables of the N images; all count as known.

        Returns:
            The restored images, same shape, and the quality factors that were given.

        Raises:
            QualityError: No quality, or one of another batch.
        """
        skip, given = self._enter(image, quality)  # (N, width, H, W)
        x = self.blocks(F.relu(self.downscale(skip)))  # (N, width, H/2, W/2)
        return self._leave(self._expand(x) + skip, image, given)


class GlobalBranch(nn.Module):
    """One vector that describes the whole image: eight convolutions and two linear layers.

    The image is resized to 112×112, whatever its size and aspect; the maps do not go in.
    The authors resize with skimage (order 3): a Gaussian, then cubic interpolation. Here it is
    torch's bicubic with antialiasing, which goes into an exported model: equal when enlarging but
    for the kernel, and with another low-pass when shrinking.
    """

    def __init__(self, channels: int, width: int, hidden: int, outputs: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for step in (width, 2 * width, 4 * width, 4 * width):
            layers += [nn.Conv2d(channels, step, 4, stride=2, padding=1), nn.ReLU()]
            layers += [nn.Conv2d(step, step, 3, padding=1), nn.ReLU()]
            channels = step
        self.convs = nn.Sequential(*layers)
        self.linears = nn.Sequential(
            nn.Linear(_GLOBAL_GRID**2 * channels, hidden), nn.ReLU(), nn.Linear(hidden, outputs)
        )

    def forward(self, image: Tensor) -> Tensor:
        """Return (N, outputs) from an ``image`` (N, channels, H, W) in [0, 1]."""
        small = F.interpolate(image, (_GLOBAL_SIZE, _GLOBAL_SIZE), mode="bicubic", antialias=True)
        # skimage cuts overshoot off, too, at the image's own extremes.
        x = self.convs(small.clamp(0, 1) * 2 - 1)  # (N, 4·width, 7, 7)
        vector: Tensor = self.linears(x.flatten(1))
        return vector


class QGCN(_RestorationBranch):
    """QCN's layers with a global branch merged into their middle (the authors' ``qmarg``).

    Other than QCN it has no skip at full resolution, but one over each half of the blocks.

    Args:
        channels: Channels of the images: 3 is RGB, with luma and chroma maps; 1 is luma, with the
            luma map.
        width: Channels of all features of the restoration branch, and of the global vector.
        num_blocks: Residual blocks at half resolution, half of them before merging; even.
        residual_scale: Factor of each block's residual.
        global_width: Channels of the global branch's first layers; the last have four times that.
        global_hidden: Width of its hidden linear layer.
    """

    spec: ClassVar[RestorerSpec] = RestorerSpec(
        channels=(3, 1),
        size_multiple=8,
        quality="required",
        paper="Li et al., IEEE TIP 2020",
    )
    _tiny: ClassVar[dict[str, object]] = {
        "width": 48,
        "num_blocks": 8,
        "global_width": 16,
        "global_hidden": 128,
    }
    presets: ClassVar[dict[str, dict[str, object]]] = {
        "paper": {"channels": 3},
        "paper-grey": {"channels": 1},
        "tiny": {"channels": 3, **_tiny},
        "tiny-grey": {"channels": 1, **_tiny},
    }

    def __init__(
        self,
        channels: int = 3,
        width: int = 64,
        num_blocks: int = 64,
        residual_scale: float = 0.1,
        global_width: int = 32,
        global_hidden: int = 1024,
    ) -> None:
        super().__init__(channels, width)
        if num_blocks % 2:
            raise ValueError(f"num_blocks is {num_blocks}; it must be even, to be halved")
        self.global_branch = GlobalBranch(channels, global_width, global_hidden, width)
        self.blocks_before = _blocks(num_blocks // 2, width, residual_scale)
        self.merge = nn.Conv2d(2 * width, width, 3, padding=1)
        self.blocks_after = _blocks(num_blocks // 2, width, residual_scale)
        self._initialise()

    def forward(self, image: Tensor, quality: Quality | None = None) -> RestorerOutput:
        """Restore a batch by its tables and a look at each whole image.

        Args:
            image: Batch (N, channels, H, W) in [0, 1], H and W multiples of 8.
            quality: Tables of the N images; all count as known.

        Returns:
            The restored images, same shape, and the quality factors that were given.

        Raises:
            QualityError: No quality, or one of another batch.
        """
        x, given = self._enter(image, quality)  # (N, width, H, W)
        x = F.relu(self.downscale(x))  # (N, width, H/2, W/2)
        x = self.blocks_before(x) + x
        vector = self.global_branch(image)[:, :, None, None]  # (N, width, 1, 1)
        x = F.relu(self.merge(torch.cat([x, vector.expand_as(x)], dim=1)))
        x = self.blocks_after(x) + x
        return self._leave(self._expand(x), image, given)


# Layer names in the authors' state dicts, and ours; what follows a name is the same in both.
_OFFICIAL_LAYERS = {
    "conv_input": "extract",
    "downscale.0": "downscale",
    "residual": "blocks",
    "residual1": "blocks_before",
    "conv_res_mid": "merge",
    "residual2": "blocks_after",
    "conv_mid": "mix",
    "upscale.0": "upscale",
    "conv_output": "reconstruct",
    "conv_global": "global_branch.convs",
    "conv_global_l": "global_branch.linears",
}


def from_official(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Rename the tensors of a state dict of VDIGPKU/QGCN, ``qmar`` or ``qmarg``, to ours.

    The authors' files hold a pickled module, so ``state`` is
    ``torch.load(file, weights_only=False)["model"].state_dict()``, with their ``nets`` package
    importable, which runs whatever the file names: see ``SECURITY.md``. The ``module.`` of
    multi-GPU training is dropped.

    Raises:
        WeightsError: A tensor that neither network has.
    """
    renamed = {}
    for key, value in state.items():
        own = key.removeprefix("module.")
        for official, ours in _OFFICIAL_LAYERS.items():
            if own.startswith(f"{official}."):
                renamed[ours + own.removeprefix(official)] = value
                break
        else:
            known = ", ".join(_OFFICIAL_LAYERS)
            raise WeightsError(f"{key}: no tensor of QCN or QGCN, whose layers are {known}")
    return renamed
