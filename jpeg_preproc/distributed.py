"""One run in many processes: joining those that torchrun, srun or mpirun has started.

With GPUs mmengine's own start is used, which gives each process its GPU. It cannot start processes
on a machine without one; there they are joined here, through gloo. Either way mmengine's
distributed layer (``mmengine.dist``) works from then on.
"""

from __future__ import annotations

import atexit
import os
import subprocess

from jpeg_preproc.errors import LauncherError

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


def join_processes(launcher: str) -> None:
    """Make this process one of those that ``launcher`` has started; with ``'none'`` do nothing.

    Args:
        launcher: One of :data:`LAUNCHERS`.

    Raises:
        LauncherError: It has not started this process, or does not say where the first one is.
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
    if torch.cuda.is_available():
        from mmengine.dist import init_dist

        init_dist("pytorch", backend="nccl")
    else:
        distributed.init_process_group("gloo")
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
