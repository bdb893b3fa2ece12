"""Processes as torchrun, srun and mpirun start them find each other."""

from __future__ import annotations

import json
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
# Forks the processes of every launcher, since importing torch takes longer than all they do.
SCRIPT = """
import json, os, sys
import mmengine.dist
from jpeg_preproc.distributed import join_processes

processes = json.load(sys.stdin)
for launcher, rank, environment, log in processes:
    if os.fork() == 0:
        output = os.open(log, os.O_WRONLY | os.O_CREAT)
        os.dup2(output, 1)
        os.dup2(output, 2)
        os.environ.update(environment)
        join_processes(launcher)
        from mmengine.dist import all_gather_object, get_rank, get_world_size
        print(get_rank(), get_world_size(), all_gather_object(f"of {get_rank()}"), flush=True)
        os._exit(0)
for _ in processes:
    os.wait()
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


@pytest.fixture(scope="module")
def said(tmp_path_factory):
    """What two processes of each launcher print: folder of a file ``LAUNCHER RANK`` for each."""
    folder = tmp_path_factory.mktemp("said")
    processes = []
    for launcher, variables in VARIABLES.items():
        with socket.socket() as free:
            free.bind(("", 0))
            port = {"MASTER_PORT": str(free.getsockname()[1])}
        for rank in range(2):
            own = {name: value.format(rank) for name, value in variables.items()}
            log = str(folder / f"{launcher} {rank}")
            processes.append((launcher, rank, {**port, **own}, log))
    subprocess.run(
        [sys.executable, "-c", SCRIPT],
        input=json.dumps(processes),
        env=plain_environment(),
        text=True,
        timeout=240,
        check=True,
    )
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("launcher", VARIABLES)
def test_two_processes_find_each_other(launcher, said):
    for rank in range(2):
        printed = (said / f"{launcher} {rank}").read_text()
        assert printed.splitlines()[-1] == f"{rank} 2 ['of 0', 'of 1']", printed


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
