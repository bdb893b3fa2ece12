"""Processes as torchrun, srun and mpirun start them find each other."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from jpeg_preproc.distributed import join_processes
from jpeg_preproc.errors import LauncherError

pytest.importorskip("mmengine", reason="needs mmengine")

REPOSITORY = Path(__file__).resolve().parents[1]
SCRIPT = """
import sys
from jpeg_preproc.distributed import join_processes
join_processes(sys.argv[1])
from mmengine.dist import all_gather_object, get_rank, get_world_size
print(get_rank(), get_world_size(), all_gather_object(f"of {get_rank()}"))
"""
# As each launcher's documentation has them, for two processes on one machine.
VARIABLES = {
    "pytorch": {"RANK": "{}", "WORLD_SIZE": "2", "LOCAL_RANK": "{}", "MASTER_ADDR": "localhost"},
    "slurm": {
        "SLURM_PROCID": "{}",
        "SLURM_NTASKS": "2",
        "SLURM_LOCALID": "{}",
        "SLURM_NNODES": "1",
        "SLURM_NODELIST": "here",
    },
    "mpi": {
        "OMPI_COMM_WORLD_RANK": "{}",
        "OMPI_COMM_WORLD_SIZE": "2",
        "OMPI_COMM_WORLD_LOCAL_RANK": "{}",
        "OMPI_COMM_WORLD_LOCAL_SIZE": "2",
    },
}


def plain_environment() -> dict[str, str]:
    launched = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_")
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith((*launched, "SLURM", "OMPI"))
    }
    return {**kept, "PYTHONPATH": str(REPOSITORY), "OMP_NUM_THREADS": "1"}


@pytest.mark.slow
@pytest.mark.parametrize("launcher", VARIABLES)
def test_two_processes_find_each_other(launcher):
    with socket.socket() as free:
        free.bind(("", 0))
        port = str(free.getsockname()[1])
    started = [
        subprocess.Popen(
            [sys.executable, "-c", SCRIPT, launcher],
            env={
                **plain_environment(),
                "MASTER_PORT": port,
                **{name: value.format(rank) for name, value in VARIABLES[launcher].items()},
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(2)
    ]
    for rank, process in enumerate(started):
        printed, complaints = process.communicate(timeout=120)
        assert process.returncode == 0, complaints
        assert printed.splitlines()[-1] == f"{rank} 2 ['of 0', 'of 1']"


@pytest.mark.parametrize("launcher", VARIABLES)
def test_a_process_that_it_did_not_start(launcher, monkeypatch):
    for name in {*os.environ} - {*plain_environment()}:
        monkeypatch.delenv(name)
    with pytest.raises(LauncherError, match=f"--launcher {launcher}: .*not set.*start with"):
        join_processes(launcher)


@pytest.mark.parametrize(
    "launcher,changed",
    [
        ("pytorch", {"MASTER_ADDR": None}),
        ("mpi", {"OMPI_COMM_WORLD_LOCAL_SIZE": "1"}),
        ("slurm", {"SLURM_NNODES": "2", "PATH": ""}),  # there is no scontrol to ask
    ],
)
def test_the_first_machine_is_not_known(launcher, changed, monkeypatch):
    for name in {*os.environ} - {*plain_environment()}:
        monkeypatch.delenv(name)
    for name, value in {**VARIABLES[launcher], **changed}.items():
        if value is None:
            monkeypatch.delenv(name, raising=False)
        else:
            monkeypatch.setenv(name, value.format(0))
    with pytest.raises(LauncherError, match="MASTER_ADDR"):
        join_processes(launcher)


def test_none_is_alone():
    join_processes("none")
