"""How long each stage of a run takes: decoding, compressing, restoring, the model, its metric."""

from __future__ import annotations

import copy
import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch.utils.data import get_worker_info

#: In the order of an image's way. ``prepare`` builds the model, its data set and its metric;
#: ``check`` looks for images that cannot be used; ``model`` goes from uint8 pixels to its results,
#: its own resizing included.
STAGES = ("prepare", "check", "decode", "compress", "restore", "model", "metric")

#: Wall-clock and CPU seconds of each stage, ``(wall, cpu)``.
Seconds = dict[str, tuple[float, float]]

Rows = list[dict[str, Any]]


class StageClock:
    """Adds up the time that this process, and the workers of its data loaders, spend in stages.

    A stage within a stage is not counted twice: the outer one stands still meanwhile. CPU time is
    of all threads of a process.

    Args:
        workers: Most processes that a data loader starts; each gets this clock by being started.
        device: A CUDA device is waited for when a stage ends, so that its work counts there.
    """

    def __init__(self, workers: int = 0, device: str = "cpu") -> None:
        # A row for each process: no two write to the same numbers.
        self._seconds = torch.zeros(1 + workers, len(STAGES), 2, dtype=torch.float64)
        if workers:
            self._seconds.share_memory_()
        self._device = torch.device(device)
        self._open: list[int] = []
        self._since = (0.0, 0.0)

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Count what happens in the block as a stage; ``name`` is one of :data:`STAGES`."""
        self._count()
        self._open.append(STAGES.index(name))
        try:
            yield
        finally:
            if self._device.type == "cuda" and get_worker_info() is None:
                torch.cuda.synchronize(self._device)
            self._count()
            self._open.pop()

    def _count(self) -> None:
        """Give the time since the last call to the innermost stage."""
        now = (time.perf_counter(), time.process_time())
        if self._open:
            worker = get_worker_info()
            row = self._seconds[0 if worker is None else 1 + worker.id, self._open[-1]]
            for index in (0, 1):
                row[index] += now[index] - self._since[index]
        self._since = now

    def timed(self, name: str, function: Callable[[Any], Any]) -> Timed:
        """Return a transform that does what ``function`` does, and counts as a stage."""
        return Timed(self, name, function)

    def seconds(self) -> Seconds:
        """Return the seconds of each stage so far, of all processes together."""
        total = self._seconds.sum(0).tolist()
        return {name: (wall, cpu) for name, (wall, cpu) in zip(STAGES, total, strict=True) if wall}

    def reset(self) -> None:
        """Begin anew from zero."""
        self._seconds.zero_()


class Timed:
    """A function of one argument that a :class:`StageClock` times; can be pickled if that can."""

    def __init__(self, clock: StageClock, name: str, function: Callable[[Any], Any]) -> None:
        self.clock, self.name, self.function = clock, name, function

    def __call__(self, value: Any) -> Any:
        """Return what the function returns."""
        with self.clock.stage(self.name):
            return self.function(value)


def time_alone(
    way: Sequence[tuple[str, Callable[[Any], Any]]], items: Sequence[Any], clock: StageClock
) -> None:
    """Do one step for all items, then the next: how long each takes with nothing else between.

    Args:
        way: Stage and function of each step, which gets what the one before has returned.
        items: What the first step gets; all are held in memory.
        clock: Clock that takes the times; a first call of each step, to warm up, is not counted.
    """
    for name, function in way:
        function(copy.deepcopy(items[0]))
        with clock.stage(name):
            items = [function(item) for item in items]


def add_seconds(parts: Iterable[Mapping[str, Iterable[float]]]) -> Seconds:
    """Return the sums of several measurements, in the order of the stages.

    >>> add_seconds([{"model": (2.0, 1.0)}, {"model": (3.0, 1.5), "decode": (1.0, 1.0)}])
    {'decode': (1.0, 1.0), 'model': (5.0, 2.5)}
    """
    total: dict[str, tuple[float, float]] = {}
    for part in parts:
        for name, (wall, cpu) in part.items():
            before = total.get(name, (0.0, 0.0))
            total[name] = (before[0] + wall, before[1] + cpu)
    return {name: total[name] for name in STAGES if name in total}


class Stopwatch:
    """A watch, started as it is made, of this process's seconds and those of its ended workers."""

    def __init__(self) -> None:
        self.started = time.time()
        self._since = self._now()

    def seconds(self) -> tuple[float, float]:
        """Return the wall-clock and CPU seconds, ``(wall, cpu)``, since the watch was started."""
        wall, cpu = self._now()
        return wall - self._since[0], cpu - self._since[1]

    @staticmethod
    def _now() -> tuple[float, float]:
        return time.perf_counter(), sum(os.times()[:4])


def breakdown(stages: Mapping[str, tuple[float, float]], total: tuple[float, float]) -> Rows:
    """Return a row for each stage, one for the rest, and one for the whole run.

    Args:
        stages: Seconds of each stage, of all processes together.
        total: Seconds of the whole run, of all processes together. The rest is what no stage
            accounts for: imports, progress, waiting for other processes. Data loader workers run
            beside it, so that it can be negative.

    >>> for row in breakdown({"model": (3.0, 2.0)}, (4.0, 2.0)):
    ...     print(*row.values())
    model 3.0 0.75 2.0 1.0
    rest 1.0 0.25 0.0 0.0
    total 4.0 1.0 2.0 1.0
    """
    wall, cpu = (total[index] - sum(spent[index] for spent in stages.values()) for index in (0, 1))
    return [
        {
            "stage": name,
            "wall_s": round(spent[0], 3),
            "wall_share": round(spent[0] / total[0], 4) if total[0] else 0.0,
            "cpu_s": round(spent[1], 3),
            "cpu_share": round(spent[1] / total[1], 4) if total[1] else 0.0,
        }
        for name, spent in {**stages, "rest": (wall, cpu), "total": total}.items()
    ]
