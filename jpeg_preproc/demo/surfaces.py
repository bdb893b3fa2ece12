"""The surfaces that tell the demo's classes apart: patterns of 7-13 pixels on pebble-like bodies.

Shape and size are drawn alike for every class, so that a model can tell one from another by its
pattern and a faint hue alone. Patterns of about a block's length are where a coarse JPEG fails.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from jpeg_preproc.demo.fields import Draws, Field, band_noise, crop_periodic

SURFACES: tuple[str, ...] = ("banded", "checked", "spotted", "scaled", "ringed", "veined")
"""The surfaces that bodies can have."""

CLASSES: tuple[str, ...] = ("banded", "spotted", "ringed")
"""The surfaces that are annotated: COCO category and mask index ``i + 1`` are ``CLASSES[i]``.

The others are decoys, left unannotated: JPEG's own artefacts resemble veins and chequers.
"""


@dataclass(frozen=True)
class SurfacePoints:
    """Where a pattern is evaluated.

    Attributes:
        u: First surface coordinate, (H, W), in periods of the pattern.
        v: Second surface coordinate, (H, W), in periods of the pattern.
        period: Length of a period in pixels at the middle of the body.
    """

    u: Field
    v: Field
    period: float


def _soft(wave: Field, gain: float) -> Field:
    """Squash ``wave`` into (-1, 1): the larger ``gain``, the harder the pattern's edges."""
    return np.tanh(gain * wave)


def _banded(points: SurfacePoints, draws: Draws) -> Field:
    """Nearly parallel bands, slightly wavy."""
    sway = draws.uniform(0.1, 0.35)
    phase = draws.uniform(0.0, 2.0 * np.pi)
    return _soft(np.sin(2.0 * np.pi * (points.u + sway * np.sin(points.v + phase))), 1.6)


def _checked(points: SurfacePoints, draws: Draws) -> Field:
    """A chequerboard with soft edges; a period is two fields."""
    skew = draws.uniform(-0.15, 0.15)
    u, v = points.u * 0.8, (points.v + skew * points.u) * 0.8
    return _soft(np.sin(2.0 * np.pi * u) * np.sin(2.0 * np.pi * v), 2.4)


def _spotted(points: SurfacePoints, draws: Draws) -> Field:
    """Round spots on a hexagonal lattice: three plane waves at 120 degrees."""
    angles = draws.uniform(0.0, np.pi) + np.array([0.0, 2.0, 4.0]) * np.pi / 3.0
    waves = [
        np.cos(2.0 * np.pi * 0.95 * (np.cos(a) * points.u + np.sin(a) * points.v)) for a in angles
    ]
    # The sum of the three lies in [-1.5, 3], its peaks at the lattice points.
    return _soft(waves[0] + waves[1] + waves[2] - 0.9, 1.3)


def _scaled(points: SurfacePoints, draws: Draws) -> Field:
    """Rows of overlapping round scales, each bright at its rim and dark under the next row."""
    del draws  # the pattern has no freedom beyond its scale and orientation
    u, v = points.u / 1.35, points.v / 0.8
    nearest = np.full(u.shape, -1.0)
    covered = np.zeros(u.shape, dtype=bool)
    for row_offset in (1, 0, -1):  # a scale covers those of the rows before it
        row = np.floor(v) + row_offset
        centre = np.floor(u - 0.5 * (row % 2)) + 0.5 + 0.5 * (row % 2)
        distance = np.hypot((u - centre) / 0.56, (v - row) / 1.5)
        here = (distance < 1.0) & (v >= row) & ~covered
        nearest[here] = 2.0 * distance[here] ** 2 - 1.0
        covered |= here
    return nearest


def _ringed(points: SurfacePoints, draws: Draws) -> Field:
    """Concentric rings about a point near the middle of the body."""
    u = points.u - draws.uniform(-0.6, 0.6)
    v = points.v - draws.uniform(-0.6, 0.6)
    phase = draws.uniform(0.0, 2.0 * np.pi)
    return _soft(np.sin(2.0 * np.pi * np.hypot(u, v) + phase), 1.6)


def _veined(points: SurfacePoints, draws: Draws) -> Field:
    """Thin irregular veins: the zero crossings of noise of one scale."""
    height, width = points.u.shape
    noise = band_noise(draws, max(height, 48), max(width, 48), 1.7 * points.period)
    return _soft(0.45 - np.abs(crop_periodic(noise, 0, 0, height, width)), 3.0)


_PATTERNS: dict[str, Callable[[SurfacePoints, Draws], Field]] = {
    "banded": _banded,
    "checked": _checked,
    "spotted": _spotted,
    "scaled": _scaled,
    "ringed": _ringed,
    "veined": _veined,
}


def surface_pattern(name: str, points: SurfacePoints, draws: Draws) -> Field:
    """Return the pattern of surface ``name`` at ``points``, (H, W) in [-1, 1].

    Raises:
        KeyError: ``name`` is not in :data:`SURFACES`.
    """
    return _PATTERNS[name](points, draws)
