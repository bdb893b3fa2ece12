"""``tools/bootstrap.py``: what ``test`` runs, and that types and tests run at once."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys

import pytest
from tool_runs import load_module


@pytest.fixture(scope="module")
def bootstrap():
    return load_module("bootstrap")


def python(text):
    return [sys.executable, "-c", text]


def test_lint_comes_before_types_and_tests(bootstrap):
    groups = bootstrap.commands("test", ["-k", "some"])
    assert [[command[2] for command in group] for group in groups] == [
        ["ruff"],
        ["ruff"],
        ["mypy", "pytest"],
    ]
    assert groups[-1][-1][-2:] == ["-k", "some"]


def test_commands_run_at_once_and_the_last_prints_as_it_goes(bootstrap, tmp_path, capfd):
    # Each waits for the other's file.
    text = (
        "import pathlib, time\n"
        "mine, other = map(pathlib.Path, {!r})\n"
        "mine.touch()\n"
        "while not other.exists(): time.sleep(0.01)\n"
        "print('{}')\n"
    )
    files = [str(tmp_path / "a"), str(tmp_path / "b")]
    group = [python(text.format(files, "first")), python(text.format(files[::-1], "second"))]
    assert bootstrap.run_at_once(group, dict(os.environ)) == 0
    printed = capfd.readouterr().out.splitlines()
    assert [line for line in printed if line in ("first", "second")] == ["second", "first"]


@pytest.mark.parametrize("codes", [(3, 0), (0, 3)])
def test_one_that_fails_is_the_result(bootstrap, capfd, codes):
    group = [python(f"print('said'); raise SystemExit({code})") for code in codes]
    assert bootstrap.run_at_once(group, dict(os.environ)) == 3
    assert capfd.readouterr().out.splitlines().count("said") == 2


def test_what_runs_beside_is_ended_with_a_stop(bootstrap, monkeypatch):
    started, start = [], subprocess.Popen

    def stopped(*command, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr(subprocess, "run", stopped)
    monkeypatch.setattr(
        subprocess, "Popen", lambda *a, **k: started.append(start(*a, **k)) or started[-1]
    )
    with pytest.raises(KeyboardInterrupt):
        bootstrap.run_at_once([python("import time; time.sleep(600)"), ["never"]], {})
    assert started[0].wait(60) == -signal.SIGTERM


def test_what_is_compiled_is_counted_while_folders_go(bootstrap, monkeypatch, tmp_path):
    for name in ("gone", "kept"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "one.o").touch()
    (tmp_path / "two.o").touch()
    monkeypatch.setattr(bootstrap, "SCRATCH", tmp_path)
    assert bootstrap.compiled_files() == 3
    scan, gone = os.scandir, tmp_path / "gone"

    def scan_late(path):
        if str(path) == str(gone):
            monkeypatch.setattr(os, "scandir", scan)
            shutil.rmtree(gone)
        return scan(path)

    monkeypatch.setattr(os, "scandir", scan_late)
    assert bootstrap.compiled_files() == 2
    monkeypatch.setattr(bootstrap, "SCRATCH", tmp_path / "none")
    assert bootstrap.compiled_files() == 0
