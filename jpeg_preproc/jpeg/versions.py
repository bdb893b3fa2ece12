"""Versions of the libraries that encode, decode and resize: others may give other pixels."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module, metadata
from types import ModuleType

import PIL
from PIL import features

from jpeg_preproc import __version__
from jpeg_preproc.errors import CorruptionError

#: Libraries that are no requirement of this package: import name, and what pip is to install.
OPTIONAL_LIBRARIES = {
    "jpegli": ("pyjpegli", "pyjpegli"),
    "jpegxl": ("pillow_jxl", "pillow-jxl-plugin"),
    "opencv": ("cv2", "opencv-python-headless"),
    "ffmpeg": ("av", "av"),
}


def package_version() -> str:
    """Return this package's version."""
    return __version__


def encoder_versions(*libraries: str) -> dict[str, str]:
    """Return what encodes, decodes or resizes, by name and version.

    Pillow is always named, since it has a hand in every case.

    Args:
        libraries: Names among ``'jpeg'``, ``'webp'``, ``'avif'``, ``'png'`` and those of
            :data:`OPTIONAL_LIBRARIES`.

    Raises:
        CorruptionError: A library that is not installed; the message names the command that
            installs it.

    >>> sorted(encoder_versions("jpeg"))
    ['jpeg', 'pillow']
    """
    return {"pillow": PIL.__version__} | {
        name: _VERSIONS[name]() for name in sorted(set(libraries))
    }


def import_library(name: str) -> ModuleType:
    """Return the module of a library that is no requirement of this package.

    Args:
        name: One of :data:`OPTIONAL_LIBRARIES`.

    Raises:
        CorruptionError: It is not installed; the message names the command that installs it.
    """
    module, distribution = OPTIONAL_LIBRARIES[name]
    try:
        return import_module(module)
    except ImportError as error:
        raise CorruptionError(
            f"The package {module} is needed for this corruption and cannot be imported "
            f"({error}); install it: pip install {distribution}"
        ) from error


def _jpeg() -> str:
    turbo = features.version_feature("libjpeg_turbo")
    return f"libjpeg-turbo {turbo}" if turbo else f"libjpeg {features.version_codec('jpg')}"


def _webp() -> str:
    return f"libwebp {_of_pillow('webp')}"


def _png() -> str:
    found = features.version("zlib_ng")  # None in older Pillows
    return f"zlib-ng {found}" if found else f"zlib {_of_pillow('zlib')}"


def _avif() -> str:
    # libavif only wraps what encodes and decodes.
    version = _of_pillow("avif")
    from PIL import AvifImagePlugin

    parts: dict[str, str | None] = {"libavif": version}
    for name in ("aom", "dav1d"):
        parts[name] = AvifImagePlugin.get_codec_version(name)
    return ", ".join(f"{name} {number}" for name, number in parts.items() if number)


def _of_pillow(name: str) -> str:
    version = features.version(name)
    if version is None:
        raise CorruptionError(
            f"This Pillow ({PIL.__version__}) was built without {name}; install one that has it: "
            "pip install -U 'pillow>=11.3'"
        )
    return version


def _jpegli() -> str:
    import_library("jpegli")
    return f"pyjpegli {metadata.version('pyjpegli')}"


def _jpegxl() -> str:
    import_library("jpegxl")
    return f"pillow-jxl-plugin {metadata.version('pillow-jxl-plugin')}"


def _opencv() -> str:
    return f"opencv {import_library('opencv').__version__}"


def _ffmpeg() -> str:
    av = import_library("ffmpeg")
    parts = [f"PyAV {av.__version__}"]
    for name in ("libavcodec", "libswscale"):
        parts.append(f"{name} {'.'.join(map(str, av.library_versions[name]))}")
    return ", ".join(parts)


_VERSIONS: dict[str, Callable[[], str]] = {
    "jpeg": _jpeg,
    "webp": _webp,
    "png": _png,
    "avif": _avif,
    "jpegli": _jpegli,
    "jpegxl": _jpegxl,
    "opencv": _opencv,
    "ffmpeg": _ffmpeg,
}
