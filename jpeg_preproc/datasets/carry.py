"""The files of a dataset that are copied as they are, and the folders that everything lies in."""

from __future__ import annotations

import fcntl
import os
import posixpath
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from jpeg_preproc.datasets.manifest import RESERVED_NAMES
from jpeg_preproc.datasets.scan import DatasetTree
from jpeg_preproc.errors import AnnotationError, DatasetError
from jpeg_preproc.io import open_atomic

# What open_atomic calls its temporary files.
_TEMPORARY = re.compile(r"\.(?P<target>.+)\.[a-z0-9_]{8}")


@dataclass(frozen=True)
class CarryTask:
    """One file and every tree that it goes into.

    Attributes:
        source: the file.
        name: relative to the data root, with forward slashes; the same in every tree.
        folders: the trees' roots.
    """

    source: Path
    name: str
    folders: tuple[Path, ...]


def carry_file(task: CarryTask) -> None:
    """Copy one file, with its time of change, wherever it is not in place already.

    A file of the same size and time counts as in place. Copies, not hard links: an annotation
    edited in one tree must not change in the others.

    Raises:
        AnnotationError: the source cannot be read.
        DatasetError: a copy cannot be written.
    """
    try:
        with task.source.open("rb") as source:
            status = os.fstat(source.fileno())
            for folder in task.folders:
                if not _is_copy(folder / task.name, status):
                    source.seek(0)
                    _copy(source.fileno(), status, folder / task.name)
    except OSError as error:
        raise AnnotationError(
            f"{task.source} cannot be read ({error.strerror}); check its permissions."
        ) from error


def _is_copy(path: Path, status: os.stat_result) -> bool:
    try:
        found = path.stat()
    except FileNotFoundError:
        return False
    return found.st_size == status.st_size and found.st_mtime_ns == status.st_mtime_ns


def _copy(source: int, status: os.stat_result, target: Path) -> None:
    try:
        with open(source, "rb", closefd=False) as reader, open_atomic(target) as writer:
            shutil.copyfileobj(reader, writer, 1 << 20)
            writer.flush()
            os.utime(writer.fileno(), ns=(status.st_atime_ns, status.st_mtime_ns))
    except OSError as error:
        raise DatasetError(
            f"{target} cannot be written ({error.strerror}); see to it and run again: what is "
            "done is kept."
        ) from error


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold ``folder``, made if missing, against other processes; a kill lets go of it.

    Raises:
        DatasetError: another process holds it.
        OSError: it cannot be made.
    """
    folder.mkdir(parents=True, exist_ok=True)
    handle = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise DatasetError(
                f"{folder} is being written by another process; wait for it, or stop it."
            ) from None
        yield
    finally:
        os.close(handle)


def make_folders(tree: DatasetTree, folder: Path) -> None:
    """Make every folder of a dataset in ``folder``, empty ones too."""
    for name in tree.folders:
        (folder / name).mkdir(parents=True, exist_ok=True)


def remove_temporary_files(tree: DatasetTree, folder: Path) -> None:
    """Remove what a killed run was writing: temporary names of files that the tree has."""
    expected = {*tree.images, *tree.carried, *RESERVED_NAMES}
    for place in {posixpath.dirname(name) for name in expected}:
        for path in (folder / place).iterdir():
            match = _TEMPORARY.fullmatch(path.name)
            if match is None or posixpath.join(place, path.name) in expected:
                continue
            if posixpath.join(place, match["target"]) in expected:
                path.unlink()
