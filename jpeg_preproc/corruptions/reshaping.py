"""Lossless steps of a history: cutting rows and columns off, and resizing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image

from jpeg_preproc.corruptions.contract import Reshaping
from jpeg_preproc.corruptions.geometry import Geometry
from jpeg_preproc.jpeg.versions import import_library

#: Kernels of Pillow, which widen as they reduce, and of OpenCV, which do not (but for ``area``).
PILLOW_KERNELS = {
    "nearest": Image.Resampling.NEAREST,
    "box": Image.Resampling.BOX,
    "bilinear": Image.Resampling.BILINEAR,
    "hamming": Image.Resampling.HAMMING,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
}
OPENCV_KERNELS = {
    "cv2_nearest": "INTER_NEAREST_EXACT",
    "cv2_bilinear": "INTER_LINEAR",
    "cv2_bicubic": "INTER_CUBIC",
    "cv2_area": "INTER_AREA",
    "cv2_lanczos": "INTER_LANCZOS4",
}


@dataclass(frozen=True)
class Cut(Reshaping):
    """Cut rows and columns off at the top and left; the last ones are always kept.

    Attributes:
        rows: Number of rows that are cut off.
        columns: Number of columns that are cut off.
    """

    rows: int
    columns: int

    def reshape(self, pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
        """Return what is kept."""
        top, left = self._origin(pixels.shape[0], pixels.shape[1])
        return np.ascontiguousarray(pixels[top:, left:])

    def geometry(self, size: tuple[int, int]) -> Geometry:
        """Return how the origin moves."""
        top, left = self._origin(*size)
        return Geometry.cropped(size, (top, left, size[0] - top, size[1] - left))

    def _origin(self, height: int, width: int) -> tuple[int, int]:
        return min(self.rows, height - 1), min(self.columns, width - 1)


@dataclass(frozen=True)
class Resize(Reshaping):
    """Multiply height and width, rounded to whole pixels, at least one.

    Attributes:
        scale: New size divided by old size.
        kernel: One of :data:`PILLOW_KERNELS` or :data:`OPENCV_KERNELS`.
    """

    scale: float
    kernel: str

    @property
    def libraries(self) -> Sequence[str]:
        """What the result depends on."""
        return ("opencv",) if self.kernel in OPENCV_KERNELS else ()

    def reshape(self, pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
        """Return the resized image."""
        height, width = self._new_size((pixels.shape[0], pixels.shape[1]))
        if self.kernel in OPENCV_KERNELS:
            cv2 = import_library("opencv")
            method = getattr(cv2, OPENCV_KERNELS[self.kernel])
            resized: npt.NDArray[np.uint8] = cv2.resize(
                pixels, (width, height), interpolation=method
            )
            return resized
        return np.array(
            Image.fromarray(pixels).resize((width, height), PILLOW_KERNELS[self.kernel])
        )

    def geometry(self, size: tuple[int, int]) -> Geometry:
        """Return how large the image becomes."""
        return Geometry.resized(size, self._new_size(size))

    def _new_size(self, size: tuple[int, int]) -> tuple[int, int]:
        return max(1, round(size[0] * self.scale)), max(1, round(size[1] * self.scale))
