"""``tools/benchmark.py``: what it writes, and what it says of cases that cannot be timed."""

from __future__ import annotations

import json

import pytest
from tool_runs import load_tool


@pytest.fixture(scope="module")
def benchmark():
    return load_tool("benchmark")


@pytest.mark.slow
def test_rows_of_what_could_be_timed(benchmark, tmp_path, capfd):
    code = benchmark(
        *("--restorers", "base", "nonesuch", "--sizes", "16x24", "--seconds", 0, "--repeats", 1),
        *("--threads", 1, "--out", tmp_path),
    )
    done = capfd.readouterr()
    assert code == 1, done.err
    assert "not timed: nonesuch: no restorer weights 'nonesuch'" in " ".join(done.err.split())
    assert "Traceback" not in done.err
    document = json.loads((tmp_path / "results.json").read_text())
    (row,) = document["rows"]
    assert (row["subject"], row["height"], row["width"], row["calls"]) == ("base", 16, 24, 1)
    assert row["latency_ms"] > 0
    assert document["meta"]["threads"] == 1
    assert len(document["meta"]["failed"]) == 1
    for name in ("results.md", "results.csv", "psnr_time.png"):
        assert (tmp_path / name).stat().st_size
        assert name in done.out


@pytest.mark.parametrize("size", ["16", "0x4", "axb"])
def test_a_size_that_is_none(benchmark, size, capsys):
    with pytest.raises(SystemExit) as stop:
        benchmark("--sizes", size)
    assert stop.value.code == 2
    assert size in capsys.readouterr().err
