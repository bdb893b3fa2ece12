"""What a restorer is given: a path, bytes or pixels."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from jpeg_preproc.errors import ImageReadError
from jpeg_preproc.jpeg import load_image
from jpeg_preproc.jpeg.source import source_bytes, source_name

ImageInput: TypeAlias = "str | os.PathLike[str] | bytes | np.ndarray"


@dataclass(frozen=True, eq=False)
class LoadedInput:
    """An input as it is restored.

    Attributes:
        pixels: uint8, (H, W, 3) RGB or (H, W) grey, in stored orientation.
        orientation: EXIF orientation still to be applied, 1-8.
        qtables: (T, 8, 8) tables of a JPEG; ``None`` of anything else.
        data: the bytes of a JPEG.
        name: what an error calls them.
    """

    pixels: np.ndarray
    orientation: int = 1
    qtables: np.ndarray | None = None
    data: bytes = b""
    name: str = ""


def load_input(item: ImageInput) -> LoadedInput:
    """Read a file, or check that what is given is pixels.

    Raises:
        ImageReadError: Not an image, a kind that is not supported, or pixels of another dtype or
            shape.
    """
    if isinstance(item, np.ndarray):
        if item.dtype != np.uint8:
            raise ImageReadError(
                f"an array of {item.dtype}; pixels are uint8 in 0-255 here: convert it first"
            )
        if item.ndim not in (2, 3) or (item.ndim == 3 and item.shape[2] != 3) or not item.size:
            raise ImageReadError(
                f"an array of shape {item.shape}; give (H, W, 3) RGB or (H, W) grey "
                "pixels, or a list of these"
            )
        return LoadedInput(item)
    data, name = source_bytes(item), source_name(item)
    loaded = load_image(data, name)
    if loaded.info is None:
        return LoadedInput(loaded.pixels, loaded.orientation)
    return LoadedInput(loaded.pixels, loaded.orientation, loaded.info.qtables, data, name)
