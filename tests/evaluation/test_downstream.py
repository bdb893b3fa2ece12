from __future__ import annotations

import json

import pytest
from jpeg_preproc.evaluation.downstream import (
    ConditionStore,
    Measurement,
    condition_key,
    recovery,
    run_task,
)

from jpeg_preproc.errors import PipelineError
from jpeg_preproc.evaluation.conditions import JpegSettings, RestorerChoice, plan

BASE = RestorerChoice("base", "base", "ab")
VALUES = {None: 30.0, (10, False): 20.0, (10, True): 27.0, (90, False): 30.0, (90, True): 29.0}


class FakeTask:
    dataset, model, images, skipped = "coco", "yolo/x", 2, ()

    def __init__(self, fails=(), **fingerprint):
        self.fingerprint = {"checkpoint": "cd", **fingerprint}
        self.fails = fails
        self.measured = []

    def measure(self, condition, settings, name, on_image=None):
        what = (condition.qf, condition.restorer is not None) if condition.qf else None
        if what in self.fails:
            raise PipelineError("cannot stand there")
        self.measured.append(what)
        for _ in range(self.images):
            on_image()
        return Measurement("mAP", VALUES[what], self.images, 0.5, {"x": 1.0}, self.drawn(what))

    def drawn(self, condition):
        return [VALUES[condition] + shift for shift in (-1.0, 0.0, 1.0)]


def run(task, folder, qfs=(90, 10), settings=None, version="1", **kwargs):
    store = ConditionStore(folder)
    return run_task(task, plan(qfs, [BASE]), store, settings or JpegSettings(), version, **kwargs)


@pytest.mark.parametrize(
    "values,expected",
    [
        ((28.3, 19.6, 25.9), 6.3 / 8.7),
        ((30.0, 20.0, 15.0), -0.5),
        ((30.0, 20.0, 35.0), 1.5),
        ((30.0, 31.0, 30.5), None),
        ((30.0, 31.0, 28.0), None),
        ((30.0, 30.0, 29.0), None),
    ],
)
def test_recovery_is_the_share_of_the_loss_and_never_clipped(values, expected):
    assert recovery(*values) == (None if expected is None else pytest.approx(expected))


def test_rows_stand_in_the_tables_order_with_recovery(tmp_path):
    rows = run(FakeTask(), tmp_path).rows
    found = [(row["restorer"], row["qf"], row["value"], row["recovery"]) for row in rows]
    assert found == [
        ("original", None, 30.0, None),
        ("jpeg", 10, 20.0, None),
        ("jpeg", 90, 30.0, None),
        ("base", 10, 27.0, pytest.approx(0.7)),
        ("base", 90, 29.0, None),
    ]
    # The draws differ by as much in every condition, so the shares of the loss are all the same.
    bounds = [(row["recovery_low"], row["recovery_high"]) for row in rows[3:]]
    assert bounds == [(pytest.approx(0.7), pytest.approx(0.7)), (None, None)]
    assert rows[0]["value_low"] == pytest.approx(29.05)
    assert {row["dataset"] for row in rows} == {"coco"}
    assert {row["model"] for row in rows} == {"yolo/x"}
    assert {row["metric"] for row in rows} == {"mAP"} and {row["images"] for row in rows} == {2}


def test_finished_conditions_are_not_measured_again(tmp_path):
    first = run(FakeTask(), tmp_path)
    again = FakeTask()
    steps = []
    second = run(again, tmp_path, on_image=steps.append)
    assert again.measured == [] and second.reused == 5 and second.rows == first.rows
    assert len(steps) == 10  # the bar of a resumed run ends where it should


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
    assert task.measured == [(90, True), (10, False), (10, True)]


@pytest.mark.parametrize(
    "change",
    [
        dict(task=FakeTask(checkpoint="other")),
        dict(settings=JpegSettings(subsampling="4:4:4")),
        dict(settings=JpegSettings(device="cuda:0")),
        dict(version="2"),
    ],
)
def test_a_changed_condition_is_measured_again(tmp_path, change):
    run(FakeTask(), tmp_path)
    task = change.pop("task", None) or FakeTask()
    assert run(task, tmp_path, **change).reused < 5
    assert (10, True) in task.measured


def test_the_original_does_not_depend_on_the_encoder_or_the_restorer():
    original, jpeg, restored = plan([10], [BASE])
    first, second = JpegSettings(), JpegSettings("4:4:4", "cuda", "fp16")
    keys = [condition_key(FakeTask(), original, settings, "1") for settings in (first, second)]
    assert keys[0] == keys[1]
    other = RestorerChoice("base", "base", "other weights")
    assert condition_key(FakeTask(), restored, first, "1") != condition_key(
        FakeTask(), plan([10], [other])[2], first, "1"
    )
    assert "Pillow" in condition_key(FakeTask(), jpeg, first, "1")["encoder"]


@pytest.mark.parametrize("content", ["", "{", "[]", '{"key": 1}', '{"key": {}, "result": {}}'])
def test_a_damaged_result_is_measured_again(tmp_path, content):
    run(FakeTask(), tmp_path)
    for path in tmp_path.glob("*.json"):
        path.write_text(content)
    assert run(FakeTask(), tmp_path).reused == 0


def test_stored_files_say_what_they_are_of(tmp_path):
    run(FakeTask(), tmp_path)
    names = sorted(path.name for path in tmp_path.iterdir())
    assert len(names) == 5
    assert all(name.startswith("coco-yolo_x-") for name in names)
    document = json.loads(next(tmp_path.glob("*-base-qf10-*.json")).read_text())
    assert document["result"]["value"] == 27.0
    assert document["key"]["restorer"]["sha256"] == "ab"


def test_one_failing_condition_does_not_stop_the_rest(tmp_path):
    outcome = run(FakeTask(fails=[(90, True)]), tmp_path)
    assert outcome.failed == [{"file": "yolo/x: base at QF 90", "reason": "cannot stand there"}]
    assert [(row["restorer"], row["qf"]) for row in outcome.rows] == [
        ("original", None),
        ("jpeg", 10),
        ("jpeg", 90),
        ("base", 10),
    ]


def test_without_the_original_there_is_no_recovery(tmp_path):
    outcome = run(FakeTask(fails=[None]), tmp_path)
    assert {row["recovery"] for row in outcome.rows} == {None}
