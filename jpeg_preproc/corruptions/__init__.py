"""What happens to an image, as values: codecs, histories of a JPEG, and how they are spelled."""

from __future__ import annotations

from jpeg_preproc.corruptions.codecs import Avif, Jpeg, Jpegli, JpegXL, Original, WebP
from jpeg_preproc.corruptions.contract import Corrupted, Corruption
from jpeg_preproc.corruptions.geometry import Geometry
from jpeg_preproc.corruptions.histories import CroppedJpeg, DoubleJpeg, ResizedJpeg, Transcoded
from jpeg_preproc.corruptions.registry import (
    CorruptionEntry,
    list_corruptions,
    parse_corruption,
    register_corruption,
)
from jpeg_preproc.corruptions.tables import NAMED_TABLES, TableJpeg

__all__ = [
    "NAMED_TABLES",
    "Avif",
    "Corrupted",
    "Corruption",
    "CorruptionEntry",
    "CroppedJpeg",
    "DoubleJpeg",
    "Geometry",
    "Jpeg",
    "JpegXL",
    "Jpegli",
    "Original",
    "ResizedJpeg",
    "TableJpeg",
    "Transcoded",
    "WebP",
    "list_corruptions",
    "parse_corruption",
    "register_corruption",
]
