"""What happens to an image, as values: codecs, histories of a JPEG, and how they are spelled."""

from __future__ import annotations

from jpeg_preproc.corruptions.codecs import Jpeg, Original
from jpeg_preproc.corruptions.contract import Corrupted, Corruption
from jpeg_preproc.corruptions.geometry import Geometry
from jpeg_preproc.corruptions.registry import (
    CorruptionEntry,
    list_corruptions,
    parse_corruption,
    register_corruption,
)

__all__ = [
    "Corrupted",
    "Corruption",
    "CorruptionEntry",
    "Geometry",
    "Jpeg",
    "Original",
    "list_corruptions",
    "parse_corruption",
    "register_corruption",
]
