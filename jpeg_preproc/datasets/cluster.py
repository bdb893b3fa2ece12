"""A function over many files on a Ray cluster, which outlives the loss of its workers.

The same promises as :func:`~jpeg_preproc.datasets.pool.rewrite_images`, on machines that share a
file system and have this package. A task whose worker is lost is run again elsewhere; it writes
the same file again, whole, and its outcome is told once.
"""

from __future__ import annotations

import logging
import os
import pickle
import warnings
from collections.abc import Callable, Generator, Iterable
from typing import Any, TypeVar

import numpy as np

from jpeg_preproc.datasets.pool import TaskOutcome, WorkerCrashError, outcomes_of
from jpeg_preproc.errors import LauncherError

Task = TypeVar("Task")
Result = TypeVar("Result")

# Of a chunk, then of each task that was in it. Workers are lost for other reasons too, as when a
# machine goes.
_TRIES = 2


def join_cluster() -> Any:
    """Connect to the Ray cluster that there is, and return Ray's module.

    It is that of ``RAY_ADDRESS``, or the one started on this machine with ``ray start``.

    Raises:
        LauncherError: Ray is not installed, or there is no cluster.
    """
    try:
        import ray
        import ray.data
    except ImportError as error:
        raise LauncherError(
            f"--executor ray needs Ray Data ({error}); install it with: "
            "pip install 'jpeg_preproc[scale]'"
        ) from error
    # Its progress and its traces of what is tried again would tear our own progress bar.
    logging.getLogger("ray.data").setLevel(logging.CRITICAL)
    if not ray.is_initialized():
        address = os.environ.get("RAY_ADDRESS", "auto")
        try:
            ray.init(address=address, logging_level=logging.ERROR, log_to_driver=False)
        except (ConnectionError, RuntimeError, ValueError) as error:
            raise LauncherError(
                f"--executor ray finds no cluster at {address} ({_last_line(error)}); start one by "
                "`ray start --head`, or set RAY_ADDRESS to HOST:PORT of the one that there is."
            ) from error
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    context.print_on_execution_start = False
    context.max_errored_blocks = -1  # what is lost with its worker is tried again alone
    _check_a_worker(ray)
    return ray


def _check_a_worker(ray: Any) -> None:
    """Raise :class:`LauncherError` if the cluster's workers have not this package."""
    # By value: a function of this package would be looked for there before it can say anything.
    look = ray.remote(lambda: __import__("jpeg_preproc.datasets.cluster") and None)
    try:
        ray.get(look.remote())
    except ray.exceptions.RayError as error:
        raise LauncherError(
            f"A worker of the Ray cluster cannot import jpeg_preproc ({_last_line(error)}); "
            "install the same version of it on every machine of the cluster."
        ) from error


def rewrite_on_cluster(
    tasks: Iterable[Task],
    function: Callable[[Task], Result],
    stop: Callable[[], bool] = lambda: False,
    chunk: int = 1,
    workers: int | None = None,
    gpus: float = 0,
) -> Generator[TaskOutcome[Task, Result], None, None]:
    """Yield the outcome of ``function`` for each task, as they are ready.

    Args:
        tasks: Values that can be pickled.
        function: Function that can be pickled; what it raises becomes the outcome's error. A task
            that kills each worker it is given to has a
            :class:`~jpeg_preproc.datasets.pool.WorkerCrashError`.
        stop: Asked after each chunk; once it returns true the rest is given up.
        chunk: How many tasks a worker is handed at once.
        workers: How many workers there are at most; None for as many as the cluster has cores or
            GPUs.
        gpus: How many of the cluster's GPUs each worker is given.

    Raises:
        LauncherError: See :func:`join_cluster`; or the cluster is lost on the way.
    """
    ray = join_cluster()
    left = dict(enumerate(tasks))
    compute = ray.data.TaskPoolStrategy(workers)
    for size in (chunk, 1):
        for index, (result, error) in _run(ray, left, function, size, compute, gpus):
            yield TaskOutcome(left.pop(index), result, error)
            if stop():
                return
        if not left:
            return
    for task in left.values():
        yield TaskOutcome(task, None, WorkerCrashError("The worker process died, again and again."))


def _run(
    ray: Any,
    tasks: dict[int, Task],
    function: Callable[[Task], Result],
    chunk: int,
    compute: Any,
    gpus: float,
) -> Generator[tuple[int, tuple[Result | None, Exception | None]], None, None]:
    """Yield number, result and error of each task whose worker lived."""
    rows = [
        {"index": index, "task": pickle.dumps(task), "function": pickle.dumps(function)}
        for index, task in tasks.items()
    ]
    data = ray.data.from_items(rows, override_num_blocks=-(-len(rows) // chunk))
    with warnings.catch_warnings():
        # Going away in Ray 2.64 (see setup.cfg); retries are endless without, and there is no
        # other way to say so.
        warnings.filterwarnings("ignore", ".*ray_remote_args")
        data = data.map_batches(
            _work,
            batch_size=chunk,
            compute=compute,
            num_cpus=1,
            num_gpus=gpus,
            max_retries=_TRIES - 1,
        )
    seen: set[int] = set()
    try:
        for row in data.iter_rows():
            if row["index"] not in seen:
                seen.add(row["index"])
                yield row["index"], pickle.loads(row["outcome"])
    except ray.exceptions.RayError as error:
        raise LauncherError(
            f"The Ray cluster is lost ({_last_line(error)}); see to it and run again: what is done "
            "is kept."
        ) from error


def _work(batch: dict[str, np.ndarray]) -> dict[str, Any]:
    """Return the outcomes of a batch of tasks, in a worker."""
    # Unpickled within, so that what a worker lacks is told and not taken for its death.
    outcomes = outcomes_of(_call, zip(batch["function"], batch["task"], strict=True))
    return {"index": batch["index"], "outcome": [pickle.dumps(outcome) for outcome in outcomes]}


def _call(pickled: tuple[bytes, bytes]) -> Any:
    function, task = map(pickle.loads, pickled)
    return function(task)


def _last_line(error: Exception) -> str:
    """Return what an error says in the end, below the traces that Ray puts above it."""
    return f"{type(error).__name__}: {error}".strip().splitlines()[-1]
