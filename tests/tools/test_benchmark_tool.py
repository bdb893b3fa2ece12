"""``tools/benchmark.py``: what it writes, and what it says of cases that cannot be timed."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]


def run(*arguments):
    command = [sys.executable, str(REPOSITORY / "tools/benchmark.py"), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.slow
def test_rows_of_what_could_be_timed(tmp_path):
    done = run(
        *("--restorers", "base", "nonesuch", "--sizes", "16x24", "--seconds", 0, "--repeats", 1),
        *("--threads", 1, "--out", tmp_path),
    )
    assert done.returncode == 1, done.stderr
    assert "not timed: nonesuch: no restorer weights 'nonesuch'" in " ".join(done.stderr.split())
    assert "Traceback" not in done.stderr
    document = json.loads((tmp_path / "results.json").read_text())
    (row,) = document["rows"]
    assert (row["subject"], row["height"], row["width"], row["calls"]) == ("base", 16, 24, 1)
    assert row["latency_ms"] > 0
    assert document["meta"]["threads"] == 1
    assert len(document["meta"]["failed"]) == 1
    for name in ("results.md", "results.csv", "psnr_time.png"):
        assert (tmp_path / name).stat().st_size
        assert name in done.stdout


@pytest.mark.parametrize("size", ["16", "0x4", "axb"])
def test_a_size_that_is_none(size):
    done = run("--sizes", size)
    assert done.returncode == 2
    assert size in done.stderr and "Traceback" not in done.stderr
