"""The files of a dataset that are no images, and the folders that everything lies in."""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from jpeg_preproc.datasets.names import rename_in_annotation
from jpeg_preproc.datasets.scan import DatasetTree
from jpeg_preproc.errors import AnnotationError, DatasetError
from jpeg_preproc.io import open_atomic, write_bytes_atomic

_LOCK = ".jpeg_preproc.lock"
# What a file system without locks answers; there it is left to the user not to run twice.
_NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP, errno.EBADF)


@dataclass(frozen=True)
class CarryTask:
    """One file and every tree that it goes into.

    Attributes:
        source: File to be copied.
        name: Path relative to the data root, with forward slashes; the same in every tree.
        folders: Roots of the trees.
        suffix: What images' names end in in these trees; None where they keep their names.
    """

    source: Path
    name: str
    folders: tuple[Path, ...]
    suffix: str | None = None


def carry_file(task: CarryTask) -> None:
    """Copy one file, with its time of change, wherever it is not in place already.

    A file of the same size and time counts as in place. Copies, not hard links: an annotation
    edited in one tree must not change in the others. Where images change their names, a COCO
    annotation file that names images is written with the new names instead.

    Raises:
        AnnotationError: The source cannot be read.
        DatasetError: A copy cannot be written.
    """
    try:
        renamed = _renamed(task)
        with task.source.open("rb") as source:
            status = os.fstat(source.fileno())
            for folder in task.folders:
                target = folder / task.name
                if renamed is not None:
                    _write_renamed(renamed, target)
                elif not _is_copy(target, status):
                    source.seek(0)
                    _copy(source.fileno(), status, target)
    except OSError as error:
        raise AnnotationError(
            f"{task.source} cannot be read ({error.strerror}); check its permissions."
        ) from error


def _renamed(task: CarryTask) -> bytes | None:
    """Return what becomes of an annotation file whose images change their names, or None."""
    if task.suffix is None or not task.name.lower().endswith(".json"):
        return None
    return rename_in_annotation(task.source.read_bytes(), task.suffix)


def _write_renamed(data: bytes, target: Path) -> None:
    try:
        if not target.is_file() or target.read_bytes() != data:
            write_bytes_atomic(target, data)
    except OSError as error:
        raise _unwritable(target, error) from error


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
        raise _unwritable(target, error) from error


def _unwritable(target: Path, error: OSError) -> DatasetError:
    return DatasetError(
        f"{target} cannot be written ({error.strerror}); see to it and run again: what is done is "
        "kept."
    )


@contextmanager
def locked(folder: Path, shared: bool = False) -> Iterator[Callable[[], None]]:
    """Hold ``folder``, made if missing, against other runs; a kill lets go of it.

    The first process of a run holds it alone, makes it ready, and calls what this gives; then the
    run's other processes hold it with it, and the lock lasts as long as any of them lives.

    Args:
        folder: Folder that is written to.
        shared: Whether this process is one of these others.

    Raises:
        DatasetError: Another run holds it.
        OSError: The folder cannot be made.
    """
    folder.mkdir(parents=True, exist_ok=True)
    # A file, because NFS locks for one writer only what is open for writing.
    with (folder / _LOCK).open("ab") as handle:
        _lock(handle.fileno(), fcntl.LOCK_SH if shared else fcntl.LOCK_EX, folder)
        yield lambda: _lock(handle.fileno(), fcntl.LOCK_SH, folder)


@contextmanager
def held(folder: Path) -> Iterator[None]:
    """Hold an existing folder against other runs, as :func:`locked` does, and leave no file in it.

    Where a file system locks files alone, it is not held.

    Raises:
        DatasetError: Another run holds it.
    """
    handle = os.open(folder, os.O_RDONLY)
    try:
        _lock(handle, fcntl.LOCK_EX, folder)
        yield
    finally:
        os.close(handle)


def _lock(handle: int, kind: int, folder: Path) -> None:
    try:
        fcntl.flock(handle, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        raise DatasetError(
            f"{folder} is being written by another process; wait for it, or stop it."
        ) from None
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            raise


def make_folders(tree: DatasetTree, folder: Path) -> None:
    """Make every folder of a dataset in ``folder``, empty ones too."""
    for name in tree.folders:
        (folder / name).mkdir(parents=True, exist_ok=True)
