#!/usr/bin/env python3
"""Set up a virtual environment in .venv, then run the demo or the tests in it.

Needs Linux, Python 3.10-3.12, a C++ compiler and pip; nothing else. Every step that is done is
remembered in .venv, so a run that was stopped goes on where it was. mmcv's operators are compiled
from source, which takes about 7 minutes on two cores, once.
"""

from __future__ import annotations

if __name__ == "__main__":  # Ctrl-C and SIGTERM from the first moment, while nothing runs yet
    import os
    import signal
    import sys

    def leave(number: int, frame: object) -> None:
        """End in one line."""
        sys.stderr.write("[setup] stopped; the same command goes on from here\n")
        sys.stderr.flush()
        os._exit(128 + number)

    for heeded in (signal.SIGINT, signal.SIGTERM):
        if signal.getsignal(heeded) != signal.SIG_IGN:
            signal.signal(heeded, leave)

import argparse
import hashlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"
# Every package with the hashes of its files, resolved from tools/constraints.txt and setup.cfg;
# the first lines of each say by which command.
LOCKS = ROOT / "tools" / "locks"
SUPPORTED = ((3, 10), (3, 11), (3, 12))

# Nearly all of mmcv's compiling is debug information, in the flags that Python was built with.
COMPILER = {"CFLAGS": "-O2 -g0", "CXXFLAGS": "-O2 -g0"}
# Where pip compiles, so that it can be seen how far it is.
SCRATCH = VENV / "tmp"

# Tests run in as many processes, each of one thread and at times of 2 GB.
TEST_PROCESSES = min(os.cpu_count() or 1, 8)
# File by file in their order, of which the last ones are examples that take no time, so that all
# processes end at once. Otherwise those of few tests, which are the long ones, came last.
HANDED_OUT = ("--dist", "loadfile", "--no-loadscope-reorder")


def say(text: str) -> None:
    """Print a line at once, marked as ours."""
    print(f"[setup] {text}", flush=True)


def fail(text: str) -> None:
    """Stop with a message that says what to do."""
    sys.exit(f"[setup] {text}")


def find_python() -> str:
    """Return a Python of a supported version: this one, or one on PATH."""
    if sys.version_info[:2] in SUPPORTED:
        return sys.executable
    for major, minor in reversed(SUPPORTED):
        candidate = shutil.which(f"python{major}.{minor}")
        # A version manager's shim may be on PATH for a version that is not there.
        if candidate and subprocess.run([candidate, "-c", ""], capture_output=True).returncode == 0:
            return candidate
    found = ".".join(map(str, sys.version_info[:2]))
    fail(f"Python {found} is not supported: install Python 3.10, 3.11 or 3.12 and try again")
    raise AssertionError


def compiled_files() -> int:
    """Return how many object files pip's builds have made so far.

    pip removes folders while this looks; unlike ``rglob``, ``os.walk`` passes over what is gone.
    """
    return sum(name.endswith(".o") for _, _, files in os.walk(SCRATCH) for name in files)


def run(command: Sequence[str], note: str, env: dict[str, str] | None = None) -> None:
    """Run a command quietly: show a sign of life each half minute, and its log if it fails."""
    log = VENV / "setup.log"
    started = time.monotonic()
    with log.open("a") as stream:
        stream.write(f"\n$ {' '.join(command)}\n")
        stream.flush()
        process = subprocess.Popen(
            command, cwd=ROOT, stdout=stream, stderr=subprocess.STDOUT, env=env
        )
        try:
            while True:
                try:
                    code = process.wait(timeout=30)
                    break
                except subprocess.TimeoutExpired:
                    minutes = (time.monotonic() - started) / 60
                    compiled = compiled_files()
                    files = f", {compiled} files compiled" if compiled else ""
                    say(f"  … {note}: {minutes:.1f} minutes so far{files}")
        except BaseException:  # whatever ends this ends the command
            process.terminate()
            process.wait()
            raise
    if code:
        tail = "\n".join(log.read_text(errors="replace").splitlines()[-30:])
        fail(f"{note} failed; the end of {log.relative_to(ROOT)}:\n{tail}")


