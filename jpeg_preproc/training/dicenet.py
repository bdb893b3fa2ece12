"""``DiCENetFeatures``: what a segmenter of PASCAL VOC or Cityscapes makes of an image, to train by.

S. Mehta, H. Hajishirzi, M. Rastegari, "DiCENet: Dimension-wise Convolutions for Efficient
Networks", TPAMI 2020 (arXiv 1906.03516). Its authors' repository, sacmehta/EdgeNets (MIT), has
weights (``dicenet_s_1.0_pascal_384x384.pth``, …), after whose entries the modules here are named.
"""

from __future__ import annotations

import functools
import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.registry import MODELS
from torch import Tensor, nn
from torch.nn import functional as F

from jpeg_preproc.checkpoint import read_checkpoint
from jpeg_preproc.errors import TrainingError, UntrustedCheckpointError, WeightsError
from jpeg_preproc.io import sha256_file
from jpeg_preproc.training.feature_losses import resized

_STEM = 24
# Blocks at 1/8 and 1/16 of the image, after the one that halves it.
_BLOCKS = (3, 7)
# Channels that the decoder has at 1/16, 1/8 and 1/4 of the image; its last level has the classes.
_DECODED = (64, 48, 32)
_PYRAMID = (2.0, 1.5, 1.0, 0.5, 0.1)
# The decoder's pyramids are no smaller than this.
_LEAST = 5
_MEAN, _STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # ImageNet's, of RGB


