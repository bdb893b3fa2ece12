"""How a process ends at Ctrl-C or SIGTERM while it still imports.

Scripts call this before all other imports, so it has none that take time.
"""

from __future__ import annotations

import os
import signal
import sys
from types import FrameType

from jpeg_preproc.cli.exit_codes import INTERRUPTED, TERMINATED

#: How a command that keeps what it has done can be gone on with.
GO_ON = "the same command goes on from here"
#: How a training can be.
GO_ON_TRAINING = "the same command with --resume goes on from the last checkpoint"
#: Exit codes by the signals that end a command.
CODES = {signal.SIGINT: INTERRUPTED, signal.SIGTERM: TERMINATED}


def stop_during_imports(go_on: str = GO_ON) -> None:
    """Let Ctrl-C and SIGTERM end this process in one line, until ``ended`` sees to them.

    For scripts, before their other imports: those of torch take seconds, and nothing is lost there.
    What comes before it, in Python's own start, ends as Python ends it.
    """

    def handle(number: int, frame: FrameType | None) -> None:
        sys.stderr.write(f"Stopped; {go_on}.\n")
        sys.stderr.flush()
        os._exit(CODES[signal.Signals(number)])

    for number in heeded():
        signal.signal(number, handle)


def heeded() -> list[signal.Signals]:
    """Return the signals that end this process: a shell lets those it starts aside ignore some."""
    return [number for number in CODES if signal.getsignal(number) != signal.SIG_IGN]
