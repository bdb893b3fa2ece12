"""A function over many files on all cores, that outlives a crashing worker and stops in order."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import signal
import sys
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, Future, ProcessPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from multiprocessing import forkserver, resource_tracker
from multiprocessing.context import ForkServerContext
from types import FrameType
from typing import TYPE_CHECKING, Generic, TypeAlias, TypeVar

from jpeg_preproc.errors import JpegPreprocError

if TYPE_CHECKING:
    from multiprocessing.sharedctypes import Synchronized

Task = TypeVar("Task")
Result = TypeVar("Result")
_Future: TypeAlias = "Future[list[tuple[Result | None, Exception | None]]]"

# Chunks in flight for each worker: enough that none waits for the parent, few enough that memory
# and the work lost to a kill stay small.
_CHUNKS_PER_WORKER = 4
# So many workers must have died, one after the other, while a task was alone in the pool: others
# die of what happens outside, as when the system runs out of memory.
_DEATHS = 3

_worker_index = 0


class WorkerCrashError(JpegPreprocError):
    """A worker process died while it had one certain task: out of memory, or a decoder's crash."""


@dataclass(frozen=True)
class TaskOutcome(Generic[Task, Result]):
    """A task that is over.

    Attributes:
        task: Task that was given.
        result: What the function returned; None if it raised.
        error: What it raised, or :class:`WorkerCrashError`; None if it returned.
    """

    task: Task
    result: Result | None
    error: BaseException | None = None


class StopRequest:
    """Whether a signal has asked for an end: true, when called, once one has.

    Attributes:
        number: Number of that signal; None before.
    """

    number: int | None = None

    def __call__(self) -> bool:
        """Return whether one has."""
        return self.number is not None


@contextmanager
def stop_on_signals() -> Iterator[StopRequest]:
    """Give a ``stop`` that Ctrl-C and SIGTERM make true; a second one raises KeyboardInterrupt.

    For the main thread, which is the only one that Python lets handle signals.
    """
    asked = StopRequest()

    def handle(number: int, frame: FrameType | None) -> None:
        if asked():
            raise KeyboardInterrupt
        asked.number = number

    previous = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield asked
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


def worker_index() -> int:
    """Return which worker of its pool this process is, from 0; 0 outside a pool too."""
    return _worker_index


def rewrite_images(
    tasks: Iterable[Task],
    function: Callable[[Task], Result],
    workers: int,
    stop: Callable[[], bool] = lambda: False,
    chunk: int = 1,
) -> Generator[TaskOutcome[Task, Result], None, None]:
    """Yield the outcome of ``function`` for each task, as they are ready.

    Tasks are drawn from the iterable as workers come free. If a worker dies, the tasks that were
    in flight are tried again one at a time, so that only the one that kills it is lost. Workers
    end by themselves if this process is killed. Closing the generator waits for the tasks in
    flight and starts no more.

    Args:
        tasks: Values that can be pickled.
        function: Function that workers, which are fresh processes, can import by its name; what it
            raises becomes the outcome's error.
        workers: Number of processes; 0 works in this one, where only :class:`JpegPreprocError` is
            caught.
        stop: Asked before each task; once it returns true no more are started, and those running
            still yield their outcome.
        chunk: How many tasks a worker is handed at once: more than 1 where a task takes
            milliseconds, of which handing it over would be a large share.
    """
    if workers == 0:
        yield from _rewrite_here(tasks, function, stop)
        return
    with _Pool(function, workers) as pool:
        yield from _rewrite_in_pool(iter(tasks), pool, workers * _CHUNKS_PER_WORKER, chunk, stop)


def _rewrite_here(
    tasks: Iterable[Task], function: Callable[[Task], Result], stop: Callable[[], bool]
) -> Iterator[TaskOutcome[Task, Result]]:
    for task in tasks:
        if stop():
            return
        try:
            outcome: TaskOutcome[Task, Result] = TaskOutcome(task, function(task))
        except JpegPreprocError as error:
            outcome = TaskOutcome(task, None, error)
        yield outcome


