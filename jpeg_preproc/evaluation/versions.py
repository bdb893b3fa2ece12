"""Versions of what a downstream result depends on."""

from __future__ import annotations

import importlib
import importlib.util
import platform
from importlib.metadata import PackageNotFoundError, version

from jpeg_preproc.evaluation.store import codec_version

_MODULES = (
    "torch",
    "numpy",
    "cv2",
    "pycocotools",
    "onnxruntime",
    "mmengine",
    "mmcv",
    "mmdet",
    "mmseg",
)


def package_version() -> str:
    """Return this package's version; ``'unknown'`` where it is used without being installed."""
    try:
        return version("jpeg_preproc")
    except PackageNotFoundError:
        return "unknown"


def versions() -> dict[str, str]:
    """Return name to version of the parts present, OpenMMLab's found by import, not by name.

    >>> sorted({"python", "codec", "torch"} - versions().keys())
    []
    """
    found = {
        "python": platform.python_version(),
        "jpeg_preproc": package_version(),
        "codec": codec_version(),
    }
    for name in _MODULES:
        if importlib.util.find_spec(name):
            module = importlib.import_module(name)
            found[name] = str(getattr(module, "__version__", "unknown"))
    return found
