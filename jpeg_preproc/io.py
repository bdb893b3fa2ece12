"""Files written whole or not at all, and hashed."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any


@contextmanager
def open_atomic(path: str | os.PathLike[str]) -> Iterator[IO[bytes]]:
    """Open ``path`` for writing so that a kill leaves the old file or the new one, never half.

    The file takes its place when the block ends, and is dropped if the block raises. Missing
    parent folders are made. The temporary file lies beside the target, because a rename is atomic
    only within one file system.
    """
    target = os.fspath(path)
    handle, temporary = _open_beside(target)
    try:
        with os.fdopen(handle, "wb") as stream:
            yield stream
        os.replace(temporary, target)  # noqa: PTH105 - Path is slow where files are small
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def _open_beside(target: str) -> tuple[int, str]:
    """Create a temporary file in the folder of ``target``, with the permissions of any new file.

    ``tempfile`` would make it private, and changing that back takes more time than writing it.
    """
    folder, name = os.path.split(target)
    made = False
    while True:
        temporary = os.path.join(folder, f".{name}.{os.urandom(4).hex()}")  # noqa: PTH118
        try:
            return os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666), temporary
        except FileExistsError:
            continue
        except FileNotFoundError:
            if made:
                raise
            Path(folder).mkdir(parents=True, exist_ok=True)
            made = True


def write_bytes_atomic(path: str | os.PathLike[str], data: bytes) -> Path:
    """Write ``data`` to ``path`` and return it; see :func:`open_atomic`."""
    # Not by way of a stream: where files are small, that takes longer than writing them.
    target = os.fspath(path)
    handle, temporary = _open_beside(target)
    try:
        try:
            view = memoryview(data)
            while len(view):
                view = view[os.write(handle, view) :]
        finally:
            os.close(handle)
        os.replace(temporary, target)  # noqa: PTH105 - Path is slow where files are small
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    return Path(path)


def write_text_atomic(path: str | os.PathLike[str], text: str) -> Path:
    """Write ``text`` as UTF-8, atomically; see :func:`write_bytes_atomic`."""
    return write_bytes_atomic(path, text.encode("utf-8"))


def write_json_atomic(path: str | os.PathLike[str], value: Any) -> Path:
    """Write ``value`` as indented JSON, atomically; see :func:`write_bytes_atomic`."""
    return write_text_atomic(path, json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def sha256_bytes(data: bytes) -> str:
    """Return the SHA-256 of ``data`` in hexadecimal."""
    return hashlib.sha256(data).hexdigest()


def sha256_file(path: str | os.PathLike[str]) -> str:
    """Return the SHA-256 of a file in hexadecimal, read in chunks of 1 MiB."""
    digest = hashlib.sha256()
    with Path(path).open("rb") as stream:
        while chunk := stream.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()
