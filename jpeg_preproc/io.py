"""Files written whole or not at all, and hashed."""

from __future__ import annotations

import contextlib
import hashlib
import json
import math
import os
import posixpath
import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

# What open_atomic calls its temporary files.
_TEMPORARY = re.compile(r"(?P<prefix>\.(?P<name>.+)\.)[0-9a-f]{8}")
# Bytes of a file's name, in all file systems that are in use.
_NAME_MAX = 255


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
    except BaseException as error:
        _give_up(error, temporary, target)
        raise


def temporary_prefix(name: str) -> str:
    """Return what the temporary files of a file start with; eight hexadecimal digits follow.

    Args:
        name: The file's name, without its folder. Of one that is nearly as long as names can be
            the hash stands for it.

    >>> temporary_prefix("a.png")
    '.a.png.'
    """
    raw = os.fsencode(name)
    return f".{name}." if len(raw) <= _NAME_MAX - 10 else f".{sha256_bytes(raw)[:32]}."


def remove_temporary_files(
    names: Iterable[str],
    folder: Path,
    is_ours: Callable[[str], bool] = lambda name: False,
    before: float = math.inf,
) -> None:
    """Remove what killed runs were writing in a folder and have left there.

    Args:
        names: Files that are written, relative to ``folder``, with forward slashes.
        folder: Folder that nobody else writes to, unless ``before`` tells what is theirs.
        is_ours: Tells of other names, directly in ``folder``, whether they are written too.
        before: Only what was last written before this time is removed, seconds since the epoch.
    """
    expected = set(names)
    prefixes: dict[str, set[str]] = {"": set()}  # by the folder that they are in
    for name in expected:
        place, own = posixpath.split(name)
        prefixes.setdefault(place, set()).add(temporary_prefix(own))
    for place, known in prefixes.items():
        if not (folder / place).is_dir():
            continue
        for path in (folder / place).iterdir():
            match = _TEMPORARY.fullmatch(path.name)
            if match is None or posixpath.join(place, path.name) in expected:
                continue
            if match["prefix"] in known or (not place and is_ours(match["name"])):
                with contextlib.suppress(FileNotFoundError):
                    if path.stat().st_mtime < before:
                        path.unlink()


def _open_beside(target: str) -> tuple[int, str]:
    """Create a temporary file in the folder of ``target``, with the permissions of any new file.

    ``tempfile`` would make it private, and changing that back takes more time than writing it.
    """
    folder, name = os.path.split(target)
    prefix = temporary_prefix(name)
    made = False
    while True:
        temporary = os.path.join(folder, prefix + os.urandom(4).hex())  # noqa: PTH118
        try:
            return os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666), temporary
        except FileExistsError:
            continue
        except FileNotFoundError:
            if made:
                raise
            Path(folder).mkdir(parents=True, exist_ok=True)
            made = True


def _give_up(error: BaseException, temporary: str, target: str) -> None:
    """Drop a temporary file, and let the error say which file could not be written."""
    Path(temporary).unlink(missing_ok=True)
    if isinstance(error, OSError) and error.filename is None:
        error.filename = target  # a full disk says it of no file


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
    except BaseException as error:
        _give_up(error, temporary, target)
        raise
    return Path(path)


def write_text_atomic(path: str | os.PathLike[str], text: str) -> Path:
    r"""Write ``text`` as UTF-8, atomically; see :func:`write_bytes_atomic`.

    Bytes of file names that are no UTF-8 become ``\udcXX``, which JSON reads as what they were.
    """
    return write_bytes_atomic(path, text.encode("utf-8", "backslashreplace"))


def write_json_atomic(path: str | os.PathLike[str], value: Any) -> Path:
    """Write ``value`` as indented JSON, atomically; see :func:`write_bytes_atomic`."""
    return write_text_atomic(path, json_text(value))


def json_text(value: Any) -> str:
    """Return ``value`` as the indented JSON that files of ours have."""
    return json.dumps(value, indent=2, ensure_ascii=False) + "\n"


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