def pip(arguments: Sequence[str], note: str, **env: str) -> None:
    """Install with the environment's pip."""
    command = [str(PYTHON), "-m", "pip", "install", "--disable-pip-version-check"]
    run([*command, *arguments], note, {**os.environ, **env})


def locked(name: str) -> list[str]:
    """Return what makes pip install a lock file, and nothing whose hash is not in it."""
    return ["--require-hashes", "--no-build-isolation", "-r", str(LOCKS / name)]


def imports(modules: str) -> bool:
    """Tell whether the environment can import ``modules``."""
    return subprocess.run([PYTHON, "-c", f"import {modules}"], capture_output=True).returncode == 0


class Stopped(KeyboardInterrupt):
    """Ctrl-C or SIGTERM came, of this number."""


def stop(number: int, frame: object) -> None:
    """Raise, so that what runs is ended too."""
    raise Stopped(number)


def make_venv() -> None:
    """Make the virtual environment."""
    if VENV.exists():
        shutil.rmtree(VENV)
    subprocess.run([find_python(), "-m", "venv", str(VENV)], check=True)


def install_torch() -> None:
    """Install torch, torchvision and what compiles mmcv."""
    pip(locked("torch.txt"), "torch")


def install_openmmlab() -> None:
    """Compile mmcv and install mmengine, mmdet, mmseg and all that this package needs."""
    if not any(shutil.which(name) for name in ("c++", "g++", "clang++")):
        fail("no C++ compiler, which mmcv needs: install g++ (Debian: apt-get install g++)")
    SCRATCH.mkdir(exist_ok=True)
    jobs = {"MAX_JOBS": os.environ.get("MAX_JOBS", str(os.cpu_count() or 2))}
    settings = {**jobs, **COMPILER, "TMPDIR": str(SCRATCH)}
    pip(locked("all.txt"), "mmcv (78 files), mmdet, mmseg", **settings)
    if not imports("mmcv.ops"):
        # pip caches a wheel by its version alone: one compiled against another torch is no use.
        say("a cached mmcv does not fit this torch: compiling it anew")
        uninstall = [str(PYTHON), "-m", "pip", "uninstall", "--yes", "onedl-mmcv"]
        run(uninstall, "removing it")
        pip(["--no-cache-dir", *locked("all.txt")], "compiling mmcv (78 files)", **settings)
    if not imports("mmcv.ops, mmdet, mmseg"):
        fail(f"mmcv, mmdet or mmseg does not import; see it with: {PYTHON} -c 'import mmcv.ops'")
    shutil.rmtree(SCRATCH, ignore_errors=True)


def install_self() -> None:
    """Install this package in place."""
    pip(["--no-build-isolation", "--no-deps", "-e", "."], "jpeg_preproc")


STEPS: tuple[tuple[str, str, Callable[[], None]], ...] = (
    ("venv", "a virtual environment in .venv", make_venv),
    ("torch", "torch and torchvision (about 2 minutes, 5 GB)", install_torch),
    (
        "openmmlab",
        "mmengine, mmcv, mmdet, mmseg (compiles mmcv: about 7 minutes on 2 cores, once)",
        install_openmmlab,
    ),
    ("self", "jpeg_preproc", install_self),
)


def fingerprint(name: str) -> str:
    """Return what a step's result depends on, so that a change runs it again."""
    digest = hashlib.sha256()
    for lock in sorted(LOCKS.glob("*.txt")):
        digest.update(lock.read_bytes())
    if name == "self":
        digest.update((ROOT / "setup.cfg").read_bytes())
        digest.update(str(ROOT).encode())
    return digest.hexdigest()


