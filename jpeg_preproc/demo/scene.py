"""Scenes of photographic statistics: pebble-like bodies before a dead-leaves background.

The background follows the dead-leaves model (Lee, Mumford and Huang, IJCV 41, 2001): opaque
shapes whose radii follow a power law, each with fractal noise, reproduce the edges and the 1/f
spectrum of photographs. Bodies lie before it, lit from one side, with a shadow; then the camera:
defocus of the background, a point spread function, noise that grows with brightness, 8 bits.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from jpeg_preproc.demo.fields import Draws, Field, crop_periodic, gaussian_blur, power_law_noise
from jpeg_preproc.demo.outline import Outline, Window
from jpeg_preproc.demo.surfaces import CLASSES, SURFACES, SurfacePoints, surface_pattern

IMAGE_SIZE = (192, 256)
"""Height and width of a scene in pixels."""

_PALETTES: tuple[tuple[tuple[float, float, float], ...], ...] = (
    ((0.45, 0.38, 0.28), (0.33, 0.36, 0.22), (0.58, 0.52, 0.42), (0.28, 0.25, 0.21)),  # wood
    ((0.52, 0.56, 0.60), (0.40, 0.44, 0.50), (0.66, 0.66, 0.64), (0.31, 0.34, 0.38)),  # shore
    ((0.36, 0.45, 0.26), (0.50, 0.54, 0.32), (0.27, 0.35, 0.24), (0.60, 0.57, 0.44)),  # meadow
    ((0.62, 0.49, 0.37), (0.52, 0.38, 0.31), (0.70, 0.60, 0.48), (0.42, 0.35, 0.33)),  # brick
    ((0.55, 0.53, 0.50), (0.44, 0.42, 0.41), (0.64, 0.61, 0.55), (0.36, 0.37, 0.38)),  # stone
)
"""Colours that occur together outdoors, as RGB in [0, 1]."""

PERIODS = (7.0, 13.0)
"""Length of a pattern's period in pixels, smallest and largest."""

CONTRASTS = (0.12, 0.26)
"""Amplitude of a pattern as a part of the body's brightness, smallest and largest."""

TINTS = (6.0, 16.0)
"""Chroma of a body, weakest and strongest, in 8-bit levels of Cb and Cr together."""

_MAX_HIDDEN = 0.3
"""The largest part of a body that a later one may cover."""


@dataclass(frozen=True)
class Instance:
    """One annotated body.

    Attributes:
        label: Index into :data:`~.surfaces.CLASSES`.
        mask: Visible part of the body, (H, W) bool.
    """

    label: int
    mask: NDArray[np.bool_]


@dataclass(frozen=True)
class Scene:
    """A rendered scene.

    Attributes:
        image: Pixels as uint8, (H, W, 3) RGB.
        instances: Annotated bodies, back to front; their masks do not overlap.
    """

    image: NDArray[np.uint8]
    instances: tuple[Instance, ...]


def _jittered(draws: Draws, colour: tuple[float, float, float], amount: float) -> Field:
    """Return ``colour`` made up to ``amount`` lighter or darker, its hue moved less; (3,)."""
    lightness = draws.uniform(-amount, amount)
    hue = 0.175 * np.array([draws.uniform(-amount, amount) for _ in range(3)])
    return np.clip(np.array(colour) * (1.0 + lightness) + hue, 0.05, 0.95)


def _tinted(draws: Draws, colour: Field, surface: int | None) -> Field:
    """Return ``colour`` greyer, with the faint hue that bodies of a surface tend to; (3,).

    A third of the chroma stays; the rest is a tint whose angle in the plane of Cb and Cr belongs
    to the surface, give or take 20 degrees; a plain body has any.
    """
    grey = colour.mean() + (colour - colour.mean()) / 3.0
    if surface is None:
        angle = draws.uniform(0.0, 2.0 * np.pi)
    else:
        angle = 2.0 * np.pi * surface / len(SURFACES) + draws.uniform(-0.35, 0.35)
    strength = draws.uniform(*TINTS) / 255.0
    blue, red = strength * np.cos(angle), strength * np.sin(angle)
    # ITU-R BT.601, as JFIF has it.
    tint = np.array([1.402 * red, -0.344 * blue - 0.714 * red, 1.772 * blue])
    return np.clip(grey + tint, 0.05, 0.95)


