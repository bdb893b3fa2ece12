"""Between the pixels of OpenMMLab's pipelines (BGR, or grey with or without an axis) and ours."""

from __future__ import annotations

import numpy as np


def rgb_or_grey(image: np.ndarray) -> np.ndarray:
    """Return (H, W, 3) BGR as contiguous RGB, and (H, W) or (H, W, 1) grey as (H, W)."""
    if image.ndim == 2:
        return image
    if image.shape[2] == 1:
        return np.ascontiguousarray(image[..., 0])
    return np.ascontiguousarray(image[..., ::-1])


def in_layout_of(image: np.ndarray, pixels: np.ndarray) -> np.ndarray:
    """Return RGB or grey ``pixels`` in the channel layout of ``image``; undoes rgb_or_grey.

    Grey pixels for a BGR ``image`` are repeated over its three channels.
    """
    if image.ndim == 2:
        return np.ascontiguousarray(pixels)
    if image.shape[2] == 1 or pixels.ndim == 2:
        return np.ascontiguousarray(np.repeat(pixels[..., None], image.shape[2], axis=2))
    return np.ascontiguousarray(pixels[..., ::-1])


def is_colourless(pixels: np.ndarray) -> bool:
    """Tell whether (H, W, 3) pixels have three equal channels, as a grey JPEG loaded as colour."""
    if pixels.ndim != 3:
        return False
    first = pixels[..., 0]
    return bool((pixels[..., 1] == first).all() and (pixels[..., 2] == first).all())
