"""How a command ends, whatever ends it: at most one line, and an exit code that says which."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

from jpeg_preproc.cli.exit_codes import BROKEN_PIPE, DONE, INTERRUPTED, REFUSED, TERMINATED
from jpeg_preproc.cli.stopping import CODES, GO_ON, heeded
from jpeg_preproc.errors import JpegPreprocError, ReportedElsewhereError
from jpeg_preproc.report.console import console, print_error


class Terminated(KeyboardInterrupt):
    """SIGTERM came."""


def ended(work: Callable[[], int], go_on: str = GO_ON) -> int:
    """Do a command's work and return its exit code.

    Args:
        work: Returns the exit code where nothing comes in between.
        go_on: What a user who has stopped it is told.

    Returns:
        That code; :data:`~jpeg_preproc.cli.exit_codes.REFUSED` after an error of this package or
        of the operating system, which is printed; that of Ctrl-C or SIGTERM, or of whoever read
        the output and no longer does.
    """
    arrived: list[int] = []
    try:
        try:
            with _signals_raise(arrived), system_errors_described():
                code = work()
                sys.stdout.flush()
                return code
        except Exception as error:
            if not arrived:
                raise
            # What a signal ends may say it otherwise: modules in C whose import it stops, and
            # libraries that clear up.
            raise _interruption(arrived[0]) from error
    except ReportedElsewhereError:
        return DONE  # a launcher would end the process that is about to report it
    except JpegPreprocError as error:
        print_error(error)
        return REFUSED
    except BrokenPipeError:
        _discard_output()
        return BROKEN_PIPE
    except KeyboardInterrupt as error:
        console(stderr=True).print_line(f"Stopped; {go_on}.")
        return TERMINATED if isinstance(error, Terminated) else INTERRUPTED


@contextmanager
def system_errors_described() -> Iterator[None]:
    """Raise the operating system's errors as one of this package, with the file and the mend.

    A pipe that nobody reads is none: it passes.

    Raises:
        JpegPreprocError: A file or folder cannot be read or written.
    """
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        where = (
            f"{os.fsdecode(error.filename)}: " if isinstance(error.filename, str | bytes) else ""
        )
        raise JpegPreprocError(
            f"{where}{error.strerror or error}; see to it, or give another place, and run again: "
            "what is done is kept"
        ) from error


@contextmanager
def _signals_raise(arrived: list[int]) -> Iterator[None]:
    """Raise KeyboardInterrupt for Ctrl-C, and its subclass for SIGTERM, within the block.

    A second signal ends the process at once: what clears up after the first may hang.

    Args:
        arrived: Gets the number of each signal.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def handle(number: int, frame: FrameType | None) -> None:
        if arrived:
            os._exit(CODES[signal.Signals(number)])
        arrived.append(number)
        raise _interruption(number)

    previous = {number: signal.signal(number, handle) for number in heeded()}
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


def _interruption(number: int) -> KeyboardInterrupt:
    return Terminated() if number == signal.SIGTERM else KeyboardInterrupt()


def _discard_output() -> None:
    """Let nothing more be written, so that Python does not fail at it once more as it ends."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError):
            os.dup2(nowhere, stream.fileno())
