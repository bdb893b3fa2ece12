"""``kill -9`` at seeded moments, then the same command again, until an output is whole."""

from __future__ import annotations

import os
import random
import shutil
import signal
import time
from pathlib import Path

from soaking.processes import (
    MOST_TRIES,
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
    seed: int | str,
    scratch: Path,
    on_step: OnStep = lambda done, total, what: None,
    early: bool = False,
) -> Tally:
    """Kill a command at random moments of its work, go on, and compare with an undisturbed run.

    Args:
        straight: The command and its undisturbed run.
        count: How many kills that come before the command's end.
        seed: Seed of the moments.
        scratch: Folder to work in.
        on_step: Called after each kill.
        early: Whether every kill falls in the first milliseconds of an output that is not there
            yet, where manifests are begun; else kills fall anywhere, on what earlier ones left.
    """
    command = straight.command
    rng = random.Random(f"{seed}/{command.name}/{early}")
    tally = Tally("early kills" if early else "kills", command.name)
    out, log = scratch / "killed", scratch / "killed-log"
    chain = 0  # kills of this output so far
    share = 1.0  # of an undisturbed run's time, in which kills fall
    for number in range(MOST_TRIES * count):
        if chain == 0:
            shutil.rmtree(out, ignore_errors=True)
        where = f"seed {seed}, kill {number}"
        running = Running(command, out, log, resume=chain > 0)
        # A resume finds its output there at once, so its moment counts from its first line.
        if chain == 0:
            running.wait_until_begun()
            running.sleep(rng.uniform(0, FIRST if early else share * straight.working))
        else:
            running.wait_until_armed()
            running.sleep(rng.uniform(0, share * straight.seconds / 2))  # part of it is done
        finished = running.process.poll()
        running.process.kill()
        done = running.wait()
        chain += 1
        if finished is None:
            tally.tried += 1
        else:
            tally.beside["came too late"] += 1
            share *= 0.7  # the machine has become faster
            if finished != 0 and done is not None:
                kind = "refused" if finished == 2 else "wrong"
                tally.fault(kind, f"{where}: ended with {finished}: {last_line(done.errors)}")
        is_last = tally.tried == count or number == MOST_TRIES * count - 1
        if early or finished is not None or chain == CHAIN or is_last:
            check_resumed(tally, straight, out, log, where)
            chain = 0
        on_step(tally.tried, count, command.name)
        if is_last:
            break
    return tally


def kill_workers(
    straight: Straight,
    count: int,
    seed: int | str,
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
