from __future__ import annotations

import pytest
from fake_task import BASE, FakeTask

from jpeg_preproc.evaluation import condition_store
from jpeg_preproc.evaluation.condition_store import ConditionStore
from jpeg_preproc.evaluation.conditions import RestoreSettings, plan
from jpeg_preproc.evaluation.run import run_task


def run(task, folder, corruptions=("jpeg:90", "jpeg:10"), settings=None, **kwargs):
    store = ConditionStore(folder)
    conditions = plan(corruptions, [BASE])
    return run_task(task, conditions, store, settings or RestoreSettings(), **kwargs)


def test_finished_conditions_are_not_measured_again(tmp_path):
    first = run(FakeTask(), tmp_path)
    again = FakeTask()
    steps = []
    second = run(again, tmp_path, on_image=steps.append)
    assert again.measured == [] and second.reused == 5 and second.rows == first.rows
    assert len(steps) == 10  # the bar of a resumed run ends where it should
    assert first.outdated == second.outdated == []


def test_a_run_killed_midway_goes_on(tmp_path):
    class Killed(FakeTask):
        def measure(self, condition, settings, name, on_image=None):
            if len(self.measured) == 2:
                raise KeyboardInterrupt
            return super().measure(condition, settings, name, on_image)

    with pytest.raises(KeyboardInterrupt):
        run(Killed(), tmp_path)
    task = FakeTask()
    assert run(task, tmp_path).reused == 2
    assert task.measured == [("jpeg:90", True), ("jpeg:10", False), ("jpeg:10", True)]


def test_another_study_uses_what_it_shares(tmp_path):
    run(FakeTask(), tmp_path)
    task = FakeTask()
    found = run(task, tmp_path, ("webp:30", "jpeg:10"))
    assert found.reused == 3
    assert task.measured == [("webp:30", False), ("webp:30", True)]


@pytest.mark.parametrize(
    "change,words",
    [
        (dict(task=FakeTask(checkpoint="other")), "task.checkpoint was cd, is other"),
        (dict(settings=RestoreSettings(device="cuda:0")), "settings.device was cpu, is cuda"),
    ],
)
def test_a_changed_condition_is_measured_again_and_said_so(tmp_path, change, words):
    run(FakeTask(), tmp_path)
    task = change.pop("task", None) or FakeTask()
    found = run(task, tmp_path, **change)
    assert found.reused < 5 and ("jpeg:10", True) in task.measured
    assert f"yolo/x: base at QF 10: {words}" in found.outdated
    assert len(found.outdated) == len(task.measured)


def test_a_new_revision_of_the_code_measures_all_again(tmp_path, monkeypatch):
    run(FakeTask(), tmp_path)
    monkeypatch.setattr(condition_store, "REVISION", condition_store.REVISION + 1)
    found = run(FakeTask(), tmp_path)
    assert found.reused == 0 and len(found.outdated) == 5
    assert all("revision was" in line for line in found.outdated)


def test_one_failing_condition_does_not_stop_the_rest(tmp_path):
    found = run(FakeTask(fails=[("jpeg:90", True)]), tmp_path)
    assert found.failed == [{"file": "yolo/x: base at QF 90", "reason": "cannot stand there"}]
    assert [(row.restorer, row.qf) for row in found.rows] == [
        ("original", None),
        ("jpeg", 10),
        ("jpeg", 90),
        ("base", 10),
    ]


def test_without_the_original_there_is_no_recovery(tmp_path):
    found = run(FakeTask(fails=[None]), tmp_path)
    assert {row.recovery for row in found.rows} == {None}
