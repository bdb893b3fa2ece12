"""Learned JPEG artifact removal for detectors and segmenters."""

from jpeg_preproc.jpeg import compress_jpeg, read_jpeg_info
from jpeg_preproc.restorers import JpegRestorer, build_restorer, list_restorers

__all__ = ["JpegRestorer", "build_restorer", "compress_jpeg", "list_restorers", "read_jpeg_info"]