class _Painter:
    """Paints one scene onto a float canvas, back to front."""

    def __init__(self, draws: Draws) -> None:
        self.draws = draws
        self.height, self.width = IMAGE_SIZE
        self.palette = draws.choice(_PALETTES)
        self.light = draws.uniform(0.0, 2.0 * np.pi)
        self.grain = power_law_noise(draws, self.height, self.width, draws.uniform(0.8, 1.2))
        base = _jittered(draws, draws.choice(self.palette), 0.2)
        self.canvas: NDArray[np.float64] = base * (1.0 + 0.08 * self.grain[:, :, None])
        self.owner = np.full(IMAGE_SIZE, -1, dtype=np.int64)
        self.areas: list[int] = []
        self.surfaces: list[int | None] = []

    def _grain_window(self, window: Window) -> Field:
        top, left = self.draws.integer(0, 4096), self.draws.integer(0, 4096)
        rows, cols = window[0].stop - window[0].start, window[1].stop - window[1].start
        return crop_periodic(self.grain, top, left, rows, cols)

    def background(self) -> None:
        """Paint the leaves, put them out of focus."""
        draws = self.draws
        for _ in range(draws.integer(110, 200)):
            radius = draws.power_law(5.0, 70.0, 2.4)
            outline = Outline.draw(
                draws,
                draws.uniform(-10.0, self.height + 10.0),
                draws.uniform(-10.0, self.width + 10.0),
                radius,
                rough=0.5,
            )
            window = outline.window(self.height, self.width)
            x, _, rho = outline.coordinates(window)
            colour = _jittered(draws, draws.choice(self.palette), 0.35)
            ramp = draws.uniform(-0.2, 0.2) * x / radius
            grain = draws.uniform(0.01, 0.09) * self._grain_window(window)
            paint = colour * (1.0 + ramp + grain)[:, :, None]
            alpha = outline.coverage(rho)[:, :, None]
            self.canvas[window] += alpha * (paint - self.canvas[window])
        self.canvas = gaussian_blur(self.canvas, draws.uniform(0.0, 1.2))

    def _albedo(self, surface: int | None, x: Field, y: Field, rho: Field) -> NDArray[np.float64]:
        """Return the body's colour before lighting, (H, W, 3)."""
        draws = self.draws
        colour = _jittered(draws, draws.choice(self.palette), 0.25)
        colour = _tinted(draws, colour, surface)
        if surface is None:
            return colour * (1.0 + draws.uniform(0.02, 0.08) * self._noise_like(rho))[:, :, None]
        # Seen from the front a ball's surface narrows towards its rim.
        bend = np.clip(rho, 1e-6, 1.0) * 0.9
        bend = np.arcsin(bend) / bend
        turn = draws.uniform(0.0, np.pi)
        period = draws.uniform(*PERIODS)
        points = SurfacePoints(
            bend * (np.cos(turn) * x + np.sin(turn) * y) / period,
            bend * (np.cos(turn) * y - np.sin(turn) * x) / period,
            period,
        )
        pattern = surface_pattern(SURFACES[surface], points, draws)
        contrast = draws.uniform(*CONTRASTS)
        hue = np.array([draws.uniform(-0.15, 0.15) for _ in range(3)])
        strength = contrast * (1.0 + hue - hue.mean())
        sign = draws.choice((-1.0, 1.0))
        grain = 0.03 * self._noise_like(rho)
        return colour * (1.0 + sign * strength * pattern[:, :, None] + grain[:, :, None])

    def _noise_like(self, field: Field) -> Field:
        rows, cols = field.shape
        return self._grain_window((slice(0, rows), slice(0, cols)))

    def body(self, surface: int | None) -> None:
        """Paint one body, plain where ``surface`` is None; give up where it finds no room.

        Args:
            surface: Index into :data:`~.surfaces.SURFACES`.
        """
        draws = self.draws
        for _ in range(12):
            radius = draws.power_law(14.0, 46.0, 1.4)
            outline = Outline.draw(
                draws,
                draws.uniform(0.6 * radius, self.height - 0.6 * radius),
                draws.uniform(0.6 * radius, self.width - 0.6 * radius),
                radius,
                rough=0.16,
            )
            window = outline.window(self.height, self.width)
            x, y, rho = outline.coordinates(window)
            inside = rho < 1.0
            if self._has_room(window, inside):
                break
        else:
            return
        self._shadow(outline)
        albedo = self._albedo(surface, x, y, rho)
        # Lambert's law on a flattened ball, with ambient light.
        slope = np.clip(rho, 0.0, 1.0) ** 2
        theta = np.arctan2(
            np.arange(window[0].start, window[0].stop)[:, None] - outline.row,
            np.arange(window[1].start, window[1].stop)[None, :] - outline.col,
        )
        shade = 1.0 + 0.28 * slope * np.cos(theta - self.light) - 0.12 * slope
        alpha = outline.coverage(rho)[:, :, None]
        self.canvas[window] += alpha * (albedo * shade[:, :, None] - self.canvas[window])
        self.owner[window][inside] = len(self.surfaces)
        self.surfaces.append(surface)
        self.areas.append(int(inside.sum()))

    def _has_room(self, window: Window, inside: NDArray[np.bool_]) -> bool:
        """Say whether a body here leaves enough of each one before it to be seen."""
        under = self.owner[window][inside]
        for owner in np.unique(under[under >= 0]):
            left = int((self.owner == owner).sum()) - int((under == owner).sum())
            if left < (1.0 - _MAX_HIDDEN) * self.areas[owner]:
                return False
        return True

    def _shadow(self, outline: Outline) -> None:
        """Darken the canvas opposite the light, softly."""
        offset = 0.18 * outline.radius
        shifted = Outline(
            outline.row - offset * np.sin(self.light),
            outline.col - offset * np.cos(self.light),
            outline.radius,
            outline.aspect,
            outline.angle,
            outline.harmonics,
        )
        window = shifted.window(self.height, self.width)
        _, _, rho = shifted.coordinates(window)
        if rho.size:
            soft = 1.0 / (1.0 + np.exp((rho - 1.0) * 14.0))
            self.canvas[window] *= 1.0 - 0.3 * soft[:, :, None]

    def camera(self, contrast: float) -> NDArray[np.uint8]:
        """Light the scene, blur it by the lens, add noise and haze, and digitise; (H, W, 3)."""
        draws = self.draws
        angle = draws.uniform(0.0, 2.0 * np.pi)
        rows, cols = np.mgrid[-1.0 : 1.0 : self.height * 1j, -1.0 : 1.0 : self.width * 1j]
        lighting = 1.0 + draws.uniform(0.0, 0.2) * (np.cos(angle) * cols + np.sin(angle) * rows)
        image = self.canvas * (draws.uniform(0.85, 1.15) * lighting)[:, :, None]
        image = gaussian_blur(image, draws.uniform(0.45, 0.65))
        # Photon noise: its variance is proportional to brightness.
        level = draws.uniform(0.004, 0.009)
        image += level * np.sqrt(np.clip(image, 0.02, 1.0)) * draws.normal(*image.shape)
        levels = 128.0 + contrast * (np.clip(image * 255.0, 0.0, 255.0) - 128.0)
        return np.asarray(np.rint(levels), dtype=np.uint8)

    def instances(self) -> tuple[Instance, ...]:
        """Return the annotated bodies with the masks that remained visible."""
        return tuple(
            Instance(CLASSES.index(SURFACES[surface]), self.owner == owner)
            for owner, surface in enumerate(self.surfaces)
            if surface is not None and SURFACES[surface] in CLASSES
        )


def render_scene(stream: int, index: int, contrast: float = 1.0) -> Scene:
    """Render scene ``index`` of a split: the same scene for the same arguments.

    Args:
        stream: Number of the split; see :data:`~.layout.STREAMS`.
        index: Number of the scene in the split, from 0.
        contrast: What is left of each level's distance from 128, (0, 1]; 1 leaves it as it is.
    """
    draws = Draws(stream, index)
    painter = _Painter(draws)
    painter.background()
    bodies: list[int | None] = [
        draws.integer(0, len(SURFACES) - 1) for _ in range(draws.integer(4, 7))
    ]
    plain, place = draws.integer(0, 2), draws.integer(0, 1)
    bodies[place:place] = [None] * plain  # plain bodies, so that a body alone tells nothing
    for surface in bodies:
        painter.body(surface)
    return Scene(painter.camera(contrast), painter.instances())
