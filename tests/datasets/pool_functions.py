"""Functions for test_pool.py; worker processes import them by name."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

from jpeg_preproc.datasets.pool import worker_index
from jpeg_preproc.errors import ImageReadError


def square(value: int) -> int:
    return value * value


def square_or_fail(value: int) -> int:
    if value == 3:
        raise ImageReadError("3.jpg is damaged.")
    if value == 5:
        raise RuntimeError("unforeseen")
    return value * value


def square_or_die(value: int) -> int:
    if value in (7, 19):
        os.kill(os.getpid(), signal.SIGKILL)
    return value * value


def die_twice(folder: Path) -> str:
    """Kill the worker for the first two calls with a folder, as if another had taken its memory."""
    if folder.suffix == ".fragile":
        (folder / str(os.getpid())).touch()
        if len(list(folder.iterdir())) <= 2:
            os.kill(os.getpid(), signal.SIGKILL)
    return folder.name


def leave_pid_and_linger(folder: Path) -> None:
    (folder / str(os.getpid())).touch()
    time.sleep(60)


class UnsendableError(Exception):
    """Cannot be pickled back: its arguments are not those of its constructor."""

    def __init__(self, name: str, place: int) -> None:
        super().__init__(f"{name} at {place}")


def square_or_fail_unsendably(value: int) -> int:
    if value == 2:
        raise UnsendableError("broken", value)
    return value * value


def index_of_worker(value: int) -> int:
    time.sleep(0.2)
    return worker_index()
