"""What goes wrong in the workers of a ``DataLoader``, told without torch's traceback."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from jpeg_preproc.errors import JpegPreprocError


def is_worker_death(error: Exception) -> bool:
    """Tell whether an error is torch's, of a worker of a ``DataLoader`` that has died."""
    return type(error) is RuntimeError and "DataLoader worker (pid" in str(error)


@contextmanager
def without_traceback() -> Iterator[None]:
    """Take the worker's traceback, which DataLoader puts into an error's message, out of it."""
    try:
        yield
    except JpegPreprocError as error:
        _, worker, message = str(error).rpartition(f".{type(error).__name__}: ")
        if not worker or "in DataLoader worker process" not in str(error):
            raise
        raise type(error)(message.strip()) from error
