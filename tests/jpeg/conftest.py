"""Fixtures of the tests that look at pixels for traces of compression."""

from __future__ import annotations

import numpy as np
import pytest


@pytest.fixture(scope="session")
def scene() -> np.ndarray:
    """A (240, 320, 3) image with the 1/f spectrum of photographs, edges on top, nothing clipped."""
    rng = np.random.default_rng(11)
    rows, cols = np.meshgrid(np.fft.fftfreq(240), np.fft.fftfreq(320), indexing="ij")
    falloff = 1 / np.maximum(np.hypot(rows, cols), 1 / 320)
    planes = [
        np.fft.ifft2(np.fft.fft2(rng.normal(size=(240, 320))) * falloff).real for _ in range(3)
    ]
    shared, blue, red = (plane / plane.std() for plane in planes)
    image = np.stack([shared + 0.3 * red, shared, shared + 0.3 * blue], axis=-1) * 28 + 125
    image[60:130, 90:200] += (25, -20, 10)
    return np.clip(np.rint(image), 12, 243).astype(np.uint8)
