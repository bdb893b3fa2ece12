"""Images whose parts were compressed unlike: pasted from another JPEG, or stitched together.

The estimator's windows are laid over such an image, half a window apart. What each cell between
them looks like is sorted into a few qualities; the image is restored by each of these, and every
cell is taken from the one that it looks like, with soft edges between.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from PIL import Image

from jpeg_preproc.restorers.quality_estimator import CROP, Coarseness, QualityEstimator, luma_at

#: Side of a cell in pixels; a window of the estimator is two of these wide.
CELL = CROP // 2
# Parts differ if two windows are farther apart than this, in octaves, and than this many times
# the errors expected of them.
_APART = 1.0
_ERRORS_APART = 3.0
# A part holds a square of so many cells somewhere: seams, where a window sees both sides, do not.
_NARROWEST = 3
_MOST_CUTS = 8
_WINDOWS_AT_ONCE = 64


class Parts(NamedTuple):
    """The parts of an image, from the largest to the smallest.

    Attributes:
        octaves: Coarseness of each part, (P,), in octaves.
        of_cell: Number of the part that each cell belongs to, (rows, columns).
    """

    octaves: list[float]
    of_cell: np.ndarray


def windows_differ(found: Coarseness) -> bool:
    """Tell whether two windows of an image look unlike by more than chance."""
    octaves, errors = found.octaves, found.log_error.exp()
    distance = (octaves[:, None] - octaves).abs()  # (N, N)
    chance = _ERRORS_APART * (errors[:, None] + errors)
    return bool(((distance > _APART) & (distance > chance)).any())


def find_parts(
    network: QualityEstimator, pixels: np.ndarray, claimed: float | None
) -> Parts | None:
    """Return the parts of an image that look unlike; ``None`` where all of it looks alike.

    Args:
        network: The trained estimator, in eval mode.
        pixels: Pixels as uint8, (H, W, 3) RGB or (H, W) grey, on the grid of their file.
        claimed: Coarseness in octaves that the file claims; ``None`` where there is no file.
    """
    octaves = _cells(network, pixels, claimed)
    kinds = [np.ones(octaves.shape, bool)]
    for _ in range(_MOST_CUTS):
        cuts = [(*_widest_gap(octaves[kind]), number) for number, kind in enumerate(kinds)]
        apart, cut, number = max(cuts)
        if apart < _APART:
            break
        kind = kinds.pop(number)
        kinds += [kind & (octaves <= cut), kind & (octaves > cut)]
    means = [float(octaves[kind].mean()) for kind in kinds if _is_broad(kind)]
    if len(means) < 2:
        return None
    of_cell = np.abs(octaves[..., None] - means).argmin(axis=2)
    order = np.argsort(-np.bincount(of_cell.ravel(), minlength=len(means)), kind="stable")
    return Parts([means[part] for part in order], np.argsort(order)[of_cell])


def join_parts(images: list[np.ndarray], of_cell: np.ndarray) -> np.ndarray:
    """Return an image each cell of which is that of its part's image, with soft edges between.

    Args:
        images: One image for each part, uint8, all of one shape, (H, W, 3) or (H, W).
        of_cell: Number of the part that each cell belongs to, (rows, columns).
    """
    height, width = images[0].shape[:2]
    rows, columns = of_cell.shape
    joined = np.zeros(images[0].shape, np.float32)
    for part, image in enumerate(images):
        own = Image.fromarray((of_cell == part).astype(np.float32))
        share = own.resize((columns * CELL, rows * CELL), Image.Resampling.BILINEAR)
        weight = np.asarray(share)[:height, :width]
        joined += image * (weight if image.ndim == 2 else weight[..., None])
    return np.clip(np.rint(joined), 0, 255).astype(np.uint8)


@torch.inference_mode()
def _cells(network: QualityEstimator, pixels: np.ndarray, claimed: float | None) -> np.ndarray:
    """Return the coarseness of each cell in octaves, (rows, columns)."""
    height, width = pixels.shape[:2]
    rows, columns = -(-height // CELL), -(-width // CELL)
    corners = [
        (row, column) for row in range(max(rows - 1, 1)) for column in range(max(columns - 1, 1))
    ]
    total, weight = np.zeros((rows, columns)), np.zeros((rows, columns))
    for start in range(0, len(corners), _WINDOWS_AT_ONCE):
        some = corners[start : start + _WINDOWS_AT_ONCE]
        luma = np.stack([luma_at(pixels, row * CELL, column * CELL) for row, column in some])
        windows = torch.from_numpy(luma[:, None]).float() / 255
        claims = torch.full((len(some),), float("nan") if claimed is None else claimed)
        found = network(windows, claims)
        trust = (-2 * found.log_error).exp().tolist()
        for (row, column), octaves, sure in zip(some, found.octaves.tolist(), trust, strict=True):
            total[row : row + 2, column : column + 2] += sure * octaves
            weight[row : row + 2, column : column + 2] += sure
    return total / weight


def _is_broad(kind: np.ndarray) -> bool:
    """Tell whether some square of cells, (rows, columns) of bool, is all of a kind."""
    if min(kind.shape) < _NARROWEST:
        return False
    squares = np.lib.stride_tricks.sliding_window_view(kind, (_NARROWEST, _NARROWEST))
    return bool(squares.all(axis=(2, 3)).any())


def _widest_gap(octaves: np.ndarray) -> tuple[float, float]:
    """Return how far apart two halves of some cells are, cut where they differ most, and the cut.

    The cut is Otsu's: where the variance between the halves is greatest.
    """
    ordered = np.sort(octaves.ravel())
    best, apart, cut = -1.0, 0.0, 0.0
    for size in range(1, len(ordered)):
        low, high = ordered[:size].mean(), ordered[size:].mean()
        between = size * (len(ordered) - size) * (high - low) ** 2
        if between > best:
            best, apart, cut = between, float(high - low), float(ordered[size - 1])
    return apart, cut
