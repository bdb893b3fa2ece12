"""Random numbers, fractal noise and blur for the demo scenes: numpy only, the same on each machine.

Every draw is made from the uniform doubles of PCG64, whose stream numpy promises not to change;
the normal deviates are derived here, because numpy reserves the right to change its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

Field = NDArray[np.float64]
"""A (H, W) plane of floats."""

_T = TypeVar("_T")


class Draws:
    """A stream of random draws that depends on ``(stream, index)`` alone.

    ``stream`` names a split, so that two splits share no scene; ``index`` is the scene's number.
    """

    def __init__(self, stream: int, index: int) -> None:
        self._generator = np.random.Generator(np.random.PCG64([stream, index]))

    def uniform(self, low: float, high: float) -> float:
        """Draw from [low, high)."""
        return low + (high - low) * float(self._generator.random())

    def integer(self, low: int, high: int) -> int:
        """Draw an integer from low to high, both included."""
        return low + int((high - low + 1) * float(self._generator.random()))

    def choice(self, items: Sequence[_T]) -> _T:
        """Draw one of ``items``."""
        return items[self.integer(0, len(items) - 1)]

    def power_law(self, low: float, high: float, exponent: float) -> float:
        """Draw from [low, high) with density proportional to ``x ** -exponent``; exponent != 1."""
        power = 1.0 - exponent
        return float(self.uniform(low**power, high**power) ** (1.0 / power))

    def normal(self, *shape: int) -> NDArray[np.float64]:
        """Draw standard normal deviates (Box-Muller) of the given shape."""
        radius = np.sqrt(-2.0 * np.log1p(-self._generator.random(shape)))
        return np.asarray(radius * np.cos(2.0 * np.pi * self._generator.random(shape)))


def _frequencies(height: int, width: int) -> Field:
    """Return the radial frequency of each ``rfft2`` bin, cycles per pixel, (H, W // 2 + 1)."""
    return np.hypot(np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width)[None, :])


def _standardised(spectrum: NDArray[np.complex128], height: int, width: int) -> Field:
    field = np.fft.irfft2(spectrum, s=(height, width))
    field -= field.mean()
    return np.asarray(field / field.std())


def power_law_noise(draws: Draws, height: int, width: int, exponent: float = 1.0) -> Field:
    """Return noise of amplitude spectrum ``1 / f ** exponent``: mean 0, variance 1, periodic.

    Photographs have exponents near 1 (Field, J. Opt. Soc. Am. A 4, 1987).
    """
    frequency = _frequencies(height, width)
    frequency[0, 0] = np.inf
    return _standardised(
        np.fft.rfft2(draws.normal(height, width)) * frequency**-exponent, height, width
    )


def band_noise(draws: Draws, height: int, width: int, period: float) -> Field:
    """Return noise of one scale, ``period`` pixels: mean 0, variance 1, periodic.

    The amplitude spectrum is a Gaussian, one third of the centre frequency wide.
    """
    centre = 1.0 / period
    gain = np.exp(-0.5 * ((_frequencies(height, width) - centre) / (centre / 3.0)) ** 2)
    return _standardised(np.fft.rfft2(draws.normal(height, width)) * gain, height, width)


def gaussian_blur(image: NDArray[np.float64], sigma: float) -> NDArray[np.float64]:
    """Blur (H, W) or (H, W, C) with a Gaussian of ``sigma`` pixels; borders are mirrored."""
    if sigma <= 0.0:
        return image
    reach = min(int(np.ceil(4.0 * sigma)), image.shape[0] - 1, image.shape[1] - 1)
    widths = [(reach, reach), (reach, reach)] + [(0, 0)] * (image.ndim - 2)
    padded = np.pad(image, widths, mode="reflect")
    height, width = padded.shape[:2]
    gain = np.exp(-2.0 * (np.pi * sigma * _frequencies(height, width)) ** 2)
    gain = gain.reshape(gain.shape + (1,) * (image.ndim - 2))
    spectrum = np.fft.rfft2(padded, axes=(0, 1)) * gain
    blurred = np.fft.irfft2(spectrum, s=(height, width), axes=(0, 1))
    return np.asarray(blurred[reach:-reach, reach:-reach])


def crop_periodic(field: Field, top: int, left: int, height: int, width: int) -> Field:
    """Return a (height, width) window of a periodic field, from any ``top`` and ``left``."""
    rows = np.arange(top, top + height) % field.shape[0]
    cols = np.arange(left, left + width) % field.shape[1]
    return field[np.ix_(rows, cols)]
