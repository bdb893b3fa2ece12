"""A study from its cells to its comparisons, on tasks whose measurements are known."""

from __future__ import annotations

import math
import sys
from dataclasses import replace

import pytest
from fake_task import FakeTask

from jpeg_preproc.corruptions import Jpeg
from jpeg_preproc.errors import CorruptionError, JpegPreprocError, PipelineError, StudyError
from jpeg_preproc.evaluation import condition_store
from jpeg_preproc.study import prepare
from jpeg_preproc.study.prepare import RunOptions
from jpeg_preproc.study.results import cell_table
from jpeg_preproc.study.run import dry_run, run_study
from jpeg_preproc.study.spec import read_study

pytest.importorskip("mmengine", reason="needs mmengine, which reads configs")

COMPARE = "compare = dict(robustness=True)\n"


@pytest.fixture
def tasks(monkeypatch):
    """The tasks that studies have made; what the last but one of a config is can be set."""
    made = []

    def build(config, checkpoint, out, **settings):
        task = FakeTask()
        task.images = 2 if config.stem == "one" else 3
        made.append(task)
        return task

    monkeypatch.setattr(prepare, "_task_type", lambda job, options: build)
    return made


@pytest.fixture
def options(tmp_path):
    return RunOptions(out=tmp_path / "out", show_progress=False)


def values(rows):
    return [(row.restorer, row.corruption, row.value, row.recovery, row.images) for row in rows]


def test_cells_are_measured_once_and_named_as_the_study_names_them(write, tasks, options):
    study = read_study(write(COMPARE))
    run, comparisons = run_study(study, options)
    assert {(row.dataset, row.model) for row in run.rows} == {("coco", "one")}
    assert len(tasks[0].measured) == 7 and run.reused == 0
    assert {row.comparison for row in comparisons} == {"difference", "robustness"}
    again, compared = run_study(study, options)
    assert tasks[1].measured == [] and again.reused == 7
    assert again.rows == run.rows and compared == comparisons


def test_another_study_uses_what_it_shares_whatever_it_calls_the_model(write, tasks, options):
    run_study(read_study(write()), options)
    other = write("models = dict(renamed=models.pop('one'))\ncorruptions = ['jpeg:10']\n")
    run, _ = run_study(read_study(other), options)
    assert run.reused == 3 and {row.model for row in run.rows} == {"renamed"}


def test_a_study_killed_in_the_middle_ends_as_one_that_was_not(
    write, tasks, options, tmp_path, monkeypatch
):
    study = read_study(write(COMPARE))
    straight = run_study(study, replace(options, out=tmp_path / "straight"))
    measure = FakeTask.measure

    def killed(task, *arguments):
        if len(task.measured) == 4:
            raise KeyboardInterrupt
        return measure(task, *arguments)

    with monkeypatch.context() as patch:
        patch.setattr(FakeTask, "measure", killed)
        with pytest.raises(KeyboardInterrupt):
            run_study(study, options)
    resumed = run_study(study, options)
    assert resumed[0].reused == 4 and len(tasks[-1].measured) == 3
    assert resumed[0].rows == straight[0].rows and resumed[1] == straight[1]
    names = [
        sorted(path.name for path in (folder / "conditions").iterdir())
        for folder in (options.out, tmp_path / "straight")
    ]
    assert names[0] == names[1]


def test_cells_of_another_version_are_refused_before_anything_is_measured(
    write, tasks, options, monkeypatch
):
    study = read_study(write())
    run_study(study, options)
    monkeypatch.setattr(condition_store, "REVISION", condition_store.REVISION + 1)
    with pytest.raises(StudyError, match=r"7 cell\(s\) of this study from other versions .*again"):
        run_study(study, options)
    assert tasks[1].measured == []
    run, _ = run_study(study, options, measure_again=True)
    assert run.reused == 0 and len(run.outdated) == 7


def test_cells_of_other_images_are_no_other_version(write, tasks, options, monkeypatch):
    study = read_study(write())
    run_study(study, options)
    init = FakeTask.__init__
    monkeypatch.setattr(FakeTask, "__init__", lambda task: init(task, images=7))
    run, _ = run_study(study, options)
    assert run.reused == 0 and "task.images was absent, is 7" in run.outdated[0]


def test_models_on_one_data_set_are_on_the_same_images(write, tasks, options, tmp_path):
    (tmp_path / "two.py").touch()
    study = read_study(
        write("models['two'] = dict(config='two.py', checkpoint='one.pth', datasets=['coco'])\n")
    )
    with pytest.raises(StudyError, match="'one' and 'two' are both on data set 'coco', but on 2 a"):
        run_study(study, options)
    assert [task.measured for task in tasks] == [[], []]


