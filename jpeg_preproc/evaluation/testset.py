"""What test sets of every kind share: an even choice of their images, and masks."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image

from jpeg_preproc.errors import AnnotationError


def evenly(total: int, limit: int | None) -> list[int]:
    """Return the indices of ``limit`` of ``total`` items, evenly spaced; of all without a limit.

    >>> evenly(6, 3), evenly(2, 3)
    ([0, 2, 4], [0, 1])
    """
    if limit is None or limit >= total:
        return list(range(total))
    return [position * total // limit for position in range(limit)]


def read_mask(data: bytes, path: str, shape: tuple[int, int]) -> np.ndarray:
    """Decode a segmentation mask as it is stored: the palette's indices of a palette image.

    Args:
        data: The file's bytes.
        path: What an error calls the mask.
        shape: Height and width of its image.

    Returns:
        (H, W), or (H, W, channels) for a mask of several channels.

    Raises:
        AnnotationError: It cannot be decoded, or has another shape.
    """
    try:
        with Image.open(io.BytesIO(data)) as mask:
            mask.load()
            size = mask.size[::-1]
            labels = np.array(mask)
    except (OSError, SyntaxError, ValueError) as error:
        raise AnnotationError(f"{path}: the mask cannot be decoded: {error}") from error
    if size != shape:
        raise AnnotationError(f"{path}: the mask is {size}, its image {shape} (H, W)")
    return labels
