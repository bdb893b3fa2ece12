"""Ctrl-C and SIGTERM at seeded moments: the documented code, one line, and a resume."""

from __future__ import annotations

import os
import random
import re
import shutil
import signal
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from soaking.commands import ROOT, Command, Content
from soaking.processes import MOST_TRIES, Finished, Running, Straight, check_resumed
from soaking.tally import OnStep, Tally

_CODES = {signal.SIGINT: 130, signal.SIGTERM: 143}
# What must never be seen by whoever stops a command.
_UNCLEAR = re.compile(r"Traceback|Exception ignored|Fatal Python error|Error:")


@dataclass(frozen=True)
class Stop:
    """A signal and its moment.

    Attributes:
        number: Ctrl-C, to all processes as a terminal sends it, or SIGTERM, to the command alone.
        after: Seconds after the script's first line.
    """

    number: signal.Signals
    after: float


def stop_and_resume(
    straight: Straight,
    count: int,
    seed: int | str,
    scratch: Path,
    on_step: OnStep = lambda done, total, what: None,
) -> Tally:
    """Stop a command at moments spread over its whole run, go on, and compare.

    Args:
        straight: The command and its undisturbed run.
        count: How many signals, Ctrl-C and SIGTERM in turn.
        seed: Seed of the moments.
        scratch: Folder to work in.
        on_step: Called after each.
    """
    command = straight.command
    rng = random.Random(f"{seed}/{command.name}/stops")
    tally = Tally("signals", command.name)
    out, log = scratch / "stopped", scratch / "stopped-log"
    for number in range(count):
        after = (number + rng.random()) / count * straight.seconds
        for _ in range(MOST_TRIES):
            shutil.rmtree(out, ignore_errors=True)
            stop = Stop(tuple(_CODES)[number % 2], after)
            where = f"seed {seed}, {stop.number.name} after {stop.after:.2f} s"
            came, done = stopped(command, stop, out, log)
            if came:
                tally.tried += 1
                is_whole = out.is_dir() and command.content(out) == straight.content
                check_stopped(tally, done, stop, command.go_on, where, is_whole)
                break
            tally.beside["came too late"] += 1
            after *= 0.7  # the machine has become faster
        check_resumed(tally, straight, out, log, where)
        on_step(number + 1, count, command.name)
    return tally


def stop_during_imports(
    count: int,
    seed: int,
    scratch: Path,
    scripts: Sequence[str] = (),
    on_step: OnStep = lambda done, total, what: None,
) -> Tally:
    """Stop every script while it imports, within the half second behind its first line.

    A signal that comes once it has said anything, as that it lacks an argument, comes too late.

    Args:
        count: How many signals for each script.
        seed: Seed of the moments.
        scratch: Folder to work in.
        scripts: Names of scripts; all of ``tools/`` and ``jpeg-preproc``, if none are given.
        on_step: Called after each.
    """
    rng = random.Random(f"{seed}/imports")
    tally = Tally("signals", "imports of every script")
    names = list(scripts) or [
        "jpeg-preproc",
        *sorted(p.stem for p in (ROOT / "tools").glob("*.py")),
    ]
    out, log = scratch / "none", scratch / "imports-log"
    for place, name in enumerate(names):
        command = _script(name)
        longest = 0.9 * _seconds_of_imports(command, out, log)
        for number in range(count):
            stop = Stop(tuple(_CODES)[(place + number) % 2], rng.uniform(0, longest))
            where = f"seed {seed}, {name}, {stop.number.name} after {stop.after:.3f} s"
            came, done = stopped(command, stop, out, log, imports_only=True)
            if not came:
                tally.beside["came too late"] += 1
                continue
            tally.tried += 1
            is_refused = done is not None and "usage: " in done.errors
            check_stopped(tally, done, stop, "", where, is_refused)
            on_step(place * count + number + 1, len(names) * count, name)
    return tally


def stopped(
    command: Command, stop: Stop, out: Path, log: Path, imports_only: bool = False
) -> tuple[bool, Finished | None]:
    """Run a command and stop it; return whether it still ran then, and how it ended.

    With ``imports_only`` it is over once it has said anything.
    """
    running = Running(command, out, log)
    running.wait_until_armed()
    running.sleep(stop.after)
    came = running.process.poll() is None and not (imports_only and running.has_said())
    if came and stop.number == signal.SIGINT:
        os.killpg(running.pid, stop.number)
    elif came:
        running.process.send_signal(stop.number)
    return came, running.wait()


def check_stopped(
    tally: Tally,
    done: Finished | None,
    stop: Stop,
    go_on: str,
    where: str,
    is_over: bool = False,
) -> None:
    """Count what is wrong with how a command has ended.

    Args:
        tally: Where faults are counted.
        done: How it ended; ``None`` if it did not.
        stop: What stopped it.
        go_on: What it is to say of how to go on; anything, if empty.
        where: By what the case comes again.
        is_over: Whether its work was done by then. In its last moments Python leaves signals to the
            system again, which ends the process without a word; shells report the same code.
    """
    if done is None:
        tally.fault("hung", where)
        return
    if done.code == -stop.number and is_over:
        return
    # Work may be done in the moment in which the signal comes.
    if done.code != _CODES[stop.number]:
        if done.code != 0:
            tally.fault("wrong", f"{where}: exit code {done.code}: {done.errors[-300:]!r}")
        return
    lines = [line for line in done.errors.splitlines() if "topped; " in line]
    if len(lines) != 1 or go_on not in lines[0]:
        tally.fault("unclear", f"{where}: {len(lines)} lines say it: {done.errors[-300:]!r}")
    elif found := _UNCLEAR.search(done.errors):
        tally.fault("unclear", f"{where}: {found.group()} in {done.errors[-600:]!r}")


def _seconds_of_imports(command: Command, out: Path, log: Path) -> float:
    """Return the seconds from a script's first line until it says something: half a one at most."""
    running = Running(command, out, log)
    running.wait_until_armed()
    begun = running.seconds()
    while running.process.poll() is None and not running.has_said():
        if running.seconds() - begun > 0.5:
            break
        running.sleep(0.001)
    seconds = running.seconds() - begun
    running.end()
    return seconds


def _script(name: str) -> Command:
    def nothing(out: Path) -> Content:
        return {}

    if name == "jpeg-preproc":
        start: tuple[str, ...] = ("-m", "jpeg_preproc", "restore", "none.jpg")
    else:
        start = (str(ROOT / "tools" / f"{name}.py"),)
    return replace(Command(name, start, nothing), out_option="")


if sys.platform != "linux":
    raise ImportError("these parts read /proc")
