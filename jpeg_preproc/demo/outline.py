"""Closed outlines: what the leaves of the background and the bodies before it are shaped like."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from jpeg_preproc.demo.fields import Draws, Field

Window = tuple[slice, slice]
"""Rows and columns of an image."""


@dataclass(frozen=True)
class Outline:
    """A closed star-shaped outline: an ellipse with a few low harmonics.

    Attributes:
        row: Row of the centre, in pixels.
        col: Column of the centre, in pixels.
        radius: Mean half-length, in pixels.
        aspect: Width as a part of the length, (0, 1].
        angle: Angle between the long axis and the rows, in radians.
        harmonics: Amplitude (a part of the radius) and phase of the orders 2, 3, ...
    """

    row: float
    col: float
    radius: float
    aspect: float
    angle: float
    harmonics: tuple[tuple[float, float], ...]

    @classmethod
    def draw(cls, draws: Draws, row: float, col: float, radius: float, rough: float) -> Outline:
        """Draw an outline about (row, col): the larger ``rough``, the less it is an ellipse."""
        harmonics = tuple(
            (draws.uniform(0.0, rough) / order, draws.uniform(0.0, 2.0 * np.pi))
            for order in (2, 3, 4, 5)
        )
        aspect = draws.uniform(0.65, 1.0)
        return cls(row, col, radius, aspect, draws.uniform(0.0, np.pi), harmonics)

    def window(self, height: int, width: int) -> Window:
        """Return the rows and columns of an image that the outline can touch."""
        reach = self.radius * (1.0 + sum(size for size, _ in self.harmonics)) + 2.0
        top, left = int(self.row - reach), int(self.col - reach)
        bottom, right = int(self.row + reach) + 2, int(self.col + reach) + 2
        return (
            slice(min(max(top, 0), height), max(min(bottom, height), 0)),
            slice(min(max(left, 0), width), max(min(right, width), 0)),
        )

    def coordinates(self, window: Window) -> tuple[Field, Field, Field]:
        """Return x, y in pixels along the body's axes, and rho: 0 at the middle, 1 on the rim."""
        rows = np.arange(window[0].start, window[0].stop)[:, None] - self.row
        cols = np.arange(window[1].start, window[1].stop)[None, :] - self.col
        x = np.cos(self.angle) * cols + np.sin(self.angle) * rows
        y = (np.cos(self.angle) * rows - np.sin(self.angle) * cols) / self.aspect
        distance = np.hypot(x, y)
        # cos(k theta + phase) from powers of the direction: far cheaper than a cosine a harmonic.
        direction = (x + 1j * y) / np.maximum(distance, 1e-9)
        power = direction
        reach = np.ones_like(distance)
        for size, phase in self.harmonics:
            power = power * direction
            reach += size * (np.cos(phase) * power.real - np.sin(phase) * power.imag)
        rho = distance / (self.radius * reach)
        return x, y * self.aspect, rho

    def coverage(self, rho: Field) -> Field:
        """Return how much of each pixel lies inside, [0, 1]: an edge one pixel wide."""
        return np.clip(0.5 + (1.0 - rho) * self.radius * self.aspect, 0.0, 1.0)