def set_up() -> None:
    """Do the steps that have not been done."""
    started = time.monotonic()
    if sys.platform != "linux":
        fail(f"{sys.platform} is not supported by this script; it is written for Linux")
    redo = False
    for number, (name, what, step) in enumerate(STEPS, 1):
        stamp = VENV / f"done-{name}"
        print_ = fingerprint(name)
        if not redo and stamp.is_file() and (name == "venv" or stamp.read_text() == print_):
            continue
        redo = name == "venv"
        say(f"step {number} of {len(STEPS)}: {what}")
        step()
        stamp.write_text(print_)
    minutes = (time.monotonic() - started) / 60
    if minutes > 0.1:
        say(f"ready after {minutes:.1f} minutes")


def test_helpers() -> list[str]:
    """Return the modules that tests share, which are checked as the package is."""
    helpers = (
        path
        for path in sorted((ROOT / "tests").rglob("*.py"))
        if not path.name.startswith("test_") and path.name != "conftest.py"
    )
    return [str(path.relative_to(ROOT)) for path in helpers]


def commands(action: str, extra: Sequence[str]) -> list[list[list[str]]]:
    """Return what to run in the environment for an action: groups, each of which runs at once."""
    python = str(PYTHON)
    if action == "demo":
        return [[[python, "tools/eval_downstream.py", *extra]]]
    if action == "test":
        # mypy keeps one core busy for a minute, in which tests go on.
        return [
            [[python, "-m", "ruff", "check", "."]],
            [[python, "-m", "ruff", "format", "--check", "."]],
            [
                [python, "-m", "mypy", "jpeg_preproc", "tools", *test_helpers()],
                [python, "-m", "pytest", "-n", str(TEST_PROCESSES), *HANDED_OUT, *extra],
            ],
        ]
    return []


def main() -> int:
    """Set up, then run what was asked for."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="example:\n  python3 tools/bootstrap.py demo",
    )
    parser.add_argument(
        "action",
        choices=("demo", "test", "setup"),
        help="demo: what JPEG costs a detector and a segmenter, and what restoring gives back; "
        "test: lint, types and tests; setup: nothing more",
    )
    parser.add_argument("extra", nargs=argparse.REMAINDER, help="passed on to the tool or pytest")
    args = parser.parse_args()
    for heeded in (signal.SIGINT, signal.SIGTERM):
        if signal.getsignal(heeded) != signal.SIG_IGN:
            signal.signal(heeded, stop)
    try:
        set_up()
        return run_action(args.action, args.extra)
    except Stopped as stopped:
        say("stopped; the same command goes on from here")
        return 128 + int(stopped.args[0])


def run_action(action: str, extra: Sequence[str]) -> int:
    """Run what was asked for in the environment, and return the exit code."""
    env = dict(os.environ)
    if action == "test":
        env.setdefault("OMP_NUM_THREADS", "1")  # of each of the processes
    for group in commands(action, extra):
        if code := run_at_once(group, env):
            return code
    return 0


def run_at_once(group: Sequence[Sequence[str]], env: dict[str, str]) -> int:
    """Run commands at the same time; return the first exit code that is not 0, or 0.

    The last one prints as it goes. What the others print comes behind it.
    """
    *others, last = group
    beside = []
    try:
        for command in others:
            show(command)
            log = tempfile.TemporaryFile("w+")  # noqa: SIM115 - read below
            process = subprocess.Popen(
                command, cwd=ROOT, env=env, stdout=log, stderr=subprocess.STDOUT
            )
            beside.append((process, log))
        show(last)
        codes = [subprocess.run(last, cwd=ROOT, env=env).returncode]
        codes += [process.wait() for process, _ in beside]
    finally:
        for process, _ in beside:
            process.terminate()  # where this was stopped; else it has ended
    for _, log in beside:
        log.seek(0)
        print(log.read(), end="", flush=True)
    return next(filter(None, codes), 0)


def show(command: Sequence[str]) -> None:
    """Print a command as one would type it in the repository."""
    print(f"$ {' '.join(command)}".replace(str(ROOT) + "/", ""), flush=True)


if __name__ == "__main__":
    sys.exit(main())
