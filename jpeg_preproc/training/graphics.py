"""Drawn images that no camera took: text, shapes, gradients, noise; the same ones in every run.

Networks that judge images by what photographs look like take clean drawings for damaged ones unless
they were shown some.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from PIL import Image, ImageDraw, ImageFont

_LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.,:;()[]{}+-=*/   "


def draw_graphic(index: int, side: int = 384) -> np.ndarray:
    """Return drawing number ``index``, (side, side, 3) uint8: one kind after the other.

    >>> draw_graphic(3, 64).shape
    (64, 64, 3)
    """
    rng = np.random.default_rng((7, index))
    kind = _KINDS[index % len(_KINDS)]
    return np.asarray(kind(rng, side), np.uint8)


def _colour(rng: np.random.Generator) -> tuple[int, int, int]:
    red, green, blue = rng.integers(0, 256, 3)
    return int(red), int(green), int(blue)


def _text(rng: np.random.Generator, side: int) -> Image.Image:
    """A page, a terminal, a listing."""
    dark = rng.random() < 0.4
    picture = Image.new("RGB", (side, side), (18, 20, 24) if dark else (255, 255, 255))
    draw = ImageDraw.Draw(picture)
    size = float(rng.uniform(9, 22))
    font = ImageFont.load_default(size)
    top = 4.0
    while top < side:
        length = int(rng.integers(5, 80))
        line = "".join(rng.choice(list(_LETTERS), length))
        plain = (225, 225, 225) if dark else (20, 20, 20)
        draw.text((6, top), line, _colour(rng) if rng.random() < 0.3 else plain, font)
        top += size * 1.3
    return picture


def _shapes(rng: np.random.Generator, side: int) -> Image.Image:
    """Flat rectangles, ellipses and lines, as of an icon, a map or a chart."""
    picture = Image.new("RGB", (side, side), _colour(rng))
    draw = ImageDraw.Draw(picture)
    for _ in range(int(rng.integers(8, 60))):
        left, top = rng.integers(-20, side, 2)
        width, height = rng.integers(4, side // 2, 2)
        box = [int(left), int(top), int(left + width), int(top + height)]
        shape = rng.integers(3)
        if shape == 0:
            draw.rectangle(box, _colour(rng))
        elif shape == 1:
            draw.ellipse(box, _colour(rng))
        else:
            draw.line(box, _colour(rng), int(rng.integers(1, 6)))
    return picture


def _waves(rng: np.random.Generator, side: int) -> np.ndarray:
    """Smooth gradients and waves, with and without noise."""
    rows, columns = np.mgrid[0:side, 0:side]
    image = np.empty((side, side, 3))
    for channel in range(3):
        slope = rng.uniform(-0.5, 0.5, 2)
        wave = rng.uniform(0.01, 0.6, 2)
        image[..., channel] = (
            rng.uniform(60, 190)
            + slope[0] * (rows - side / 2)
            + slope[1] * (columns - side / 2)
            + rng.uniform(0, 60) * np.sin(wave[0] * rows + wave[1] * columns)
        )
    if rng.random() < 0.7:
        image += rng.normal(0, rng.uniform(0.5, 15), image.shape)
    return np.clip(np.rint(image), 0, 255)


def _mixture(rng: np.random.Generator, side: int) -> np.ndarray:
    """Shapes in front of waves, some of them noisy."""
    image = _waves(rng, side)
    shapes = np.asarray(_shapes(rng, side), float)
    mask = np.asarray(_shapes(rng, side).convert("L")) > 128
    image[mask] = shapes[mask]
    if rng.random() < 0.5:
        image = image + rng.normal(0, rng.uniform(1, 10), image.shape)
    return np.clip(np.rint(image), 0, 255)


_KINDS: tuple[Callable[[np.random.Generator, int], Image.Image | np.ndarray], ...] = (
    _text,
    _shapes,
    _waves,
    _mixture,
)
