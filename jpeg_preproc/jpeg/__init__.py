"""The JPEG format: headers and tables from bytes, encode and decode, QF and tables, 8x8 DCT."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from jpeg_preproc.jpeg.codec import (
    SUBSAMPLINGS,
    JpegImage,
    compress_jpeg,
    decode_jpeg,
    roundtrip,
)
from jpeg_preproc.jpeg.estimate import QfEstimate, estimate_qf
from jpeg_preproc.jpeg.header import JpegInfo, is_jpeg, read_jpeg_info
from jpeg_preproc.jpeg.image import LoadedImage, apply_orientation, load_image
from jpeg_preproc.jpeg.tables import (
    ANNEX_K_CHROMA,
    ANNEX_K_LUMA,
    ZIGZAG,
    QfChoice,
    QfMatch,
    nearest_qf,
    qtables_from_qf,
    validate_qf,
    validate_quality,
)

if TYPE_CHECKING:
    from jpeg_preproc.jpeg.dct import block_dct, block_idct

__all__ = [
    "ANNEX_K_CHROMA",
    "ANNEX_K_LUMA",
    "SUBSAMPLINGS",
    "ZIGZAG",
    "JpegImage",
    "JpegInfo",
    "LoadedImage",
    "QfChoice",
    "QfEstimate",
    "QfMatch",
    "apply_orientation",
    "block_dct",
    "block_idct",
    "compress_jpeg",
    "decode_jpeg",
    "estimate_qf",
    "is_jpeg",
    "load_image",
    "nearest_qf",
    "qtables_from_qf",
    "read_jpeg_info",
    "roundtrip",
    "validate_qf",
    "validate_quality",
]


def __getattr__(name: str) -> Any:
    """Import the DCT in torch when it is first asked for: nothing else here needs torch."""
    if name in ("block_dct", "block_idct"):
        return getattr(import_module("jpeg_preproc.jpeg.dct"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
