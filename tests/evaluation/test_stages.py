"""Times of stages: nested, in data loader workers, and one stage after the other."""

from __future__ import annotations

import time
from types import SimpleNamespace

import pytest
from torch.utils.data import DataLoader

from jpeg_preproc.evaluation import stages
from jpeg_preproc.evaluation.stages import StageClock, Stopwatch, breakdown, time_alone
from jpeg_preproc.report.timing import breakdown_table


@pytest.fixture
def now(monkeypatch):
    """Both clocks, set by hand; the CPU's runs at half the speed."""
    hand = SimpleNamespace(value=100.0)
    clocks = SimpleNamespace(
        perf_counter=lambda: hand.value, process_time=lambda: hand.value / 2, time=time.time
    )
    monkeypatch.setattr(stages, "time", clocks)
    return hand


def test_a_stage_within_a_stage_is_counted_once(now):
    clock = StageClock()
    with clock.stage("model"):
        now.value += 2
        with clock.stage("restore"):
            now.value += 5
        now.value += 1
    now.value += 40  # between stages
    with clock.stage("model"):
        now.value += 10
    assert clock.seconds() == {"restore": (5.0, 2.5), "model": (13.0, 6.5)}
    clock.reset()
    assert clock.seconds() == {}


def test_a_stage_that_fails_is_counted_and_left(now):
    clock = StageClock()
    with pytest.raises(ValueError, match="no image"), clock.stage("decode"):
        now.value += 3
        raise ValueError("no image")
    now.value += 9
    assert clock.seconds() == {"decode": (3.0, 1.5)}


class Slow:
    """A dataset whose images take 20 ms each, counted as restoring."""

    def __init__(self, clock):
        self.load = clock.timed("restore", wait)

    def __len__(self):
        return 6

    def __getitem__(self, index):
        return self.load(index)


def wait(index):
    time.sleep(0.02)
    return index


@pytest.mark.parametrize("workers", [0, 2])
def test_workers_report_to_the_process_that_started_them(workers):
    clock = StageClock(workers)
    assert list(DataLoader(Slow(clock), batch_size=None, num_workers=workers)) == list(range(6))
    wall, cpu = clock.seconds()["restore"]
    assert wall >= 6 * 0.02 and cpu < wall


def test_alone_each_step_is_done_for_all_before_the_next(now):
    order = []

    def step(name, seconds):
        def do(item):
            order.append((name, item))
            now.value += seconds
            return item + 10

        return do

    clock = StageClock()
    time_alone([("decode", step("a", 1)), ("model", step("b", 4))], [1, 2, 3], clock)

    # The first call of each warms up.
    assert order[0] == ("a", 1) and order[4] == ("b", 11)
    assert len(order) == 8 and [name for name, _ in order] == list("aaaabbbb")
    assert clock.seconds() == {"decode": (3.0, 1.5), "model": (12.0, 6.0)}


def test_the_breakdown_adds_up_and_is_compared_with_the_stages_alone():
    rows = breakdown({"decode": (1.0, 0.5), "model": (6.0, 5.5)}, (10.0, 8.0))
    assert [row["stage"] for row in rows] == ["decode", "model", "rest", "total"]
    assert sum(row["wall_s"] for row in rows[:-1]) == rows[-1]["wall_s"] == 10.0
    assert sum(row["cpu_share"] for row in rows[:-1]) == pytest.approx(1.0)
    table = breakdown_table(rows, {"decode": (0.8, 0.5), "model": (7.2, 4.5)})
    assert table.rows[0] == ("decode", "1.0 s (10%)", "0.5 s (6%)", "0.8 s", "0.5 s")
    assert table.rows[2][3:] == ("", "")
    assert table.rows[3][3:] == ("8.0 s (the run: 1.25 times)", "5.0 s (the run: 1.60 times)")
    assert {len(row) for row in table.rows} == {len(table.columns)} == {5}
    assert {len(row) for row in breakdown_table(rows).rows} == {3}


def test_a_stopwatch_counts_work_and_not_sleep():
    watch = Stopwatch()
    time.sleep(0.2)
    wall, cpu = watch.seconds()
    assert wall >= 0.2 and cpu < wall
