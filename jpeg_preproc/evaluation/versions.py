"""Versions of what a downstream result depends on."""

from __future__ import annotations

import importlib
import importlib.util
import platform
from collections.abc import Iterable
from functools import cache
from importlib.metadata import packages_distributions, version

from jpeg_preproc.jpeg.versions import encoder_versions, package_version

#: Packages that every result depends on, and those of models of OpenMMLab and under onnxruntime.
#: OpenMMLab's are found by import, since the maintained forks go by other names.
COMMON = ("torch", "numpy", "cv2", "pycocotools")
OPENMMLAB = ("mmengine", "mmcv", "mmdet", "mmseg")
ONNX = ("onnxruntime",)


def result_versions(packages: Iterable[str] = ()) -> dict[str, str]:
    """Return name to version of what decides a result: this package, the decoder, and others.

    Args:
        packages: Those that a task's own code rests on, by the names they are imported by; absent
            ones are left out.

    >>> sorted({"jpeg_preproc", "pillow", "jpeg", "torch"} - result_versions().keys())
    []
    """
    found = {"jpeg_preproc": package_version(), **encoder_versions("jpeg")}
    for name in dict.fromkeys((*COMMON, *packages)):
        if importlib.util.find_spec(name):
            found[name] = _imported_version(name)
    return found


def _imported_version(name: str) -> str:
    """Return what the package imported as ``name`` says of itself, else what was installed."""
    stated = getattr(importlib.import_module(name), "__version__", None)
    if stated is not None:
        return str(stated)
    return _installed_version(name)  # pycocotools states none


@cache  # all that is installed is looked through
def _installed_version(name: str) -> str:
    installed = [version(distribution) for distribution in packages_distributions().get(name, ())]
    return ", ".join(installed) or "unknown"


def versions() -> dict[str, str]:
    """Return name to version of all parts present, and of Python, for the record of a run."""
    return {"python": platform.python_version(), **result_versions((*OPENMMLAB, *ONNX))}
