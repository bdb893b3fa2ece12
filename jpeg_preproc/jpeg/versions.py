"""Which builds of which libraries encode an image: another version may write other bytes."""

from __future__ import annotations

from importlib import import_module

import PIL
from PIL import features

from jpeg_preproc.errors import QualityError


def encoder_versions(*codecs: str) -> dict[str, str]:
    """Return the version of Pillow and, by codec, that of the library it encodes with.

    Args:
        codecs: Names of the codecs in question: ``'jpeg'``, ``'webp'``, ``'png'`` or ``'avif'``.

    Returns:
        ``'pillow'`` and each of the codecs, in the order asked for. A library that this build of
        Pillow lacks has the version ``absent``.

    Raises:
        QualityError: Pillow's part in such a codec is not known here.

    >>> sorted(encoder_versions("jpeg", "webp"))
    ['jpeg', 'pillow', 'webp']
    """
    unknown = [codec for codec in codecs if codec not in _LIBRARIES]
    if unknown:
        raise QualityError(
            f"Codec {', '.join(map(repr, unknown))} is unknown; give {', '.join(_LIBRARIES)}."
        )
    return {"pillow": PIL.__version__, **{codec: _LIBRARIES[codec]() for codec in codecs}}


def _jpeg() -> str:
    turbo = features.version("libjpeg_turbo")
    return f"libjpeg-turbo {turbo}" if turbo else f"libjpeg {_version('jpg')}"


def _webp() -> str:
    return f"libwebp {_version('webp')}"


def _png() -> str:
    found = features.version("zlib_ng")  # None in older Pillows
    return f"zlib-ng {found}" if found else f"zlib {_version('zlib')}"


def _avif() -> str:
    """Return the versions of libavif and of the codecs that it hands the picture to."""
    found = features.version("avif")
    if found is None:
        return "libavif absent"
    return f"libavif {found} ({import_module('PIL._avif').codec_versions()})"


def _version(feature: str) -> str:
    return features.version(feature) or "absent"


_LIBRARIES = {"jpeg": _jpeg, "webp": _webp, "png": _png, "avif": _avif}