def test_a_package_that_lacks_is_known_before_a_model_is_loaded(write, tasks, options, monkeypatch):
    def lacks(self):
        raise CorruptionError("install it")

    monkeypatch.setattr(Jpeg, "key", lacks)
    with pytest.raises(CorruptionError):
        run_study(read_study(write()), options)
    assert tasks == []


def test_a_package_for_the_comparisons_too(write, tasks, options, monkeypatch):
    monkeypatch.setitem(sys.modules, "bjontegaard", None)
    study = read_study(write("compare = dict(rate='jpeg')\n"))
    with pytest.raises(JpegPreprocError, match=r"jpeg_preproc\[report\]"):
        run_study(study, options)
    assert tasks == []


def test_a_missing_file_is_known_before_a_model_is_loaded(write, tasks, options, tmp_path):
    path = write()
    (tmp_path / "one.pth").unlink()
    with pytest.raises(StudyError, match=r"one\.pth is not there"):
        run_study(read_study(path), options)
    assert tasks == []


def test_a_cell_that_fails_is_listed_and_the_rest_is_compared(write, tasks, options, monkeypatch):
    measure = FakeTask.measure

    def fails(task, condition, *others):
        if condition.title == "base at QF 10":
            raise PipelineError("cannot stand there")
        return measure(task, condition, *others)

    monkeypatch.setattr(FakeTask, "measure", fails)
    run, comparisons = run_study(read_study(write(COMPARE)), options)
    assert [entry["reason"] for entry in run.failed] == ["cannot stand there"]
    assert [row.measure for row in comparisons if row.comparison == "difference"] == [
        *("QF 90", "webp:30", "all")
    ]


def test_a_dry_run_measures_nothing_that_stays(write, tasks, options, monkeypatch):
    study = read_study(write("corruptions = ['jpeg:10']\n"))
    run_study(study, options)
    measure = FakeTask.measure

    def timed(task, condition, *others):
        if condition.title == "base at QF 90":
            raise PipelineError("cannot stand there")
        result = measure(task, condition, *others)
        return replace(result, stages={"prepare": (5.0, 1.0), "model": (3.0, 1.0)})

    monkeypatch.setattr(FakeTask, "measure", timed)
    tasks.clear()
    before = sorted(options.out.rglob("*"))
    cells = dry_run(read_study(write()), options)
    assert sorted(options.out.rglob("*")) == before
    assert [(cell.condition, cell.stored) for cell in cells] == [
        *(("original", True), ("jpeg at QF 10", True), ("base at QF 10", True)),
        *(("jpeg at QF 90", False), ("base at QF 90", False)),
        ("corrupted, WebP at quality 30", False),
        ("base, WebP at quality 30", False),
    ]
    # Once 5 s, and 3 s for the two timed images, as many as there are.
    assert [cell.seconds for cell in cells[:4]] == [0, 0, 0, 8.0]
    assert math.isnan(cells[4].seconds) and cells[4].note == "cannot stand there"
    table = cell_table(cells)
    assert [row[2] for row in table.rows] == [
        *("stored", "stored", "stored", "8 s", "not known", "8 s", "8 s", "24 s")
    ]
    assert table.rows[-1][:2] == ("7 cells", "4 to measure")


def test_a_dry_run_times_one_strength_of_each_corruption(write, tasks, options, monkeypatch):
    measure, timed = FakeTask.measure, []

    def noted(task, condition, *others):
        timed.append(condition.title)
        result = measure(task, condition, *others)
        return replace(result, stages={"model": (float(len(timed)), 1.0)})

    monkeypatch.setattr(FakeTask, "measure", noted)
    study = read_study(write("corruptions = ['jpeg:10', 'webp:30', 'jpeg:90', 'jpeg:50']\n"))
    seconds = {cell.condition: cell.seconds for cell in dry_run(study, options)}
    assert timed == [
        *("original", "jpeg at QF 10", "base at QF 10"),
        *("corrupted, WebP at quality 30", "base, WebP at quality 30"),
    ]
    assert len(seconds) == 9
    assert seconds["jpeg at QF 10"] == seconds["jpeg at QF 90"] == seconds["jpeg at QF 50"] == 2
    assert seconds["base at QF 10"] == seconds["base at QF 90"] == 3
    assert seconds["base, WebP at quality 30"] == 5


def test_a_dry_run_tells_of_cells_of_another_version(write, tasks, options, monkeypatch):
    study = read_study(write())
    run_study(study, options)
    monkeypatch.setattr(condition_store, "REVISION", condition_store.REVISION + 1)
    cells = dry_run(study, options)
    assert all("revision was" in cell.note and not cell.stored for cell in cells)
