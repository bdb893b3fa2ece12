"""Images with smooth parts, edges and colour, whose codings differ from one another."""

from __future__ import annotations

import numpy as np
import pytest

SIZES = [(1, 1), (1, 9), (8, 8), (17, 33)]


@pytest.fixture
def photo():
    """(60, 84, 3) uint8: gradients, a disc and mild noise."""
    rng = np.random.default_rng(7)
    rows, columns = np.mgrid[:60, :84]
    disc = np.hypot(rows - 30, columns - 40) < 20
    planes = [rows * 4, columns * 3, np.where(disc, 220, 40)]
    noisy = np.stack(planes, axis=-1) + rng.normal(0, 4, (60, 84, 3))
    return np.clip(noisy, 0, 255).astype(np.uint8)


@pytest.fixture(params=SIZES, ids=lambda size: f"{size[0]}x{size[1]}")
def size(request):
    """(height, width), the least and some off the grid."""
    return request.param


@pytest.fixture(params=["rgb", "grey"])
def pixels(request, size):
    """Noise of that size, uint8 (H, W, 3) or (H, W)."""
    shape = (*size, 3) if request.param == "rgb" else size
    return np.random.default_rng(3).integers(0, 256, shape, np.uint8)
