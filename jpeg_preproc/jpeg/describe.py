"""All that a file and its pixels tell about how the picture was compressed."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

from jpeg_preproc.defaults import MAX_PIXELS
from jpeg_preproc.errors import ImageReadError
from jpeg_preproc.jpeg.codec import refuse_undecodable
from jpeg_preproc.jpeg.exif import parse_orientation
from jpeg_preproc.jpeg.grid import GridEstimate, estimate_grid
from jpeg_preproc.jpeg.header import JpegInfo, is_jpeg, read_jpeg_info
from jpeg_preproc.jpeg.image import load_image
from jpeg_preproc.jpeg.metadata import Metadata, read_metadata
from jpeg_preproc.jpeg.recompression import EarlierCompression, find_earlier_compression
from jpeg_preproc.jpeg.source import source_bytes


@dataclass(frozen=True, eq=False)
class Description:
    """What is known of an image file.

    Attributes:
        path: Path of the file.
        bytes: Size of the file, bytes.
        width: Width as stored, pixels.
        height: Height as stored, pixels.
        orientation: EXIF orientation, 1-8.
        metadata: Format, EXIF and colour profile.
        jpeg: Header of a JPEG; ``None`` for other formats.
        grid: Grid of the last compression, found in the pixels; ``None`` for a JPEG, whose grid is
            at (0, 0) by definition.
        earlier: Stronger compression before a JPEG's own; ``None`` where none was found.
        not_looked_at: Why the pixels were not looked at; empty if they were.
    """

    path: str
    bytes: int
    width: int
    height: int
    orientation: int
    metadata: Metadata
    jpeg: JpegInfo | None = None
    grid: GridEstimate | None = None
    earlier: EarlierCompression | None = None
    not_looked_at: str = ""

    def as_json(self) -> dict[str, Any]:
        """Return all of it as JSON values; what is unknown is ``None``."""
        common: dict[str, Any] = {
            "path": self.path,
            "format": self.metadata.format,
            "bytes": self.bytes,
            "width": self.width,
            "height": self.height,
            "orientation": self.orientation,
            "exif": bool(self.metadata.exif),
            "icc": bool(self.metadata.icc),
        }
        return {**common, **(_jpeg_json(self, self.jpeg) if self.jpeg else _grid_json(self.grid))}


def describe_image(
    path: str | os.PathLike[str], history: bool = True, max_pixels: int | None = MAX_PIXELS
) -> Description:
    """Return what a file and its pixels tell about how the picture was compressed.

    For a JPEG whose pixels cannot be read (truncated, CMYK and so on) that is the header alone.

    Args:
        path: Path of the file.
        history: Whether a JPEG's pixels are looked at too, for an earlier compression.
        max_pixels: Most pixels that are decoded; ``None`` for any number.

    Raises:
        ImageReadError: The file is missing or no image, or its header is damaged.
    """
    data, name = source_bytes(path), os.fspath(path)
    metadata = read_metadata(path)
    if not is_jpeg(data):
        pixels = load_image(path, max_pixels=max_pixels).pixels
        return Description(
            path=name,
            bytes=len(data),
            width=pixels.shape[1],
            height=pixels.shape[0],
            orientation=parse_orientation(metadata.exif),
            metadata=metadata,
            grid=estimate_grid(pixels),
        )
    info = read_jpeg_info(data, name=name)
    earlier, reason = None, "" if history else "give --history (in Python history=True)"
    try:
        if history:
            refuse_undecodable(info, name, max_pixels)
            if info.colour_space == "RGB":
                raise ImageReadError(f"{name} codes RGB, where the hint is looked for in luma.")
            earlier = find_earlier_compression(data, info, name)
    except ImageReadError as error:
        reason = str(error)
    return Description(
        path=name,
        bytes=len(data),
        width=info.width,
        height=info.height,
        orientation=info.orientation,
        metadata=metadata,
        jpeg=info,
        earlier=earlier,
        not_looked_at=reason,
    )


def _jpeg_json(described: Description, info: JpegInfo) -> dict[str, Any]:
    earlier = described.earlier
    return {
        "components": info.components,
        "colour_space": info.colour_space,
        "precision": info.precision,
        "sampling": info.sampling,
        "progressive": info.progressive,
        "arithmetic": info.arithmetic,
        "scans": info.scans,
        "truncated": info.truncated,
        "qf": info.qf,
        "qf_exact": info.qf_exact,
        "qf_distance_octaves": round(info.qf_distance, 4),
        "qtables": info.qtables.tolist(),
        "grid": {"column": 0, "row": 0},
        "earlier_qf": earlier.qf if earlier else None,
        "earlier_gain_nats_per_block": round(earlier.gain, 3) if earlier else None,
        "pixels_not_looked_at": described.not_looked_at or None,
    }


def _grid_json(grid: GridEstimate | None) -> dict[str, Any]:
    found = grid is not None and grid.found
    return {
        "grid": {"column": grid.column, "row": grid.row} if grid and found else None,
        "estimated_qf": grid.qf if grid and found else None,
        "confidence": round(grid.confidence, 4) if grid else None,
    }
