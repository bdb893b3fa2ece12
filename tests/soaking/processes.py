"""Commands as processes: started, waited for, killed, and compared with undisturbed ones."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from soaking.commands import Command, Content, environment
from soaking.tally import Tally
from soaking.zygote import ForkedProcess

#: Seconds after which a command counts as hung.
PATIENCE = 900.0
#: So many tries are made for each kill and signal that is asked for, since some come too late.
MOST_TRIES = 3


@dataclass(frozen=True)
class Finished:
    """A command that has ended.

    Attributes:
        code: Exit code; the negative number of a signal that it did not handle.
        output: What it printed.
        errors: What it printed on standard error.
        seconds: How long it took.
        begun_after: Seconds until its work began; ``None`` where nobody looked or it never did.
    """

    code: int
    output: str
    errors: str
    seconds: float
    begun_after: float | None = None


class Running:
    """A command that runs in a session of its own.

    Args:
        command: What to run.
        out: Where it writes.
        resume: Whether it goes on from another run.
        log: File that its two outputs are kept beside, with ``.out`` and ``.err`` added.
    """

    def __init__(self, command: Command, out: Path, log: Path, resume: bool = False) -> None:
        self.command, self.out, self._log = command, out, log
        log.parent.mkdir(parents=True, exist_ok=True)
        self._started = time.monotonic()
        line, outputs = command.line(out, resume), (Path(f"{log}.out"), Path(f"{log}.err"))
        self.process: subprocess.Popen[bytes] | ForkedProcess
        if command.zygote is not None:
            self.process = command.zygote.start(
                line[1 + command.script[1] :], command.go_on, *outputs
            )
            return
        with outputs[0].open("wb") as output, outputs[1].open("wb") as errors:
            self.process = subprocess.Popen(
                line,
                env=environment(),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=errors,
                start_new_session=True,
                # A run in the background is deaf to Ctrl-C, and hands that on.
                preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
            )

    @property
    def pid(self) -> int:
        """Number of the process."""
        return self.process.pid

    def seconds(self) -> float:
        """Return how long it has been running."""
        return time.monotonic() - self._started

    def wait_until_begun(self) -> bool:
        """Wait until work has begun, or the command has ended; tell whether it has not."""
        sign = self.out / self.command.begun
        while not sign.exists():
            if self.process.poll() is not None:
                return False
            if self.seconds() > PATIENCE:
                return False
            time.sleep(0.001)
        return self.process.poll() is None

    def wait_until_armed(self) -> bool:
        """Wait until it handles SIGTERM, or has ended; tell whether it still runs."""
        while self.process.poll() is None and self.seconds() < PATIENCE:
            if is_armed(self.pid):
                return True
            time.sleep(0.001)
        return False

    def sleep(self, seconds: float) -> None:
        """Wait so long, or until it has ended."""
        until = time.monotonic() + seconds
        while time.monotonic() < until and self.process.poll() is None:
            time.sleep(min(0.001, max(0.0, until - time.monotonic())))

    def has_said(self) -> bool:
        """Tell whether it has printed anything on standard error."""
        return Path(f"{self._log}.err").stat().st_size > 0

    def wait(self) -> Finished | None:
        """Wait for its end; ``None`` if it hangs, and is killed."""
        try:
            code = self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self.end()
            return None
        seconds = self.seconds()
        texts = [Path(f"{self._log}.{kind}").read_text(errors="replace") for kind in ("out", "err")]
        return Finished(code, texts[0], texts[1], seconds)

    def end(self) -> None:
        """Kill it and all that it started."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        self.process.wait()


def is_armed(pid: int) -> bool:
    """Tell whether a process handles SIGTERM."""
    try:
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("SigCgt:"):
                return bool(int(line.split()[1], 16) >> (signal.SIGTERM - 1) & 1)
    except OSError:
        pass
    return False


def descendants(pid: int) -> list[int]:
    """Return the numbers of all processes that a process has started, children before theirs."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            except (OSError, IndexError):
                continue
            children.setdefault(parent, []).append(int(entry.name))
    found, waiting = [], [pid]
    while waiting:
        own = children.get(waiting.pop(0), [])
        found += own
        waiting += own
    return found


@dataclass(frozen=True)
class Straight:
    """What an undisturbed run made.

    Attributes:
        command: The command.
        content: What it left.
        seconds: How long it took.
        working: How long of that it worked.
    """

    command: Command
    content: Content
    seconds: float
    working: float


def straight_run(command: Command, scratch: Path) -> Straight:
    """Run a command undisturbed.

    Raises:
        RuntimeError: It fails.
    """
    out = scratch / "straight"
    shutil.rmtree(out, ignore_errors=True)
    running = Running(command, out, scratch / "straight-log")
    running.wait_until_begun()
    before = running.seconds()
    done = running.wait()
    if done is None or done.code != 0:
        said = "it hangs" if done is None else done.errors[-2000:]
        raise RuntimeError(f"{command.name} fails where nothing disturbs it: {said}")
    return Straight(command, command.content(out), done.seconds, done.seconds - before)


def check_resumed(tally: Tally, straight: Straight, out: Path, log: Path, where: str) -> None:
    """Go on with a command, and count what is then not as in an undisturbed run.

    Args:
        tally: Where faults are counted.
        straight: The undisturbed run.
        out: What the disturbed ones have left.
        log: Where outputs are kept.
        where: By what the case comes again.
    """
    done = Running(straight.command, out, log, resume=True).wait()
    if done is None:
        tally.fault("hung", f"{where}: the resume")
        return
    if done.code != 0:
        kind = "refused" if done.code == 2 and "Traceback" not in done.errors else "wrong"
        tally.fault(kind, f"{where}: the resume ends with {done.code}: {last_line(done.errors)}")
        return
    compare(tally, straight, out, where)


def compare(tally: Tally, straight: Straight, out: Path, where: str) -> None:
    """Count what an output lacks of an undisturbed run's, and what it has beyond it."""
    found = straight.command.content(out)
    lost = sorted(
        name
        for name, value in straight.content.items()
        if name not in found or found[name] != value
    )
    left = sorted(set(found) - set(straight.content))
    if lost:
        tally.fault("lost", f"{where}: {', '.join(lost[:4])} ({len(lost)} files)")
    if left:
        tally.fault("left", f"{where}: {', '.join(left[:4])} ({len(left)} files)")


def last_line(text: str) -> str:
    """Return the last line that is not empty."""
    return next((line for line in reversed(text.splitlines()) if line.strip()), "")
