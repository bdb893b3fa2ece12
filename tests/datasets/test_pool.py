"""A function over many tasks: failures, crashing workers, an early stop, a killed parent."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from itertools import count
from pathlib import Path

import pytest
from pool_functions import (
    die_twice,
    index_of_worker,
    square,
    square_or_die,
    square_or_fail,
    square_or_fail_unsendably,
)

from jpeg_preproc.datasets.pool import (
    WorkerCrashError,
    rewrite_images,
    stop_on_signals,
)
from jpeg_preproc.errors import ImageReadError


@pytest.mark.parametrize("workers,chunk", [(0, 1), (2, 1), (2, 8), (1, 100)])
def test_every_task_has_one_outcome(workers, chunk):
    outcomes = list(rewrite_images(range(50), square, workers, chunk=chunk))
    assert sorted(outcome.task for outcome in outcomes) == list(range(50))
    assert all(outcome.result == outcome.task**2 for outcome in outcomes)


@pytest.mark.parametrize("chunk", [1, 3])
def test_what_a_task_raises_is_its_outcome(chunk):
    run = rewrite_images(range(8), square_or_fail, 2, chunk=chunk)
    outcomes = {outcome.task: outcome for outcome in run}
    assert isinstance(outcomes[3].error, ImageReadError)
    assert str(outcomes[3].error) == "3.jpg is damaged."
    assert isinstance(outcomes[5].error, RuntimeError)
    assert sum(outcome.error is None for outcome in outcomes.values()) == 6


def test_an_error_that_cannot_be_sent_from_a_worker_is_told_in_words():
    outcomes = {
        outcome.task: outcome
        for outcome in rewrite_images(range(4), square_or_fail_unsendably, 1, chunk=4)
    }
    assert str(outcomes[2].error) == "UnsendableError: broken at 2"
    assert [outcomes[task].result for task in (0, 1, 3)] == [0, 1, 9]


def test_workers_are_numbered_from_nought():
    indices = {outcome.result for outcome in rewrite_images(range(8), index_of_worker, 2)}
    assert indices == {0, 1}
    assert {outcome.result for outcome in rewrite_images([0], index_of_worker, 0)} == {0}


@pytest.mark.parametrize("chunk", [1, 5])
def test_a_task_that_kills_its_worker_is_the_only_one_lost(chunk):
    outcomes = list(rewrite_images(range(30), square_or_die, 2, chunk=chunk))
    assert sorted(outcome.task for outcome in outcomes) == list(range(30))
    crashed = {outcome.task for outcome in outcomes if outcome.error is not None}
    assert crashed == {7, 19}
    assert all(isinstance(outcome.error, WorkerCrashError) for outcome in outcomes if outcome.error)


def test_a_task_whose_workers_die_of_something_else_is_not_blamed(tmp_path):
    tasks = [tmp_path / name for name in ("a", "b.fragile", "c", "d.fragile")]
    for task in tasks:
        task.mkdir()
    outcomes = list(rewrite_images(tasks, die_twice, 2))
    assert {outcome.result for outcome in outcomes} == {task.name for task in tasks}


@pytest.mark.parametrize("workers", [0, 2])
def test_stop_ends_an_endless_run_and_loses_no_outcome(workers):
    done: list[int] = []
    for outcome in rewrite_images(count(), square, workers, stop=lambda: len(done) >= 10):
        done.append(outcome.task)
    assert 10 <= len(done) <= 10 + 4 * workers
    assert len(set(done)) == len(done)


def test_tasks_are_drawn_as_they_are_needed():
    drawn = []
    outcomes = rewrite_images((drawn.append(n) or n for n in count()), square, 1)
    next(outcomes)
    outcomes.close()
    assert len(drawn) <= 8


def test_the_first_signal_asks_and_the_second_insists():
    before = signal.getsignal(signal.SIGINT)
    with stop_on_signals() as stop:
        assert not stop()
        os.kill(os.getpid(), signal.SIGINT)
        assert stop()
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(1)
    assert signal.getsignal(signal.SIGINT) is before


def test_ctrl_c_does_not_reach_what_starts_workers(tmp_path):
    script = (
        "import os, signal\n"
        "from multiprocessing import forkserver\n"
        "from pathlib import Path\n"
        "from jpeg_preproc.datasets.pool import start_worker_server\n"
        "start_worker_server()\n"
        "pid = forkserver._forkserver._forkserver_pid\n"
        "lines = Path(f'/proc/{pid}/status').read_text().splitlines()\n"
        "blocked = next(line for line in lines if line.startswith('SigBlk'))\n"
        "print(int(blocked.split()[1], 16) >> (signal.SIGINT - 1) & 1)\n"
        "print(signal.SIGINT in signal.pthread_sigmask(signal.SIG_BLOCK, ()))\n"
    )
    paths = str(Path(__file__).resolve().parents[2])
    done = subprocess.run(
        [sys.executable, "-c", script],
        env={**os.environ, "PYTHONPATH": paths},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.stdout.split() == ["1", "False"], done.stderr


def test_workers_do_not_outlive_a_killed_parent(tmp_path):
    script = (
        "import sys; from pathlib import Path\n"
        "from pool_functions import leave_pid_and_linger\n"
        "from jpeg_preproc.datasets.pool import rewrite_images\n"
        "if __name__ == '__main__':\n"
        "    list(rewrite_images([Path(sys.argv[1])] * 2, leave_pid_and_linger, 2))\n"
    )
    (tmp_path / "main.py").write_text(script)
    pids = tmp_path / "pids"
    pids.mkdir()
    here = Path(__file__).resolve()
    paths = os.pathsep.join([str(here.parent), str(here.parents[2])])
    parent = subprocess.Popen(
        [sys.executable, tmp_path / "main.py", pids], env={**os.environ, "PYTHONPATH": paths}
    )
    try:
        wait_until(lambda: len(list(pids.iterdir())) == 2)
    finally:
        parent.kill()
        parent.wait()
    wait_until(lambda: not any(is_running(int(path.name)) for path in pids.iterdir()))


def wait_until(condition) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline, "waited for a minute"
        time.sleep(0.05)


def is_running(pid: int) -> bool:
    """Tell whether a process is there and no zombie (in a container nobody may reap it)."""
    try:
        return ") Z" not in Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
