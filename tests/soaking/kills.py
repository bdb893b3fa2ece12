"""``kill -9`` at seeded moments, then the same command again, until an output is whole."""

from __future__ import annotations

import os
import random
import shutil
import signal
import time
from pathlib import Path

from soaking.processes import (
    PATIENCE,
    Running,
    Straight,
    check_resumed,
    compare,
    descendants,
    last_line,
)
from soaking.tally import OnStep, Tally

#: So many kills fall on one output, one after the other, before it is let finish.
CHAIN = 5
#: Seconds behind the beginning of work in which early kills fall.
FIRST = 0.05


def kill_and_resume(
    straight: Straight,
    count: int,
    seed: int,
    scratch: Path,
    early: bool = False,
    on_step: OnStep = lambda done, total, what: None,
) -> Tally:
    """Kill a command at random moments of its work, go on, and compare with an undisturbed run.

    Args:
        straight: The command and its undisturbed run.
        count: How many kills.
        seed: Seed of the moments.
        scratch: Folder to work in.
        early: Whether every kill falls in the first milliseconds of an output that is not there
            yet, where manifests are begun; else kills fall anywhere, on what earlier ones left.
        on_step: Called after each kill.
    """
    command = straight.command
    rng = random.Random(f"{seed}/{command.name}/{early}")
    tally = Tally("early kills" if early else "kills", command.name)
    out, log = scratch / "killed", scratch / "killed-log"
    begun = 0
    late = 0
    for number in range(count):
        if number == begun:
            shutil.rmtree(out, ignore_errors=True)
        where = f"seed {seed}, kill {number}"
        running = Running(command, out, log, resume=number > begun)
        # A resume finds its output there at once, so its moment counts from its first line.
        if number == begun:
            running.wait_until_begun()
            running.sleep(rng.uniform(0, FIRST if early else straight.working))
        else:
            running.wait_until_armed()
            running.sleep(rng.uniform(0, straight.seconds / 2))  # part of the work is done
        finished = running.process.poll()
        running.process.kill()
        done = running.wait()
        if finished is None:
            tally.tried += 1
        else:
            late += 1
            if finished != 0 and done is not None:
                kind = "refused" if finished == 2 else "wrong"
                tally.fault(kind, f"{where}: ended with {finished}: {last_line(done.errors)}")
        if early or number - begun == CHAIN - 1 or number == count - 1:
            check_resumed(tally, straight, out, log, where)
            begun = number + 1
        on_step(number + 1, count, command.name)
    tally.remark = f"{late} came too late" if late else ""
    return tally


def kill_workers(
    straight: Straight,
    count: int,
    seed: int,
    scratch: Path,
    on_step: OnStep = lambda done, total, what: None,
) -> Tally:
    """Kill one process that works for a command; the command itself is to finish as ever.

    Args:
        straight: The command and its undisturbed run.
        count: How many times.
        seed: Seed of the moments.
        scratch: Folder to work in.
        on_step: Called after each.
    """
    rng = random.Random(f"{seed}/{straight.command.name}/workers")
    tally = Tally("workers", straight.command.name)
    out, log = scratch / "orphaned", scratch / "orphaned-log"
    for number in range(count):
        shutil.rmtree(out, ignore_errors=True)
        where = f"seed {seed}, worker {number}"
        running = Running(straight.command, out, log)
        running.wait_until_begun()
        running.sleep(rng.uniform(0, straight.working / 2))
        if _kill_a_worker(running.pid):
            tally.tried += 1
        done = running.wait()
        if done is None:
            tally.fault("hung", where)
        elif done.code != 0 or "Traceback" in done.errors:
            tally.fault("wrong", f"{where}: ended with {done.code}: {last_line(done.errors)}")
        else:
            compare(tally, straight, out, where)
        on_step(number + 1, count, straight.command.name)
    return tally


def _kill_a_worker(pid: int) -> bool:
    """Kill the youngest process that another one of these has started; tell whether there was."""
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until:
        # The server that forks workers is a child; they are its children.
        ours = descendants(pid)
        workers = sorted(set(ours) - set(_children(pid)))
        if workers:
            try:
                os.kill(workers[-1], signal.SIGKILL)
            except ProcessLookupError:
                continue
            return True
        if not Path(f"/proc/{pid}").exists() or _is_zombie(pid):
            return False
        time.sleep(0.002)
    return False


def _children(pid: int) -> list[int]:
    try:
        text = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    except OSError:
        return []
    return [int(number) for number in text.split()]


def _is_zombie(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True
