"""A function over tasks on a Ray cluster of this machine."""

from __future__ import annotations

import pool_functions
import pytest

from jpeg_preproc.datasets.cluster import rewrite_on_cluster
from jpeg_preproc.datasets.pool import WorkerCrashError
from jpeg_preproc.errors import ImageReadError, LauncherError

pytestmark = pytest.mark.slow


def test_each_task_has_one_outcome(ray_cluster):
    outcomes = list(rewrite_on_cluster(range(20), pool_functions.square_or_fail, chunk=4))
    assert sorted(outcome.task for outcome in outcomes) == list(range(20))
    errors = {outcome.task: outcome.error for outcome in outcomes if outcome.error}
    assert {task: type(error) for task, error in errors.items()} == {
        3: ImageReadError,
        5: RuntimeError,
    }
    assert all(outcome.result == outcome.task**2 for outcome in outcomes if not outcome.error)


def test_only_the_task_that_kills_its_workers_is_lost(ray_cluster):
    outcomes = list(rewrite_on_cluster(range(6, 10), pool_functions.square_or_die, chunk=2))
    results = {outcome.task: outcome.result for outcome in outcomes}
    assert len(outcomes) == 4
    assert results == {6: 36, 7: None, 8: 64, 9: 81}
    (error,) = [outcome.error for outcome in outcomes if outcome.error]
    assert isinstance(error, WorkerCrashError)


def test_a_stop_gives_up_the_rest(ray_cluster):
    seen = []
    for outcome in rewrite_on_cluster(
        range(12), pool_functions.square, stop=lambda: len(seen) >= 3
    ):
        seen.append(outcome.task)
    assert len(seen) == 3


def test_without_a_cluster_the_mend_is_said(monkeypatch):
    ray = pytest.importorskip("ray")
    ray.shutdown()
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    with pytest.raises(LauncherError, match="ray start --head"):
        list(rewrite_on_cluster(range(2), pool_functions.square))
