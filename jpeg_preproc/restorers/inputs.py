"""What a restorer is given: a path, bytes or pixels."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from jpeg_preproc.defaults import MAX_PIXELS
from jpeg_preproc.errors import ImageReadError
from jpeg_preproc.jpeg import LoadedImage, load_image

ImageInput: TypeAlias = "str | os.PathLike[str] | bytes | np.ndarray"


@dataclass(frozen=True, eq=False)
class DecodedImage:
    """An image as it is restored: its pixels, and what is left of the JPEG they were decoded from.

    Attributes:
        pixels: Pixels, uint8, (H, W, 3) RGB or (H, W) grey, in stored orientation: as the decoder
            gave them, not turned, cropped or resized.
        qtables: Tables of the file in natural order, (T, 8, 8); ``None`` of what is no JPEG.
        data: The file's bytes, which a restorer that is ``consistent`` reads; ``None`` where they
            are not at hand.
        name: What an error calls the image.
    """

    pixels: np.ndarray
    qtables: np.ndarray | None = None
    data: bytes | None = None
    name: str = ""

    @classmethod
    def of(cls, image: LoadedImage) -> DecodedImage:
        """Return a loaded image file as a restorer takes it."""
        if image.info is None:
            return cls(image.pixels, name=image.name)
        return cls(image.pixels, image.info.qtables, image.data, image.name)


def decode_input(item: ImageInput, max_pixels: int | None = MAX_PIXELS) -> tuple[DecodedImage, int]:
    """Read a file of at most ``max_pixels``, or check that what is given is pixels.

    Returns:
        The image, and the EXIF orientation still to be applied to it, 1-8.

    Raises:
        ImageReadError: Not an image, a kind that is not supported, or pixels of another dtype or
            shape.
    """
    if not isinstance(item, np.ndarray):
        loaded = load_image(item, max_pixels=max_pixels)
        return DecodedImage.of(loaded), loaded.orientation
    if item.dtype != np.uint8:
        raise ImageReadError(
            f"an array of {item.dtype}; pixels are uint8 in 0-255 here: convert it first"
        )
    if item.ndim not in (2, 3) or (item.ndim == 3 and item.shape[2] != 3) or not item.size:
        raise ImageReadError(
            f"an array of shape {item.shape}; give (H, W, 3) RGB or (H, W) grey "
            "pixels, or a list of these"
        )
    return DecodedImage(item), 1
