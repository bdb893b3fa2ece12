"""Damaged files through every way in, in a process of their own that may hang or die."""

from __future__ import annotations

import multiprocessing
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

from soaking.calls import BEHIND_LOADER, Call, calls, emptied, loader_deaths
from soaking.mutations import Sample, mutated
from soaking.tally import OnStep, Tally

#: Seconds of one call, of this process's processor time: others may keep the cores busy.
MOST_SECONDS = 2.0
#: MiB that one call may take beyond what was taken before.
MOST_MEBIBYTES = 200
#: Seconds of a process's own time without an answer after which it counts as hung, and of
#: everybody's, where it does not compute at all.
PATIENCE, PATIENCE_IDLE = 60.0, 900.0


@dataclass(frozen=True)
class Outcome:
    """What one call did with one file.

    Attributes:
        call: Name of the call.
        wrong: What it raised that it should not; ``''`` where nothing.
        seconds: Processor time.
        mebibytes: Memory at its peak, beyond what was taken before.
    """

    call: str
    wrong: str
    seconds: float
    mebibytes: float


def try_sample(sample: Sample, folder: Path, ways: Sequence[Call]) -> list[Outcome]:
    """Return what every call did with one file, of those that it can reach.

    Args:
        sample: The file.
        folder: Folder that is emptied and used.
        ways: The calls.
    """
    outcomes = []
    for way in ways:
        work = way.prepare(sample, emptied(folder))
        if work is None:
            continue
        before = _reset_peak()
        started = time.process_time()
        wrong = ""
        try:
            work()
        except way.allowed as error:
            if not str(error) or "\n" in str(error):
                wrong = f"not one line: {error!r}"
        except BaseException as error:  # noqa: BLE001 - it is what is looked for
            wrong = f"{type(error).__name__}: {error}"
        seconds = time.process_time() - started
        outcomes.append(Outcome(way.name, wrong, seconds, _peak() - before))
    return outcomes


def try_many(
    count: int,
    seed: int,
    scratch: Path,
    on_step: OnStep = lambda done, total, what: None,
    first: int = 0,
) -> list[Tally]:
    """Put damaged files through every call and return one line for each.

    Args:
        count: How many files.
        seed: Seed of the series; see :func:`~soaking.mutations.mutated`.
        scratch: Folder to work in. Files on which anything went wrong are kept in its ``faults``.
        on_step: Called after each file.
        first: Place of the first one in the series.
    """
    tallies = {way.name: Tally("inputs", way.name) for way in calls()}
    worker = _Worker(seed, scratch)
    deaths = 0
    for number in range(first, first + count):
        outcomes = worker.outcomes(number)
        if isinstance(outcomes, str):
            reached = Tally("inputs", "the process itself")
            tally = tallies.setdefault("the process itself", reached)
            tally.tried += 1
            tally.fault(outcomes, f"seed {seed}, number {number}")
            _keep(seed, number, scratch)
            deaths += worker.loader_deaths
            worker = _Worker(seed, scratch)
            continue
        for outcome in outcomes:
            tally = tallies[outcome.call]
            tally.tried += 1
            where = f"seed {seed}, number {number}"
            if outcome.wrong:
                tally.fault("wrong", f"{where}: {outcome.wrong}")
            if outcome.seconds > MOST_SECONDS:
                tally.fault("slow", f"{where}: {outcome.seconds:.1f} s")
            if outcome.mebibytes > MOST_MEBIBYTES:
                tally.fault("memory", f"{where}: {outcome.mebibytes:.0f} MiB")
            tally.measure("s", outcome.seconds)
            tally.measure("MiB", max(outcome.mebibytes, 0.0))
        if any(
            one.wrong or one.seconds > MOST_SECONDS or one.mebibytes > MOST_MEBIBYTES
            for one in outcomes
        ):
            _keep(seed, number, scratch)
        on_step(number - first + 1, count, "")
    worker.end()
    deaths += worker.loader_deaths
    if deaths:
        tallies[BEHIND_LOADER].beside["killed OpenCV before they came to us"] = deaths
    return list(tallies.values())


class _Worker:
    """A process that is given numbers and answers with outcomes."""

    def __init__(self, seed: int, scratch: Path) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipe, other = context.Pipe()
        self._process = context.Process(target=_work, args=(other, seed, scratch), daemon=False)
        self._process.start()
        other.close()
        self.loader_deaths = 0

    def outcomes(self, number: int) -> list[Outcome] | str:
        """Return what came of one file; ``'hung'`` or ``'crashed'`` if nothing did."""
        try:
            self._pipe.send(number)
            if self._answers():
                found: list[Outcome]
                found, self.loader_deaths = self._pipe.recv()
                return found
        except (EOFError, OSError):
            self.end()
            return "crashed"
        self.end()
        return "hung"

    def _answers(self) -> bool:
        """Wait for an answer as long as one may come."""
        begun, used = time.monotonic(), self._used()
        while not self._pipe.poll(1):
            if self._used() - used > PATIENCE or time.monotonic() - begun > PATIENCE_IDLE:
                return False
        return True

    def _used(self) -> float:
        """Return the seconds that the process has computed."""
        try:
            fields = Path(f"/proc/{self._process.pid}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            return 0.0
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def end(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.join()


def _work(pipe: Connection, seed: int, scratch: Path) -> None:
    import torch

    torch.set_num_threads(1)
    # Decoders in C say there what the errors say anyhow.
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
    ways = calls()
    while True:
        number: int = pipe.recv()
        found = try_sample(mutated(seed, number), scratch / "work", ways)
        pipe.send((found, loader_deaths()))


def _keep(seed: int, number: int, scratch: Path) -> None:
    sample = mutated(seed, number)
    (scratch / "faults").mkdir(parents=True, exist_ok=True)
    (scratch / "faults" / f"{seed}-{sample.name}").write_bytes(sample.data)


def _reset_peak() -> float:
    """Begin a new peak of this process's memory; return MiB now."""
    Path("/proc/self/clear_refs").write_text("5")
    return resident_mebibytes()


def resident_mebibytes() -> float:
    """Return the MiB that this process has in memory."""
    return _status("VmRSS")


def _peak() -> float:
    return _status("VmHWM")


def _status(name: str) -> float:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) / 1024
    raise KeyError(name)
