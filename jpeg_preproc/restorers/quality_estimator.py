"""The quality that a restorer is best told of an image, estimated from its pixels.

Where a file's tables, or the grid of an earlier compression, no longer tell what an image has been
through (it was resized, or saved again more lightly on another grid), a small network looks at
crops of its luma. Our own design, after a prototype of five stages of strided convolutions; what
carries it is that it starts from differences of neighbours, in which blocking and ringing stand
out, that it is told what the file claims and where the file's blocks start, so that it sees what
that compression does not explain, and that crops with much evidence weigh more.

It answers with the coarseness of quantisation in octaves; see
:func:`~jpeg_preproc.jpeg.tables.octaves_of`.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from jpeg_preproc.jpeg.blocks import RGB_TO_LUMA
from jpeg_preproc.restorers.weights import fill, read_state

#: Side of the crops that are looked at, pixels.
CROP = 128


class Coarseness(NamedTuple):
    """What the network says of each crop.

    Attributes:
        octaves: Coarseness of quantisation, (N,), as of
            :func:`~jpeg_preproc.jpeg.tables.octaves_of`.
        log_error: Logarithm of the error that it expects, (N,), in octaves.
    """

    octaves: Tensor
    log_error: Tensor


class QualityEstimator(nn.Module):
    """Estimate the effective quality of crops of luma: 2.2 kMAC per pixel.

    Args:
        widths: Channels at 1/2, 1/4, 1/8 and 1/16 of the resolution.
    """

    def __init__(self, widths: tuple[int, int, int, int] = (16, 32, 48, 64)) -> None:
        super().__init__()
        half, quarter, eighth, sixteenth = widths
        self.stem = nn.Conv2d(16, half, 3, padding=1, bias=False)
        # What it adds for where in its block of 8 a pixel lies: 4 positions at half the resolution.
        self.place = nn.Parameter(torch.zeros(half, 4, 4))
        self.claim = nn.Linear(2, half)
        self.stem_norm = nn.BatchNorm2d(half)
        self.stages = nn.Sequential(
            _layer(half, quarter, 2),
            _layer(quarter, quarter, 1),
            _layer(quarter, eighth, 2),
            _layer(eighth, eighth, 1),
            _layer(eighth, sixteenth, 2),
            _layer(sixteenth, sixteenth, 1),
        )
        self.head = nn.Sequential(nn.Linear(3 * sixteenth + 2, 64), nn.ReLU(), nn.Linear(64, 2))

    def forward(self, luma: Tensor, claimed: Tensor) -> Coarseness:
        """Return the coarseness of each crop.

        Args:
            luma: Crops in [0, 1], (N, 1, H, W), H and W multiples of 16, that start where a block
                of their file does.
            claimed: Coarseness in octaves that the file claims, (N,); NaN where there is no file.
        """
        x = self.stem(F.pixel_unshuffle(_evidence(luma), 2))  # (N, half, H/2, W/2)
        told = torch.stack([torch.nan_to_num(claimed) / 3, (~claimed.isnan()).to(x)], dim=1)
        x = x + self.place.repeat(1, x.shape[2] // 4, x.shape[3] // 4)
        x = x + self.claim(told)[:, :, None, None]
        x = self.stages(F.relu(self.stem_norm(x))).flatten(2)  # (N, C, positions)
        pooled = torch.cat([x.mean(2), x.amax(2), x.std(2)], dim=1)  # (N, 3C)
        octaves, log_error = self.head(torch.cat([pooled, told], dim=1)).unbind(1)
        return Coarseness(octaves, log_error)


def _layer(inputs: int, outputs: int, stride: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU()
    )


def _evidence(luma: Tensor) -> Tensor:
    """Return (N, 4, H, W): luma, what differs from its surroundings, and from two neighbours."""
    padded = F.pad(luma, (1, 1, 1, 1), mode="replicate")
    detail = 12 * (luma - F.avg_pool2d(padded, 3, 1))
    right = 8 * (padded[..., 1:-1, 2:] - luma)
    below = 8 * (padded[..., 2:, 1:-1] - luma)
    return torch.cat([luma - 0.5, *(part.clamp(-2, 2) for part in (detail, right, below))], dim=1)


def luma_crops(pixels: np.ndarray, most: int) -> np.ndarray:
    """Return (N, 1, CROP, CROP) uint8 luma of crops that lie evenly, and start where blocks do.

    A smaller image is continued by its mirror image, so that there is always one.

    Args:
        pixels: Pixels as uint8, (H, W, 3) RGB or (H, W) grey.
        most: How many crops there are at most.
    """
    height, width = pixels.shape[:2]
    rows, columns = _layout(height, width, most)
    tops = np.linspace(0, max(height - CROP, 0), rows).astype(int) // 8 * 8
    lefts = np.linspace(0, max(width - CROP, 0), columns).astype(int) // 8 * 8
    return np.stack([luma_at(pixels, top, left) for top in tops for left in lefts])[:, None]


def luma_at(pixels: np.ndarray, top: int, left: int) -> np.ndarray:
    """Return (CROP, CROP) uint8 luma of a crop, continued by its mirror image beyond the edges."""
    crop = pixels[top : top + CROP, left : left + CROP]
    luma = crop if crop.ndim == 2 else np.rint(crop @ RGB_TO_LUMA).astype(np.uint8)
    return np.pad(luma, [(0, CROP - size) for size in luma.shape], mode="symmetric")


def _layout(height: int, width: int, most: int) -> tuple[int, int]:
    """Return rows and columns of crops that do not overlap, as many as may be."""
    rows, columns = max(height // CROP, 1), max(width // CROP, 1)
    while rows * columns > most:
        if rows >= columns:
            rows -= 1
        else:
            columns -= 1
    return rows, columns


#: The estimator that comes with the package.
SHIPPED_ESTIMATOR = Path(__file__).parent / "estimator" / "quality.safetensors"


@lru_cache(maxsize=1)
def load_estimator() -> QualityEstimator:
    """Return the estimator that comes with the package, on the CPU, in eval mode.

    Raises:
        WeightsError: Its file is damaged.
    """
    state, _ = read_state(SHIPPED_ESTIMATOR)
    network = QualityEstimator()
    fill(network, state, source=str(SHIPPED_ESTIMATOR))
    return network.eval()


class Estimate(NamedTuple):
    """What the crops of an image say together.

    Attributes:
        octaves: Coarseness of the image in octaves.
        error: The error to be expected of it, in octaves.
        windows: What each crop says.
    """

    octaves: float
    error: float
    windows: Coarseness


@torch.inference_mode()
def estimate(
    network: QualityEstimator, pixels: np.ndarray, claimed: float | None = None, most: int = 6
) -> Estimate:
    """Return the coarseness of an image, of its crops by the inverse of their squared errors.

    Args:
        network: The trained estimator, in eval mode.
        pixels: Pixels as uint8, (H, W, 3) RGB or (H, W) grey, on the grid of their file.
        claimed: Coarseness in octaves that the file claims; ``None`` where there is no file.
        most: How many crops are looked at, at most.
    """
    device = next(network.parameters()).device
    crops = torch.from_numpy(luma_crops(pixels, most)).to(device).float() / 255
    claims = torch.full((len(crops),), float("nan") if claimed is None else claimed, device=device)
    found = network(crops, claims)
    weights = (-2 * found.log_error).exp()
    share = weights / weights.sum()
    octaves = float((share * found.octaves).sum())
    # Crops of one image err alike, so that many are hardly surer than the best of them.
    return Estimate(octaves, float((share * found.log_error).sum().exp()), found)
