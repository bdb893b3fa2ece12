"""Disks that are full before the work is done."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from soaking.processes import Running, Straight, check_resumed, last_line
from soaking.tally import OnStep, Tally

#: KiB that a small disk has; all are too few for any of the results.
SIZES = (64, 256, 700, 1500)
_ROOM = "256m"


def why_not() -> str:
    """Return why no small disk can be made here; ``''`` if one can."""
    if os.geteuid() != 0:
        return "needs root, who may mount a small disk"
    if shutil.which("mount") is None:
        return "needs the program mount"
    return ""


@contextmanager
def small_disk(folder: Path, size: str) -> Iterator[Path]:
    """Mount a disk of a size such as ``'64k'`` at a folder, which is made, for a block.

    Raises:
        subprocess.CalledProcessError: The system does not allow it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    _run("mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder))
    try:
        yield folder
    finally:
        _run("umount", "--lazy", str(folder))


def fill_disks(
    straight: Straight,
    count: int,
    scratch: Path,
    on_step: OnStep = lambda done, total, what: None,
) -> Tally:
    """Run a command on disks that are too small, enlarge these, go on, and compare.

    Args:
        straight: The command and its undisturbed run.
        count: How many disks, of :data:`SIZES` in turn.
        scratch: Folder to work in.
        on_step: Called after each.
    """
    tally = Tally("disks", straight.command.name)
    for number in range(count):
        size = SIZES[number % len(SIZES)]
        try:
            with small_disk(scratch / "disk", f"{size}k") as disk:
                if not _fill(tally, straight, disk, scratch, f"{size} KiB"):
                    tally.beside["had room enough"] += 1
        except subprocess.CalledProcessError as error:
            tally.remark = f"skipped: {error.stderr.strip()}"
            return tally
        on_step(number + 1, count, straight.command.name)
    return tally


def _fill(tally: Tally, straight: Straight, disk: Path, scratch: Path, where: str) -> bool:
    """Try one disk; tell whether it was too small."""
    out, log = disk / "out", scratch / "disk-log"
    done = Running(straight.command, out, log).wait()
    if done is None:
        tally.fault("hung", where)
        return True
    if done.code == 0:
        return False
    tally.tried += 1
    told = [line for line in done.errors.splitlines() if line.startswith("error: ")]
    if done.code != 2:
        tally.fault("wrong", f"{where}: exit code {done.code}: {last_line(done.errors)}")
    if "Traceback" in done.errors or len(told) != 1 or str(disk) not in told[0]:
        tally.fault("unclear", f"{where}: {done.errors[-600:]!r}")
    _run("mount", "-o", f"remount,size={_ROOM}", str(disk))
    check_resumed(tally, straight, out, log, where)
    return True


def _run(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True, text=True)
