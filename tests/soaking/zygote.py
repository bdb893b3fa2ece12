"""Runs of a script without its imports: a process has them, and forks for every run."""

from __future__ import annotations

import importlib
import importlib.util
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO, Any


class Zygote:
    """A process that has imported a script.

    Args:
        script: Path of the script, which has a function ``main`` of arguments; or the name of a
            module that does.
        modules: What else is imported, since the script does so late.
        environment: Environment of the process.
    """

    def __init__(self, script: str, modules: Sequence[str], environment: dict[str, str]) -> None:
        self._process = subprocess.Popen(
            [sys.executable, str(Path(__file__).resolve()), script, *modules],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.ask("ready")  # its imports are no part of the first run's time

    def start(
        self, arguments: Sequence[str], go_on: str, output: Path, errors: Path
    ) -> ForkedProcess:
        """Run the script.

        Args:
            arguments: Its arguments.
            go_on: What it says of how to go on, where it is stopped before or behind its work.
            output: File that its standard output goes to.
            errors: File that its standard error goes to.
        """
        pid = self.ask("start", list(arguments), go_on, str(output), str(errors))
        return ForkedProcess(int(pid), self)

    def ask(self, *request: Any) -> Any:
        """Send a request and return the answer."""
        requests, answers = self._process.stdin, self._process.stdout
        assert requests is not None and answers is not None
        requests.write(json.dumps(request) + "\n")
        requests.flush()
        return json.loads(answers.readline())

    def end(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.communicate()


class ForkedProcess:
    """One run, as far as :class:`subprocess.Popen` would be used for it.

    Attributes:
        pid: Number of the process.
    """

    def __init__(self, pid: int, zygote: Zygote) -> None:
        self.pid = pid
        self._zygote = zygote
        self._code: int | None = None

    def poll(self) -> int | None:
        """Return the exit code, once there is one."""
        if self._code is None:
            self._code = self._zygote.ask("poll", self.pid)
        return self._code

    def wait(self, timeout: float | None = None) -> int:
        """Wait for the exit code.

        Raises:
            subprocess.TimeoutExpired: There is none in time.
        """
        until = None if timeout is None else time.monotonic() + timeout
        while (code := self.poll()) is None:
            if until is not None and time.monotonic() > until:
                raise subprocess.TimeoutExpired("forked", timeout or 0)
            time.sleep(0.005)
        return code

    def send_signal(self, number: int) -> None:
        """Send a signal to the process, unless it has ended."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        """Kill the process."""
        self.send_signal(signal.SIGKILL)


def _main_of(script: str) -> Callable[[list[str]], int]:
    # A tool's script holds no more than the call of its command.
    of_tool = f"jpeg_preproc.cli.{Path(script).stem}" if "tools" in Path(script).parts else script
    if not of_tool.endswith(".py"):
        found: Callable[[list[str]], int] = importlib.import_module(of_tool).main
        return found
    specification = importlib.util.spec_from_file_location("forked_script", script)
    assert specification is not None and specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    sys.modules[specification.name] = module
    specification.loader.exec_module(module)
    made: Callable[[list[str]], int] = module.main
    return made


def _serve(requests: IO[str], answers: IO[str], main: Callable[[list[str]], int]) -> None:
    for line in requests:
        kind, *rest = json.loads(line)
        answer: Any = None
        if kind == "start":
            answer = os.fork()
            if answer == 0:
                _run(main, *rest)
        elif kind == "poll":
            pid, status = os.waitpid(rest[0], os.WNOHANG)
            answer = os.waitstatus_to_exitcode(status) if pid else None
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


def _run(
    main: Callable[[list[str]], int], arguments: list[str], go_on: str, output: str, errors: str
) -> None:
    from jpeg_preproc.cli.stopping import stop_during_imports

    os.setsid()
    for number, name in ((0, os.devnull), (1, output), (2, errors)):
        opened = os.open(name, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600)
        os.dup2(opened, number)
        os.close(opened)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    stop_during_imports(go_on)  # which scripts do first
    sys.argv = ["forked", *arguments]
    sys.exit(main(arguments))


if __name__ == "__main__":
    _answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what imports print is no answer
    _script = _main_of(sys.argv[1])
    for _module in sys.argv[2:]:
        importlib.import_module(_module)
    _serve(sys.stdin, _answers, _script)
