"""AR-CNN: Dong, Deng, Loy, Tang, "Compression Artifacts Reduction by a Deep Convolutional Network".

ICCV 2015. Four convolutions: feature extraction 9×9, feature enhancement 7×7, mapping 1×1,
reconstruction 5×5. One set of weights serves one quality factor; it is not told which.

The paper trains on luma. As in its authors' released weights the borders are replicated, so that
output and input are of one size.
"""

from __future__ import annotations

from typing import ClassVar, Literal

from torch import Tensor, nn

from jpeg_preproc.errors import WeightsError
from jpeg_preproc.restorers.contract import Quality, Restorer, RestorerOutput, RestorerSpec, reach

# ITU-R BT.601: black is 16 and white 235 of 255.
_BLACK, _SCALE = 16 / 255, 219 / 255


class ARCNN(Restorer):
    """The four-layer network of AR-CNN.

    Args:
        channels: Channels of the images: 1 is luma, as in the paper; 3 is RGB.
        luma: Range that the layers see: ``'full'`` is that of the images; ``'studio'`` is MATLAB's,
            16-235 of 255, which the authors' weights expect.

    Raises:
        ValueError: A setting that is none of these.
    """

    spec: ClassVar[RestorerSpec] = RestorerSpec(
        channels=(1, 3),
        size_multiple=1,
        quality="ignored",
        paper="Dong et al., ICCV 2015",
    )
    presets: ClassVar[dict[str, dict[str, object]]] = {
        "base": {"channels": 3},
        "grey": {"channels": 1},
    }

    def __init__(self, channels: int = 3, luma: Literal["full", "studio"] = "full") -> None:
        super().__init__()
        if luma not in ("full", "studio"):
            raise ValueError(f"luma is {luma!r}; give 'full' or 'studio'")

        def conv(inputs: int, outputs: int, size: int) -> nn.Conv2d:
            layer = nn.Conv2d(inputs, outputs, size, padding=size // 2, padding_mode="replicate")
            # The paper starts from a Gaussian of deviation 0.001.
            nn.init.normal_(layer.weight, std=0.001)
            nn.init.zeros_(layer.bias)  # type: ignore[arg-type]
            return layer

        self.channels = channels
        self.luma = luma
        self.extract = nn.Sequential(conv(channels, 64, 9), nn.ReLU())
        self.enhance = nn.Sequential(conv(64, 32, 7), nn.ReLU())
        self.map = nn.Sequential(conv(32, 16, 1), nn.ReLU())
        self.reconstruct = conv(16, channels, 5)

    @property
    def receptive_radius(self) -> int:
        """4 + 3 + 0 + 2 pixels: half of each kernel."""
        return reach(self)

    def forward(self, image: Tensor, quality: Quality | None = None) -> RestorerOutput:
        """Restore (N, channels, H, W) in [0, 1]; ``quality`` is not looked at."""
        is_studio = self.luma == "studio"
        x = image * _SCALE + _BLACK if is_studio else image
        x = self.reconstruct(self.map(self.enhance(self.extract(x))))
        return RestorerOutput((x - _BLACK) / _SCALE if is_studio else x)


# Layer names in the weights that the authors published, and ours.
_OFFICIAL_LAYERS = {
    "c1": "extract.0",
    "c2": "enhance.0",
    "c22": "map.0",
    "c3": "reconstruct",
}


def from_official(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Rename the tensors of the authors' state dict (``c1``, ``c2``, ``c22``, ``c3``) to ours.

    Raises:
        WeightsError: A tensor that AR-CNN does not have.
    """
    renamed = {}
    for key, value in state.items():
        layer, _, kind = key.partition(".")
        if layer not in _OFFICIAL_LAYERS:
            known = ", ".join(_OFFICIAL_LAYERS)
            raise WeightsError(f"{key}: no tensor of AR-CNN, whose layers are {known}")
        renamed[f"{_OFFICIAL_LAYERS[layer]}.{kind}"] = value
    return renamed
