"""mmcv's image loader in a process of its own: OpenCV may die of a damaged file."""

from __future__ import annotations

import multiprocessing
import os
import warnings
from multiprocessing.connection import Connection
from typing import Any

# Seconds without an answer after which the loader counts as dead.
_PATIENCE = 60.0
# Larger images are not handed over: all samples are small, and a header that claims more is the
# loader's to refuse.
_MOST_BYTES = 3_000_000


class Loader:
    """Loads files as a pipeline would, and outlives what kills the loader.

    Attributes:
        deaths: How many files have killed it.
    """

    def __init__(self) -> None:
        self.deaths = 0
        self._start()

    def __call__(self, path: str) -> dict[str, Any] | None:
        """Return what mmcv's ``LoadImageFromFile`` makes of a file; ``None`` if nothing."""
        try:
            self._pipe.send(path)
            if self._pipe.poll(_PATIENCE):
                found: dict[str, Any] | str | None = self._pipe.recv()
                if not isinstance(found, str):
                    return found
                self.deaths += 1
                return None
        except (EOFError, OSError):
            pass
        self.deaths += 1
        self._process.kill()
        self._process.join()
        self._start()
        return None

    def _start(self) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipe, other = context.Pipe()
        self._process = context.Process(target=_load_all, args=(other,), daemon=True)
        self._process.start()
        other.close()


def _load_all(pipe: Connection) -> None:
    from mmcv.transforms import LoadImageFromFile

    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
    warnings.simplefilter("ignore")
    load = LoadImageFromFile()
    # A process that dies is replaced by a fork, which has imported everything.
    while pid := os.fork():
        if os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0:
            return
        pipe.send("died")
    while True:
        try:
            path = pipe.recv()
        except EOFError:
            os._exit(0)
        try:
            results = load({"img_path": path})
        except Exception:  # noqa: BLE001 - the loader is not ours
            results = None
        usable = results and results["img"] is not None and results["img"].nbytes < _MOST_BYTES
        pipe.send(results if usable else None)
