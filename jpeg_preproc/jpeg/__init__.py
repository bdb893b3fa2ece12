"""The JPEG format: headers and tables from bytes, encode and decode, QF and tables, 8x8 DCT."""

from jpeg_preproc.jpeg.codec import (
    SUBSAMPLINGS,
    JpegImage,
    compress_jpeg,
    decode_jpeg,
    roundtrip,
)
from jpeg_preproc.jpeg.dct import block_dct, block_idct
from jpeg_preproc.jpeg.estimate import QfEstimate, estimate_qf
from jpeg_preproc.jpeg.header import JpegInfo, is_jpeg, read_jpeg_info
from jpeg_preproc.jpeg.image import LoadedImage, apply_orientation, load_image
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
    "SUBSAMPLINGS",
    "ZIGZAG",
    "JpegImage",
    "JpegInfo",
    "LoadedImage",
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
]
