"""How a corruption moved an image: sizes before and after, scale and offset, and the way back."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from jpeg_preproc.errors import CorruptionError

# What rounding may move a pixel's centre by, far less than a pixel.
_EPSILON = 1e-9


@dataclass(frozen=True)
class Geometry:
    """What became of an image's size and origin.

    Coordinates are continuous, as those of boxes: 0 is the outer edge of the first pixel, the width
    that of the last one. Pairs are (y, x), as sizes are (height, width)::

        x_original = x_corrupted / scale_x + offset_x

    Attributes:
        original: Size before, (H, W).
        corrupted: Size after, (H', W').
        scale: New size divided by the size of the region that was kept, of each axis.
        offset: Where the kept region begins in the original, in its pixels.

    >>> cut = Geometry.cropped((20, 30), (4, 3, 10, 10))
    >>> cut.boxes_to_original(np.array([[0.0, 0.0, 5.0, 5.0]])).tolist()
    [[3.0, 4.0, 8.0, 9.0]]
    """

    original: tuple[int, int]
    corrupted: tuple[int, int]
    scale: tuple[float, float] = (1.0, 1.0)
    offset: tuple[float, float] = (0.0, 0.0)

    @classmethod
    def unchanged(cls, size: tuple[int, int]) -> Geometry:
        """Return the geometry of what leaves an image of (height, width) where it is."""
        return cls(size, size)

    @classmethod
    def cropped(cls, size: tuple[int, int], region: tuple[int, int, int, int]) -> Geometry:
        """Return the geometry of cutting ``region`` (top, left, height, width) out of ``size``."""
        top, left, height, width = region
        return cls(size, (height, width), offset=(float(top), float(left)))

    @classmethod
    def resized(cls, size: tuple[int, int], new: tuple[int, int]) -> Geometry:
        """Return the geometry of resizing a whole image from ``size`` to ``new``."""
        return cls(size, new, scale=(new[0] / size[0], new[1] / size[1]))

    @property
    def is_identity(self) -> bool:
        """Whether every pixel is where it was."""
        return self == Geometry.unchanged(self.original)

    def then(self, later: Geometry) -> Geometry:
        """Return the geometry of this change followed by ``later``.

        Raises:
            CorruptionError: ``later`` starts from another size than this one ends with.
        """
        if later.original != self.corrupted:
            raise CorruptionError(
                f"A change of {later.original} cannot follow one that ends with {self.corrupted}; "
                "give the geometry of the image that the first one left."
            )
        if self.is_identity:
            return later
        (scale_y, scale_x), (later_y, later_x) = self.scale, later.scale
        return Geometry(
            self.original,
            later.corrupted,
            (scale_y * later_y, scale_x * later_x),
            (
                self.offset[0] + later.offset[0] / scale_y,
                self.offset[1] + later.offset[1] / scale_x,
            ),
        )

    def oriented(self, orientation: int) -> Geometry:
        """Return the same change as it is seen in the upright images.

        Args:
            orientation: EXIF orientation of both stored images, 1-8, as
                :func:`~jpeg_preproc.jpeg.apply_orientation` takes it.

        Raises:
            CorruptionError: ``orientation`` is outside 1-8.

        >>> Geometry.cropped((20, 30), (4, 3, 16, 27)).oriented(3).offset
        (0.0, 0.0)
        """
        if orientation not in range(1, 9):
            raise CorruptionError(
                f"EXIF orientation {orientation!r} is outside 1-8; give 1 for upright images."
            )
        axes = list(zip(self.original, self.corrupted, self.scale, self.offset, strict=True))
        if orientation >= 5:
            axes.reverse()
        # After the transposition each orientation mirrors rows, columns, both or neither.
        mirrored = (orientation in (3, 4, 7, 8), orientation in (2, 3, 6, 7))
        rows, columns = (
            (before, after, scale, before - after / scale - offset if mirror else offset)
            for (before, after, scale, offset), mirror in zip(axes, mirrored, strict=True)
        )
        return Geometry(
            original=(rows[0], columns[0]),
            corrupted=(rows[1], columns[1]),
            scale=(rows[2], columns[2]),
            offset=(rows[3], columns[3]),
        )

    def boxes_to_original(self, boxes: npt.NDArray[np.floating]) -> npt.NDArray[np.floating]:
        """Return boxes of the corrupted image in the original's coordinates.

        Args:
            boxes: Boxes x1, y1, x2, y2 in pixels, (N, 4) float; nothing is clipped.
        """
        if self.is_identity:
            return boxes
        scale, offset = self._corners(boxes)
        return boxes / scale + offset

    def boxes_to_corrupted(self, boxes: npt.NDArray[np.floating]) -> npt.NDArray[np.floating]:
        """Return boxes of the original image in the corrupted one's coordinates.

        Args:
            boxes: Boxes x1, y1, x2, y2 in pixels, (N, 4) float; nothing is clipped, so that boxes
                of what was cut away lie outside the image.
        """
        if self.is_identity:
            return boxes
        scale, offset = self._corners(boxes)
        return (boxes - offset) * scale

    def labels_to_original(self, labels: npt.NDArray[np.integer]) -> npt.NDArray[np.integer]:
        """Return a label map of the corrupted image, resampled to the original's size.

        Every pixel gets the label of the pixel that its centre falls into; what was cut away gets
        the nearest label that was kept.

        Args:
            labels: Labels of the corrupted image, (H', W') or (H', W', ...), any dtype.

        Returns:
            (H, W) or (H, W, ...), same dtype.

        Raises:
            CorruptionError: ``labels`` is not of the corrupted image's size.
        """
        rows, columns = (
            (np.arange(size) + 0.5 - offset) * scale
            for size, scale, offset in zip(self.original, self.scale, self.offset, strict=True)
        )
        return _sampled(labels, self.corrupted, rows, columns)

    def labels_to_corrupted(self, labels: npt.NDArray[np.integer]) -> npt.NDArray[np.integer]:
        """Return a label map of the original image, resampled to the corrupted one's size.

        Args:
            labels: Labels of the original image, (H, W) or (H, W, ...), any dtype.

        Returns:
            (H', W') or (H', W', ...), same dtype; every pixel gets the label that its centre falls
            into.

        Raises:
            CorruptionError: ``labels`` is not of the original image's size.
        """
        rows, columns = (
            (np.arange(size) + 0.5) / scale + offset
            for size, scale, offset in zip(self.corrupted, self.scale, self.offset, strict=True)
        )
        return _sampled(labels, self.original, rows, columns)

    def _corners(
        self, boxes: npt.NDArray[np.floating]
    ) -> tuple[npt.NDArray[np.floating], npt.NDArray[np.floating]]:
        """Return scale and offset of x1, y1, x2, y2, in the dtype of the boxes."""
        scale, offset = (np.array([x, y, x, y], boxes.dtype) for y, x in (self.scale, self.offset))
        return scale, offset


def _sampled(
    labels: npt.NDArray[np.integer],
    size: tuple[int, int],
    rows: npt.NDArray[np.floating],
    columns: npt.NDArray[np.floating],
) -> npt.NDArray[np.integer]:
    """Return the labels at these coordinates; those outside get the nearest one inside."""
    if labels.shape[:2] != size:
        raise CorruptionError(
            f"The label map is {labels.shape[0]}x{labels.shape[1]} (rows x columns), its image "
            f"{size[0]}x{size[1]}; give the label map of that image."
        )
    row, column = (
        np.clip(np.floor(at + _EPSILON).astype(np.intp), 0, length - 1)
        for at, length in zip((rows, columns), size, strict=True)
    )
    return labels[row[:, None], column]
