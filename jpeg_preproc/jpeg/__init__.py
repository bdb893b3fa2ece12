"""The JPEG format: headers and tables from bytes, encode and decode, QF and tables, 8x8 DCT."""

from jpeg_preproc.jpeg.codec import compress_jpeg, roundtrip
from jpeg_preproc.jpeg.tables import (
    ANNEX_K_CHROMA,
    ANNEX_K_LUMA,
    ZIGZAG,
    QfMatch,
    nearest_qf,
    qtables_from_qf,
    validate_qf,
)

__all__ = [
    "ANNEX_K_CHROMA",
    "ANNEX_K_LUMA",
    "ZIGZAG",
    "QfMatch",
    "compress_jpeg",
    "nearest_qf",
    "qtables_from_qf",
    "roundtrip",
    "validate_qf",
]
