"""The CPU's memory over images of ever new shapes: what would pile up there, and what bounds it."""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Callable, Sequence

#: Freed memory is given back after so many batches that had another shape than the one before.
CHANGES_BETWEEN = 16


def keep_fewer_primitives() -> None:
    """Let oneDNN keep 256 compiled layers on the CPU, unless its variable says another number.

    It compiles layers anew for each shape of image, 8 to 28 of the networks here, some 75 kB each,
    and by default keeps 1,024. The variable is read once in a process, when its first layer is
    computed, also that of another network.
    """
    os.environ.setdefault("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "256")


class FreedMemory:
    """Gives freed memory back to the system, where the C library is glibc.

    Between arrays of ever new sizes glibc keeps holes: over 3,000 shapes memory grew by 240 MiB,
    with this by 160. After every image it would take a third of the time of ``nano`` on top.
    """

    def __init__(self) -> None:
        self._shape: tuple[int, ...] | None = None
        self._changes = 0

    def after(self, shape: Sequence[int]) -> None:
        """Count a batch, and give back what is free if it is time to."""
        if tuple(shape) == self._shape:
            return
        self._shape = tuple(shape)
        self._changes += 1
        if self._changes % CHANGES_BETWEEN == 0 and _trim is not None:
            _trim(0)


def _glibc_trim() -> Callable[[int], int] | None:
    if sys.platform != "linux":
        return None
    return getattr(ctypes.CDLL(None), "malloc_trim", None)  # musl has none


_trim = _glibc_trim()