def _rewrite_in_pool(
    tasks: Iterator[Task],
    pool: _Pool[Task, Result],
    window: int,
    chunk: int,
    stop: Callable[[], bool],
) -> Iterator[TaskOutcome[Task, Result]]:
    in_flight: dict[_Future[Result], list[Task]] = {}
    # After a crash: the tasks that were in flight, and how many workers died on each alone. There
    # are some only while none is in flight.
    suspects: deque[tuple[Task, int]] = deque()
    deaths = 0
    while True:
        isolating = bool(suspects)
        if stop():
            in_flight = {future: some for future, some in in_flight.items() if not future.cancel()}
        elif isolating:
            suspect, deaths = suspects.popleft()
            in_flight[pool.submit([suspect])] = [suspect]
        else:
            while len(in_flight) < window and (some := list(islice(tasks, chunk))):
                in_flight[pool.submit(some)] = some
        if not in_flight:
            return
        done = wait(in_flight, return_when=FIRST_COMPLETED).done
        if any(future.exception() for future in done):
            done = wait(in_flight).done  # the others were ready, or have failed with it
            pool.restart()
        for future in done:
            some = in_flight.pop(future)
            error = future.exception()
            if error is None:
                for task, (result, failure) in zip(some, future.result(), strict=True):
                    yield TaskOutcome(task, result, failure)
            elif isolating:
                if isinstance(error, BrokenExecutor):
                    if deaths + 1 < _DEATHS:
                        suspects.appendleft((some[0], deaths + 1))
                        continue
                    error = WorkerCrashError(f"The worker process died: {error}")
                yield TaskOutcome(some[0], None, error)
            else:
                suspects.extend((task, 0) for task in some)


def outcomes_of(
    function: Callable[[Task], Result], tasks: Iterable[Task]
) -> list[tuple[Result | None, Exception | None]]:
    """Return for each task, in a worker, what ``function`` returned or raised; it can be sent."""
    results: list[tuple[Result | None, Exception | None]] = []
    for task in tasks:
        try:
            results.append((function(task), None))
        except Exception as error:  # noqa: BLE001 - it becomes the task's outcome
            results.append((None, _portable(error)))
    return results


def _portable(error: Exception) -> Exception:
    """Return ``error``, or its text if it could not be sent to another process."""
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:  # noqa: BLE001 - an exception class may raise anything here
        return RuntimeError(f"{type(error).__name__}: {error}")
    return error


def start_worker_server() -> None:
    """Begin to start what forks workers, and return at once.

    It takes some tenths of a second to import what its workers need. Called ahead of
    :func:`rewrite_images`, and once all is imported that the tasks take, it does that meanwhile.
    """
    _context()
    _start_server()


def _start_server() -> None:
    """Start what forks workers, deaf to Ctrl-C: as it starts it would end, and the run with it.

    A signal mask, unlike a handler, is handed on to the programs that a process starts.
    """
    resource_tracker.ensure_running()  # of its own, which would lift the mask again
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        forkserver.ensure_running()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _context(*modules: str) -> ForkServerContext:
    """Return the way to start workers; the first call decides what they have imported."""
    # Not fork: torch has threads by now. The server imports these modules once, and the
    # workers that it forks share that memory. It lasts as long as this process, so that it
    # is given what a later pool is going to need too, and what the script imports, which
    # each worker runs again.
    ours = {name for name in sys.modules if name.startswith("jpeg_preproc.")}
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(sorted({*ours, __name__, *modules} - {"__main__"}))
    return context


class _Pool(Generic[Task, Result]):
    """A process pool for one function that can be begun anew."""

    def __init__(self, function: Callable[[Task], Result], workers: int) -> None:
        self._function = function
        self._workers = workers
        self._context = _context(function.__module__)
        self._executor = self._start()

    def __enter__(self) -> _Pool[Task, Result]:
        return self

    def __exit__(self, *_: object) -> None:
        self._executor.shutdown(wait=True, cancel_futures=True)

    def submit(self, tasks: list[Task]) -> _Future[Result]:
        try:
            return self._executor.submit(outcomes_of, self._function, tasks)
        except BrokenExecutor:  # a worker died between two tasks: nobody's fault here
            self.restart()
            return self._executor.submit(outcomes_of, self._function, tasks)

    def restart(self) -> None:
        self._executor.shutdown(wait=True, cancel_futures=True)
        self._executor = self._start()

    def _start(self) -> ProcessPoolExecutor:
        _start_server()
        return ProcessPoolExecutor(
            self._workers,
            self._context,
            initializer=_begin_worker,
            initargs=(self._context.Value("i", 0),),
        )


def _begin_worker(begun: Synchronized[int]) -> None:
    """Leave Ctrl-C to the parent, and end when the parent does, even if it was killed.

    Args:
        begun: How many of the pool's workers began before this one.
    """
    global _worker_index
    with begun.get_lock():
        _worker_index = begun.value
        begun.value += 1
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
