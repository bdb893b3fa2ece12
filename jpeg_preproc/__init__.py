"""Learned JPEG artifact removal for detectors and segmenters."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

#: The one place that says it: setup.cfg and the results of every measurement read it here.
__version__ = "0.1.0"

from jpeg_preproc.jpeg import compress_jpeg, read_jpeg_info

if TYPE_CHECKING:
    from jpeg_preproc.restorers import JpegRestorer, build_restorer, list_restorers

__all__ = ["JpegRestorer", "build_restorer", "compress_jpeg", "list_restorers", "read_jpeg_info"]


def __getattr__(name: str) -> Any:
    """Import what needs torch when it is first asked for: headers and encoding do not need it."""
    if name == "restorers":
        return import_module("jpeg_preproc.restorers")
    if name in __all__:
        return getattr(import_module("jpeg_preproc.restorers"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
