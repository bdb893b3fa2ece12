"""Learned JPEG artifact removal for detectors and segmenters."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

#: The one place that says it: setup.cfg and the results of every measurement read it here.
__version__ = "0.1.0"

if TYPE_CHECKING:
    from jpeg_preproc.jpeg import compress_jpeg, read_jpeg_info
    from jpeg_preproc.restorers import JpegRestorer, build_restorer, list_restorers

__all__ = ["JpegRestorer", "build_restorer", "compress_jpeg", "list_restorers", "read_jpeg_info"]
_OF_JPEG = ("compress_jpeg", "read_jpeg_info")


def __getattr__(name: str) -> Any:
    """Import what is asked for: headers and encoding need no torch, and a stop no numpy."""
    if name in ("jpeg", "restorers"):
        return import_module(f"jpeg_preproc.{name}")
    if name in __all__:
        room = "jpeg" if name in _OF_JPEG else "restorers"
        return getattr(import_module(f"jpeg_preproc.{room}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
