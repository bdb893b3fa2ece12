"""One run in many processes: joining those that torchrun, srun or mpirun has started.

With GPUs mmengine's own start is used, which gives each process its GPU. It cannot start processes
on a machine without one; there they are joined here, through gloo. Either way mmengine's
distributed layer (``mmengine.dist``) works from then on.
"""

from __future__ import annotations

import atexit
import os
import socket
import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar, cast

from jpeg_preproc.errors import JpegPreprocError, LauncherError, ReportedElsewhereError

Value = TypeVar("Value")
Result = TypeVar("Result")

#: What may have started the processes; ``'pytorch'`` is torchrun.
LAUNCHERS = ("none", "pytorch", "slurm", "mpi")

# Where each launcher tells a process its rank, of how many, and its rank on this machine.
_RANKS = {
    "pytorch": ("RANK", "WORLD_SIZE", "LOCAL_RANK"),
    "slurm": ("SLURM_PROCID", "SLURM_NTASKS", "SLURM_LOCALID"),
    "mpi": ("OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_LOCAL_RANK"),
}
_START = {
    "pytorch": "torchrun --nproc-per-node N TOOL ... --launcher pytorch",
    "slurm": "srun --ntasks N python TOOL ... --launcher slurm",
    "mpi": "mpirun -np N python TOOL ... --launcher mpi",
}
_PORT = "29500"

# How long a process that has done its share waits for the others: torch's own half an hour is
# meant for the steps of a training.
_PATIENCE = timedelta(days=30)


