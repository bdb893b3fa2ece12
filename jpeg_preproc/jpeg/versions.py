"""The versions of the libraries that encode, decode and resize: others may give other pixels."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module, metadata
from typing import Any

import PIL
from PIL import features

from jpeg_preproc.errors import CorruptionError


def encoder_versions(*libraries: str) -> dict[str, str]:
    """Return what encodes and decodes, by name and version.

    Pillow is always named, since it decodes or resizes in every case.

    Args:
        libraries: Names among ``'jpeg'``, ``'webp'``, ``'png'``, ``'avif'``, ``'jpegli'``,
            ``'jpegxl'``, ``'opencv'`` and ``'ffmpeg'``.

    Raises:
        CorruptionError: A library that is not installed; the message names the command that
            installs it.

    >>> sorted(encoder_versions("jpeg"))
    ['jpeg', 'pillow']
    """
    found = {"pillow": PIL.__version__}
    found.update((library, _VERSIONS[library]()) for library in sorted(set(libraries)))
    return found


def _jpeg() -> str:
    turbo = features.version_feature("libjpeg_turbo")
    return f"libjpeg-turbo {turbo}" if turbo else f"libjpeg {features.version_codec('jpg')}"


def _webp() -> str:
    return f"libwebp {_codec('webp')}"


def _png() -> str:
    found = features.version("zlib_ng")  # None in older Pillows
    return f"zlib-ng {found}" if found else f"zlib {_codec('zlib')}"


def _avif() -> str:
    version = _codec("avif")
    # libavif only wraps what encodes and decodes.
    from PIL import AvifImagePlugin

    parts = [f"libavif {version}"]
    for name in ("aom", "dav1d"):
        own = AvifImagePlugin.get_codec_version(name)
        parts += [f"{name} {own}"] if own else []
    return ", ".join(parts)


def _codec(name: str) -> str:
    version = features.version(name)
    if version is None:
        raise CorruptionError(
            f"This Pillow ({PIL.__version__}) was built without {name}; install one that has it: "
            "pip install -U 'pillow>=11.3'"
        )
    return version


def _package(module: str, distribution: str, extra: str) -> Callable[[], str]:
    def version() -> str:
        import_optional(module, extra)
        return f"{distribution} {metadata.version(distribution)}"

    return version


def _opencv() -> str:
    return f"opencv {import_optional('cv2', 'opencv-python-headless').__version__}"


def _ffmpeg() -> str:
    av = import_optional("av", "jpeg_preproc[video]")
    libraries = ("libavcodec", "libswscale")
    versions = (".".join(map(str, av.library_versions[name])) for name in libraries)
    named = ", ".join(f"{name} {v}" for name, v in zip(libraries, versions, strict=True))
    return f"PyAV {av.__version__}, {named}"


def import_optional(module: str, requirement: str) -> Any:
    """Return a module that is no requirement of this package.

    Args:
        module: Its import name.
        requirement: What ``pip install`` is to be given.

    Raises:
        CorruptionError: It is not installed; the message names the command that installs it.
    """
    try:
        return import_module(module)
    except ImportError as error:
        raise CorruptionError(
            f"The package {module} is needed and cannot be imported ({error}); install it: "
            f"pip install '{requirement}'"
        ) from error


_VERSIONS: dict[str, Callable[[], str]] = {
    "jpeg": _jpeg,
    "webp": _webp,
    "png": _png,
    "avif": _avif,
    "jpegli": _package("pyjpegli", "pyjpegli", "jpeg_preproc[codecs]"),
    "jpegxl": _package("pillow_jxl", "pillow-jxl-plugin", "jpeg_preproc[codecs]"),
    "opencv": _opencv,
    "ffmpeg": _ffmpeg,
}
