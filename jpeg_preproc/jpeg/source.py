"""Where bytes come from, a path or memory, and how an error names it."""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import BinaryIO, Union

from jpeg_preproc.errors import ImageReadError

#: A file's path, or the bytes of an encoded image.
Source = Union[str, "os.PathLike[str]", bytes, bytearray, memoryview]


def source_name(source: Source) -> str:
    """Return what an error message calls ``source``: its path, or that it came from memory.

    >>> source_name(b"abc")
    'image of 3 bytes in memory'
    """
    if isinstance(source, (bytes, bytearray, memoryview)):
        return f"image of {len(source)} bytes in memory"
    return str(source)


def open_source(source: Source) -> BinaryIO:
    """Open ``source`` for reading; the caller closes it.

    Raises:
        ImageReadError: The file is missing or cannot be opened, or ``source`` is no source.
    """
    if isinstance(source, (bytes, bytearray, memoryview)):
        return io.BytesIO(source)
    if not isinstance(source, (str, os.PathLike)):
        raise ImageReadError(
            f"Cannot read an image from {type(source).__name__}; give a path or bytes."
        )
    try:
        return Path(source).open("rb")
    except FileNotFoundError:
        raise ImageReadError(f"{source} does not exist; check the path.") from None
    except (OSError, ValueError) as error:  # ValueError: a NUL character in the path
        reason = getattr(error, "strerror", None) or error
        raise ImageReadError(f"{source!s} cannot be opened: {reason}.") from error


def source_bytes(source: Source) -> bytes:
    """Return all bytes of ``source``.

    Raises:
        ImageReadError: See :func:`open_source`; or the file is empty or cannot be read.
    """
    with open_source(source) as stream:
        try:
            data = stream.read()
        except OSError as error:
            raise ImageReadError(f"{source_name(source)} cannot be read: {error}.") from error
    if not data:
        raise ImageReadError(f"{source_name(source)} is empty; fetch or export it again.")
    return data