@dataclass(frozen=True)
class Processes:
    """The processes that share one run.

    Attributes:
        rank: Number of this process, from 0.
        size: How many processes there are.
        local_rank: Its rank among those on its machine.
        group: Torch's process group that they exchange through; ``None`` for one process.
    """

    rank: int = 0
    size: int = 1
    local_rank: int = 0
    group: Any = None

    @property
    def is_first(self) -> bool:
        """Whether this is the process that prepares, merges, prints and writes results."""
        return self.rank == 0

    def share(self, items: Sequence[Value]) -> Sequence[Value]:
        """Return this process's part: every ``size``-th, so that all have a like mixture."""
        return self.of(self.rank, items)

    def of(self, rank: int, items: Sequence[Value]) -> Sequence[Value]:
        """Return the part that the process of a rank has of ``items``."""
        return items[rank :: self.size]

    def spread(self, function: Callable[[Value], Result], items: Sequence[Value]) -> list[Result]:
        """Return ``function`` of each item, in order, each from the one process that has it."""
        return merge(self.each(lambda: [function(item) for item in self.share(items)]))

    def each(self, function: Callable[[], Value]) -> list[Value]:
        """Return what ``function`` returns in each process, by rank; every process calls this.

        Raises:
            JpegPreprocError: What it raised in the first process where it did; in the first process
                itself, which is to tell the user, as it was, in the others as a
                :class:`~jpeg_preproc.errors.ReportedElsewhereError`.
            LauncherError: Another process has ended.
        """
        if self.size == 1:
            return [function()]
        result: tuple[Value | None, JpegPreprocError | None]
        try:
            result = (function(), None)
        except JpegPreprocError as error:
            # In a call within a call all processes have raised it already, and none waits.
            if error.is_shared:
                raise
            result = (None, error)
        values: list[Value] = []
        for value, failure in self._gather(result):
            if failure is not None:
                raised = failure if self.is_first else ReportedElsewhereError(str(failure))
                raised.is_shared = True
                raise raised
            values.append(value)
        return values

    def first(self, function: Callable[[], Value]) -> Value:
        """Return to each process what ``function`` returns in the first; errors as :meth:`each`."""
        value = self.each(lambda: function() if self.is_first else None)[0]
        return cast(Value, value)  # None is what the others gave

    def _gather(self, value: Any) -> list[Any]:
        from mmengine.dist import all_gather_object

        try:
            return list(all_gather_object(value, self.group))
        except RuntimeError as error:
            lost = LauncherError(
                f"Process {self.rank} of {self.size} has lost the others, of which one has ended; "
                "see to the cause and run again: what is done is kept."
            )
            lost.is_shared = True  # there is no one to tell
            raise lost from error

    def cores(self) -> int:
        """Return how many CPU cores are for each process, at least 1; every process calls this."""
        if hasattr(os, "sched_getaffinity"):
            allowed = sorted(os.sched_getaffinity(0))
        else:
            allowed = list(range(os.cpu_count() or 1))
        here = (socket.gethostname(), allowed)
        return max(1, len(allowed) // self.each(lambda: here).count(here))


#: A run in one process.
ALONE = Processes()


def merge(shares: Sequence[Sequence[Value]]) -> list[Value]:
    """Return what was shared out by :meth:`Processes.share` in its order.

    >>> merge([[0, 2, 4], [1, 3]])
    [0, 1, 2, 3, 4]
    """
    processes, total = len(shares), sum(map(len, shares))
    return [shares[index % processes][index // processes] for index in range(total)]


@contextmanager
def joined(launcher: str) -> Iterator[Processes]:
    """Give the processes that share this run, and part from them at the end.

    They exchange through gloo also where there are GPUs, since it is a few Python objects.

    Raises:
        LauncherError: See :func:`join_processes`; or mmengine is missing.
    """
    if launcher == "none":
        yield ALONE
        return
    try:
        from mmengine.dist import get_dist_info
    except ImportError as error:
        raise LauncherError(
            f"--launcher {launcher} needs mmengine ({error}); install it, for instance with: "
            "pip install mmengine"
        ) from error
    join_processes(launcher, backend="gloo")
    from torch import distributed

    try:
        group = distributed.new_group(timeout=_PATIENCE, backend="gloo")
        rank, size = get_dist_info()
        yield Processes(rank, size, int(os.environ["LOCAL_RANK"]), group)
    finally:
        _leave()


def join_processes(launcher: str, backend: str | None = None) -> None:
    """Make this process one of those that ``launcher`` has started; with ``'none'`` do nothing.

    Args:
        launcher: One of :data:`LAUNCHERS`.
        backend: ``'gloo'`` for it also where there are GPUs; by default NCCL there.

    Raises:
        LauncherError: It has not started this process, does not say where the first one is, or the
            processes do not find each other.
    """
    if launcher == "none":
        return
    import torch
    from torch import distributed

    if distributed.is_initialized():
        return
    names = _RANKS[launcher]
    missing = [name for name in names if name not in os.environ]
    if missing:
        raise LauncherError(
            f"--launcher {launcher}: {', '.join(missing)} is not set, so this process was not "
            f"started by it; start with: {_START[launcher]}"
        )
    rank, size, local_rank = (os.environ[name] for name in names)
    os.environ.update(
        MASTER_ADDR=_first_machine(launcher, size),
        MASTER_PORT=os.environ.get("MASTER_PORT", _PORT),
        RANK=rank,
        WORLD_SIZE=size,
        LOCAL_RANK=local_rank,
    )
    try:
        if backend != "gloo" and torch.cuda.is_available():
            from mmengine.dist import init_dist

            init_dist("pytorch", backend="nccl")
        else:
            distributed.init_process_group("gloo")
    except distributed.DistError as error:
        reason = str(error).partition("\n")[0]
        raise LauncherError(
            f"--launcher {launcher}: process {rank} of {size} did not find the others ({reason}); "
            "see that all were started, and that MASTER_ADDR and MASTER_PORT name a free port of "
            "the machine of rank 0"
        ) from error
    # A process that ends with gloo's threads still running is aborted ("terminate called").
    atexit.register(_leave)


def _leave() -> None:
    """Part from the other processes, if that was not done before."""
    from torch import distributed

    if distributed.is_initialized():
        distributed.destroy_process_group()


def _first_machine(launcher: str, size: str) -> str:
    """Return the address of the machine that the first of ``size`` processes is on."""
    if "MASTER_ADDR" in os.environ:
        return os.environ["MASTER_ADDR"]
    if launcher == "slurm" and os.environ.get("SLURM_NNODES", "1") != "1":
        command = ["scontrol", "show", "hostnames", os.environ.get("SLURM_NODELIST", "")]
        try:
            found = subprocess.run(command, capture_output=True, text=True, check=True)
            return found.stdout.split()[0]
        except (OSError, subprocess.CalledProcessError, IndexError) as error:
            raise LauncherError(
                f"--launcher slurm: {' '.join(command)} names no machine ({error}); set "
                "MASTER_ADDR to that of the first task"
            ) from error
    here = os.environ.get("OMPI_COMM_WORLD_LOCAL_SIZE", size)
    if launcher == "pytorch" or (launcher == "mpi" and here != size):
        raise LauncherError(
            f"--launcher {launcher}: MASTER_ADDR is not set; set it to the machine of rank 0"
        )
    return "127.0.0.1"