class BnPReLU(nn.Module):
    """Batch norm and PReLU."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.br = nn.Sequential(nn.BatchNorm2d(channels), nn.PReLU(channels))

    def forward(self, features: Tensor) -> Tensor:
        """Return (N, C, H, W) of the same."""
        return self.br(features)


class ConvBnPReLU(nn.Module):
    """A convolution without bias, batch norm and PReLU."""

    def __init__(
        self, c_in: int, c_out: int, kernel: int = 1, stride: int = 1, groups: int = 1
    ) -> None:
        super().__init__()
        self.cbr = nn.Sequential(
            nn.Conv2d(c_in, c_out, kernel, stride, kernel // 2, groups=groups, bias=False),
            nn.BatchNorm2d(c_out),
            nn.PReLU(c_out),
        )

    def forward(self, features: Tensor) -> Tensor:
        """Return (N, c_out, ⌈H / stride⌉, ⌈W / stride⌉) of (N, c_in, H, W)."""
        return self.cbr(features)


class DimensionWiseUnit(nn.Module):
    """The paper's DiCE unit: 3 × 3 over (H, W), (C, W) and (H, C), fused (sections 3.1, 3.2).

    The convolutions over (C, W) and (H, C) have one kernel for each row and each column of an image
    of a fixed ``size``; others are scaled to it and back.
    """

    def __init__(self, channels: int, size: int) -> None:
        super().__init__()

        def depthwise(count: int) -> nn.Conv2d:
            return nn.Conv2d(count, count, 3, padding=1, groups=count, bias=False)

        self.conv_channel = depthwise(channels)
        self.conv_height = depthwise(size)
        self.conv_width = depthwise(size)
        self.br_act = BnPReLU(3 * channels)
        self.weight_avg_layer = ConvBnPReLU(3 * channels, channels, groups=channels)
        self.linear_comb_layer = nn.Sequential(
            nn.AdaptiveAvgPool2d(1),
            nn.Conv2d(channels, channels // 4, 1, bias=False),
            nn.ReLU(),
            nn.Conv2d(channels // 4, channels, 1, bias=False),
            nn.Sigmoid(),
        )
        self.proj_layer = ConvBnPReLU(channels, channels, 3, groups=channels)

    def forward(self, features: Tensor) -> Tensor:
        """Return (N, C, H, W) of the same."""
        by_dimension = (
            self.conv_channel(features),
            _along(features, 2, self.conv_height),
            _along(features, 3, self.conv_width),
        )
        # (N, 3 C, H, W), the three of a channel side by side
        fused = F.channel_shuffle(self.br_act(torch.cat(by_dimension, dim=1)), 3)
        fused = self.weight_avg_layer(fused)  # (N, C, H, W)
        return self.proj_layer(fused) * self.linear_comb_layer(fused)


class HalvingBlock(nn.Module):
    """Two branches of half the height and width, the channels of both."""

    def __init__(self, channels: int, size: int) -> None:
        super().__init__()
        self.left_layer = nn.Sequential(
            ConvBnPReLU(channels, channels, 3, 2, groups=channels), ConvBnPReLU(channels, channels)
        )
        self.right_layer = nn.Sequential(
            nn.AvgPool2d(3, 2, 1),
            DimensionWiseUnit(channels, size),
            ConvBnPReLU(channels, channels),
        )

    def forward(self, features: Tensor) -> Tensor:
        """Return (N, 2 C, ⌈H / 2⌉, ⌈W / 2⌉) of (N, C, H, W)."""
        both = (self.left_layer(features), self.right_layer(features))
        return F.channel_shuffle(torch.cat(both, dim=1), 2)


class ShuffleBlock(nn.Module):
    """Half of the channels as they are, the rest through a unit (as ShuffleNetV2)."""

    def __init__(self, c_in: int, c_out: int, size: int) -> None:
        super().__init__()
        self.kept = round(c_in / 2)
        wide = c_out - self.kept
        self.layer_right = nn.Sequential(
            ConvBnPReLU(c_in - self.kept, wide), DimensionWiseUnit(wide, size)
        )

    def forward(self, features: Tensor) -> Tensor:
        """Return (N, c_out, H, W) of (N, c_in, H, W)."""
        changed = self.layer_right(features[:, self.kept :])
        return F.channel_shuffle(torch.cat((features[:, : self.kept], changed), dim=1), 2)


class PyramidPooling(nn.Module):
    """Depthwise convolutions at five scales of the features, merged."""

    def __init__(self, c_in: int, c_out: int, narrow: int, last: bool = False) -> None:
        super().__init__()
        self.projection_layer = ConvBnPReLU(c_in, narrow)
        self.stages = nn.ModuleList(
            nn.Conv2d(narrow, narrow, 3, padding=1, groups=narrow, bias=False) for _ in _PYRAMID
        )
        wide = narrow * len(_PYRAMID)
        self.merge_layer = nn.Sequential(
            BnPReLU(wide),
            nn.ChannelShuffle(len(_PYRAMID)),
            ConvBnPReLU(wide, narrow, 3, groups=narrow),
            nn.Conv2d(narrow, c_out, 1, bias=last),
        )
        if not last:
            self.br = BnPReLU(c_out)
        self.last = last

    def forward(self, features: Tensor) -> Tensor:
        """Return (N, c_out, H, W) of (N, c_in, H, W)."""
        narrow = self.projection_layer(features)
        size = narrow.shape[2:]
        levels = []
        for scale, stage in zip(_PYRAMID, self.stages, strict=True):
            scaled = [max(math.ceil(side * scale), _LEAST) for side in size]
            levels.append(_fitted(stage(_fitted(narrow, scaled)), size))
        found: Tensor = self.merge_layer(torch.cat(levels, dim=1))
        return found if self.last else self.br(found)


class EncoderProjection(nn.Module):
    """The encoder's features in the decoder's channels, weighted by their means."""

    def __init__(self, c_in: int, c_out: int) -> None:
        super().__init__()
        self.wt_layer = nn.Sequential(
            nn.AdaptiveAvgPool2d(1), nn.Conv2d(c_in, c_out, 1, bias=False), nn.Sigmoid()
        )
        self.expansion_layer = ConvBnPReLU(c_in, c_out, 3, groups=math.gcd(c_in, c_out))

    def forward(self, features: Tensor) -> Tensor:
        """Return (N, c_out, H, W) of (N, c_in, H, W)."""
        return self.expansion_layer(features) * self.wt_layer(features)


class DiCENet(nn.Module):
    """The segmenter.

    Args:
        channels: At 1/8 of the image; at 1/16 there are twice as many. 116, 144 and 176 in the
            authors' sizes of 1.0, 1.25 and 1.5.
        classes: What a pixel can be: 21 of PASCAL VOC with the background, 20 of Cityscapes.
        size: Height and width of the image that its kernels are made for.
    """

    def __init__(self, channels: int = 116, classes: int = 21, size: int = 224) -> None:
        super().__init__()
        widths = (channels, 2 * channels)
        self.base_net = nn.ModuleDict({"level1": ConvBnPReLU(3, _STEM, 3, 2)})
        c_in = _STEM
        for level, (width, blocks) in enumerate(zip(widths, _BLOCKS, strict=True)):
            of_level = size // 8 // 2**level
            self.base_net[f"level{level + 3}"] = nn.Sequential(
                HalvingBlock(c_in, of_level),
                ShuffleBlock(2 * c_in, width, of_level),
                *(ShuffleBlock(width, width, of_level) for _ in range(blocks - 1)),
            )
            c_in = width
        # Named, as in the file, by the size of their features for an image of 256 × 256.
        narrow = min(classes // 2, 16)
        wide = _DECODED
        self.eff_pool_16x16 = PyramidPooling(widths[1], wide[0], narrow)
        self.eff_pool_32x32 = PyramidPooling(wide[0], wide[1], narrow)
        self.eff_pool_64x64 = PyramidPooling(wide[1], wide[2], narrow)
        self.eff_pool_128x128 = PyramidPooling(wide[2], classes, narrow, last=True)
        self.proj_enc_32x32 = EncoderProjection(widths[0], wide[0])
        self.proj_enc_64x64 = EncoderProjection(_STEM, wide[1])
        self.proj_enc_128x128 = EncoderProjection(_STEM, wide[2])
        self.bu_br_32x32 = nn.Sequential(nn.BatchNorm2d(wide[0]), nn.PReLU(wide[0]))
        self.bu_br_64x64 = nn.Sequential(nn.BatchNorm2d(wide[1]), nn.PReLU(wide[1]))
        self.bu_br_128x128 = nn.Sequential(nn.BatchNorm2d(wide[2]), nn.PReLU(wide[2]))

    def levels(self, image: Tensor) -> dict[str, Tensor]:
        """Return feature maps, (N, C, h, w) each, by name.

        ``encoded8`` and ``encoded16`` are the encoder's, at 1/8 and 1/16 of the image, ``decoded8``
        the decoder's at 1/8, and ``logits`` (classes) are at 1/2.

        Args:
            image: RGB images, (N, 3, H, W) in [0, 1].
        """
        mean, std = (image.new_tensor(values)[:, None, None] for values in (_MEAN, _STD))
        halved = self.base_net["level1"]((image - mean) / std)  # (N, 24, H/2, W/2)
        quartered = F.max_pool2d(halved, 3, 2, 1)  # (N, 24, H/4, W/4)
        encoded8 = self.base_net["level3"](quartered)
        encoded16 = self.base_net["level4"](encoded8)
        found = self.eff_pool_16x16(encoded16)
        found = decoded8 = self.eff_pool_32x32(
            self.bu_br_32x32(_joined(found, self.proj_enc_32x32(encoded8)))
        )
        found = self.eff_pool_64x64(
            self.bu_br_64x64(_joined(found, self.proj_enc_64x64(quartered)))
        )
        logits = self.eff_pool_128x128(
            self.bu_br_128x128(_joined(found, self.proj_enc_128x128(halved)))
        )
        return {
            "encoded8": encoded8,
            "encoded16": encoded16,
            "decoded8": decoded8,
            "logits": logits,
        }

    def forward(self, image: Tensor) -> Tensor:
        """Return logits, (N, classes, ⌈H / 2⌉, ⌈W / 2⌉), of RGB images (N, 3, H, W) in [0, 1]."""
        return self.levels(image)["logits"]


def load_dicenet(checkpoint: str | os.PathLike[str]) -> DiCENet:
    """Return the authors' segmenter of a file, whose size and classes are read from it.

    Raises:
        WeightsError: The file is missing, damaged, holds other weights, or would run code.
    """
    path = Path(checkpoint)
    mend = "give one of sacmehta/EdgeNets' dicenet_s_….pth of PASCAL VOC or Cityscapes"
    if not path.is_file():
        raise WeightsError(f"{path} does not exist; {mend}")
    try:
        state: Mapping[str, Any] = read_checkpoint(path, mend=mend.capitalize())
        network = DiCENet(
            channels=state["proj_enc_32x32.wt_layer.1.weight"].shape[1],
            classes=len(state["eff_pool_128x128.merge_layer.3.bias"]),
            size=8 * len(state["base_net.level3.1.layer_right.1.conv_height.weight"]),
        )
        network.load_state_dict(state)
    except UntrustedCheckpointError:
        raise
    except (WeightsError, KeyError, RuntimeError, TypeError, AttributeError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise WeightsError(f"{path} holds no weights of DiCENet: {reason}; {mend}") from error
    return network.eval()


@MODELS.register_module()
class DiCENetFeatures(nn.Module):
    """Feature maps and logits of the segmenter, differentiable in the image.

    Configs of trainings name ``jpeg_preproc.training.dicenet`` in ``custom_imports``.

    Args:
        checkpoint: Path of the authors' weights.
        scale: Height and width are multiplied by it first (bilinear).

    Raises:
        TrainingError: ``scale`` is not above 0.
        WeightsError: The weights are missing, damaged, of another network, or would run code.
    """

    def __init__(self, checkpoint: str | os.PathLike[str], scale: float = 1.0) -> None:
        super().__init__()
        if not scale > 0:
            raise TrainingError(f"DiCENetFeatures: scale={scale!r}; give a factor above 0")
        self.scale = float(scale)
        self.network = load_dicenet(checkpoint)
        #: What the manifest of weights trained with it says about it.
        self.record: dict[str, Any] = {
            "model": "DiCENet",
            "checkpoint": Path(checkpoint).name,
            "sha256": sha256_file(checkpoint),
            "scale": self.scale,
        }

    def forward(self, image: Tensor) -> dict[str, Tensor]:
        """Return the levels of :meth:`DiCENet.levels`.

        Args:
            image: RGB images, (N, 3, H, W) in [0, 1].
        """
        return self.network.levels(resized(image, self.scale))


def _joined(decoded: Tensor, encoded: Tensor) -> Tensor:
    """Return the sum of both at the size of the encoder's."""
    size = encoded.shape[2:]
    return encoded + F.interpolate(decoded, size, mode="bilinear", align_corners=True)


