"""The quick share of tools/soak.py: kills and signals at fixed seeds, for every tool."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from soaking import disks
from soaking.commands import Command, commands
from soaking.kills import kill_and_resume, kill_workers
from soaking.processes import Straight, straight_run
from soaking.stops import stop_and_resume, stop_during_imports

NAMES = (
    "compress_dataset",
    "restore_dataset",
    "jpeg-preproc restore",
    "eval_downstream",
    "study",
    "train",
)


@pytest.fixture(scope="module")
def every(tmp_path_factory) -> dict[str, Command]:
    made = commands(tmp_path_factory.mktemp("commands") / "sets")
    return {command.name: command for command in made}


@pytest.fixture
def straight(every, request, tmp_path) -> Iterator[Straight]:
    """The undisturbed run of the command that the test names."""
    name = request.param
    if name not in every:
        pytest.skip(f"needs what {name} imports: mmengine, onnx, onnxruntime and pycocotools")
    command = every[name].forked()
    try:
        yield straight_run(command, tmp_path)
    finally:
        command.zygote.end()


@pytest.mark.slow
@pytest.mark.parametrize("straight", NAMES, indirect=True)
def test_kills_and_signals_lose_nothing_and_leave_nothing(straight, tmp_path):
    tallies = [
        kill_and_resume(straight, 4, 19, tmp_path),
        kill_and_resume(straight, 1, 19, tmp_path, early=True),
        stop_and_resume(straight, 2, 19, tmp_path),
    ]
    assert [note for tally in tallies for note in tally.notes] == []
    # On a busy machine some come behind a command's end; one as it begins never does.
    assert tallies[1].tried == 1


@pytest.mark.slow
@pytest.mark.parametrize("straight", ["compress_dataset"], indirect=True)
def test_a_dead_worker_costs_nothing(straight, tmp_path):
    tally = kill_workers(straight, 1, 19, tmp_path)
    assert (tally.notes, tally.tried) == ([], 1)


@pytest.mark.slow
@pytest.mark.parametrize("straight", ["compress_dataset"], indirect=True)
def test_a_full_disk_is_one_line_and_goes_on(straight, tmp_path):
    if reason := disks.why_not():
        pytest.skip(reason)
    tally = disks.fill_disks(straight, 1, tmp_path)
    if tally.remark.startswith("skipped"):
        pytest.skip(tally.remark)
    assert (tally.notes, tally.tried) == ([], 1)


@pytest.mark.parametrize("script", ["jpeg-preproc", "train", "bootstrap", "fetch_photos"])
def test_a_signal_while_a_script_imports_is_one_line(script, tmp_path):
    tally = stop_during_imports(1, 19, tmp_path, [script])
    assert tally.notes == []


def test_what_is_lost_is_seen(tmp_path):
    """The comparison itself: a file that differs, one that lacks, and one too many."""
    from soaking.commands import files
    from soaking.processes import compare
    from soaking.tally import Tally

    for folder, contents in (("a", {"x": b"1", "y": b"2"}), ("b", {"x": b"3", "z": b"4"})):
        (tmp_path / folder).mkdir()
        for name, data in contents.items():
            (tmp_path / folder / name).write_bytes(data)
    command = Command("none", ("none.py",), files)
    straight = Straight(command, files(tmp_path / "a"), 1.0, 1.0)
    tally = Tally("a section", "none")
    compare(tally, straight, Path(tmp_path / "b"), "here")
    assert tally.faults == Counter(lost=1, left=1)
    assert tally.notes == [
        "a section, none: lost: here: x, y (2 files)",
        "a section, none: left: here: z (1 files)",
    ]
