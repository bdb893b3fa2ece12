"""The encoders of DAGN (see :mod:`jpeg_preproc.restorers.dagn`), and what trains them.

Stage 1 trains two auto-encoders on clean and JPEG images alike. The features of one shall not
tell a discriminator whether the image was coded (eq. 6), those of the other shall tell a
predictor at which quality factor (eq. 9). Stage 2 takes the encoders alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from torch import Tensor, nn
from torch.nn import functional as F


class Bottleneck(nn.Module):
    """Bottleneck block of ResNet: 1×1, 3×3 with the stride, 1×1 to four times the width."""

    def __init__(self, inputs: int, width: int, stride: int) -> None:
        super().__init__()
        outputs = 4 * width
        self.conv1 = nn.Conv2d(inputs, width, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, stride, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = nn.Conv2d(width, outputs, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(outputs)
        self.downsample = (
            nn.Sequential(
                nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs)
            )
            if inputs != outputs or stride != 1
            else None
        )

    def forward(self, x: Tensor) -> Tensor:
        """Return (N, 4·width, H/stride, W/stride) from (N, inputs, H, W)."""
        hidden = F.relu(self.bn1(self.conv1(x)))
        hidden = F.relu(self.bn2(self.conv2(hidden)))
        shortcut = x if self.downsample is None else self.downsample(x)
        return F.relu(self.bn3(self.conv3(hidden)) + shortcut)


class ResNetEncoder(nn.Module):
    """ResNet-50 (He et al., CVPR 2016) without pooling and classifier, 1/16 of the resolution.

    The last stride of 2 is 1 (paper); in the shortcut beside it too, else they would not add up.
    Layers bear torchvision's names, so that its state dicts, less ``fc``, load as they are.

    Args:
        width: Channels of the stem.
        blocks: Bottleneck blocks of the four stages.
    """

    def __init__(self, width: int = 64, blocks: Sequence[int] = (3, 4, 6, 3)) -> None:
        super().__init__()
        self.out_channels = 32 * width
        self.conv1 = nn.Conv2d(3, width, 7, stride=2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.layer1 = _stage(width, width, blocks[0], stride=1)
        self.layer2 = _stage(4 * width, 2 * width, blocks[1], stride=2)
        self.layer3 = _stage(8 * width, 4 * width, blocks[2], stride=2)
        self.layer4 = _stage(16 * width, 8 * width, blocks[3], stride=1)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, image: Tensor) -> Tensor:
        """Return (N, 32·width, H/16, W/16) from (N, 3, H, W) in [0, 1], not standardised."""
        x = F.relu(self.bn1(self.conv1(image)))
        x = F.max_pool2d(x, 3, stride=2, padding=1)
        for stage in (self.layer1, self.layer2, self.layer3, self.layer4):
            x = stage(x)
        return x


def _stage(inputs: int, width: int, count: int, stride: int) -> nn.Sequential:
    """Return ``count`` blocks of which the first has the stride."""
    rest = [Bottleneck(4 * width, width, 1) for _ in range(count - 1)]
    return nn.Sequential(Bottleneck(inputs, width, stride), *rest)


class FeatureDecoder(nn.Sequential):
    """D: turns encoder features back into an image, while the encoders are trained (eqs. 5, 8).

    Fifteen layers: five convolutions, then convolution and transposed convolution in turn
    (paper). Filled: widths; BN and ReLU after all but the last; of the five transposed
    convolutions four double the size, as the features are at 1/16, and the last is 3×3 of
    stride 1.

    Takes (N, features, h, w) and returns (N, 3, 16h, 16w), about [0, 1], not clipped.

    Args:
        features: Channels of the encoder's features.
        width: Channels of the first layers; a multiple of 8.
    """

    def __init__(self, features: int = 2048, width: int = 512) -> None:
        if width < 8 or width % 8:
            raise ValueError(f"width is {width}; it is halved three times: give a multiple of 8")
        layers: list[nn.Module] = []
        for inputs in (features, width, width, width, width):
            layers += _normalised(nn.Conv2d(inputs, width, 3, padding=1))
        widths = [width, width // 2, width // 4, width // 8, width // 8]
        for inputs, outputs in pairwise(widths):
            layers += _normalised(nn.Conv2d(inputs, inputs, 3, padding=1))
            layers += _normalised(nn.ConvTranspose2d(inputs, outputs, 4, stride=2, padding=1))
        layers += _normalised(nn.Conv2d(width // 8, width // 8, 3, padding=1))
        layers.append(nn.ConvTranspose2d(width // 8, 3, 3, padding=1))
        super().__init__(*layers)


def _normalised(layer: nn.Conv2d | nn.ConvTranspose2d) -> list[nn.Module]:
    """Return the layer with BN and ReLU after it."""
    return [layer, nn.BatchNorm2d(layer.out_channels), nn.ReLU()]


class Discriminator(nn.Module):
    """J of eq. 6: tells ci features of clean images from those of JPEG ones, by a two-layer MLP.

    Filled: the global average as input; leaky ReLU of slope 0.2. Its sigmoid is left to the loss,
    which is exact on logits.
    """

    def __init__(self, features: int = 2048) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(features, features), nn.LeakyReLU(0.2), nn.Linear(features, 1)
        )

    def forward(self, features: Tensor) -> Tensor:
        """Return (N,) logits of being from a clean image, from (N, features, h, w)."""
        logits: Tensor = self.layers(features.mean((2, 3)))
        return logits[:, 0]


class QualityPredictor(nn.Module):
    """Predictor of eq. 9: which of 100 quality factors cs features show, by a two-layer MLP.

    Filled: the global average as input; ReLU; clean images count as 100. Its softmax is left to
    the loss, as with :class:`Discriminator`.
    """

    def __init__(self, features: int = 2048) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(features, features), nn.ReLU(), nn.Linear(features, 100)
        )

    def forward(self, features: Tensor) -> Tensor:
        """Return (N, 100) logits, of quality factor k + 1 at k, from (N, features, h, w)."""
        logits: Tensor = self.layers(features.mean((2, 3)))
        return logits