def _along(features: Tensor, axis: int, convolution: nn.Conv2d) -> Tensor:
    """Convolve with the axis and the channels changing places, at the size that it has kernels for.

    Args:
        features: Feature maps, (N, C, H, W).
        axis: The one that changes: 2 for a kernel for each row, over (C, W), 3 for one for each
            column, over (H, C).
        convolution: The depthwise convolution.
    """
    size = features.shape[axis]
    turned = _resampled(features, axis, convolution.in_channels).transpose(1, axis)
    return _resampled(convolution(turned).transpose(1, axis), axis, size)


def _fitted(features: Tensor, size: Any) -> Tensor:
    for axis, wanted in zip((2, 3), size, strict=True):
        features = _resampled(features, axis, wanted)
    return features


def _resampled(features: Tensor, axis: int, size: int) -> Tensor:
    """Return features with ``size`` places along an axis: means of fewer, or between more."""
    if features.shape[axis] == size:
        return features
    weights = torch.from_numpy(_weights(features.shape[axis], size)).to(features)
    return (features.movedim(axis, -1) @ weights).movedim(-1, axis)


@functools.lru_cache(maxsize=256)
def _weights(size: int, wanted: int) -> np.ndarray:
    """Return the share of each of ``size`` places in each of ``wanted``, (size, wanted) float32.

    Fewer places are means as torch's adaptive pooling has them, more are between two neighbours,
    the outermost on the outermost (``align_corners``).
    """
    weights = np.zeros((size, wanted), np.float32)
    for index in range(wanted):
        if wanted < size:
            start, stop = index * size // wanted, -(-(index + 1) * size // wanted)
            weights[start:stop, index] = 1 / (stop - start)
        else:
            place = index * (size - 1) / (wanted - 1)
            before = min(int(place), max(size - 2, 0))
            weights[before, index] += 1 - (place - before)
            if size > 1:
                weights[before + 1, index] += place - before
    return weights
