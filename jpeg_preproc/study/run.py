"""A study from its cells to its comparisons: what is stored is used, the rest is measured."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from jpeg_preproc.distributed import ALONE, Processes
from jpeg_preproc.errors import JpegPreprocError, StudyError
from jpeg_preproc.evaluation.condition_store import Stored, condition_key
from jpeg_preproc.evaluation.conditions import Condition
from jpeg_preproc.evaluation.stages import Stopwatch
from jpeg_preproc.evaluation.task import Measurement, Task
from jpeg_preproc.stats.rate import check_packages
from jpeg_preproc.study.compare import compare_models
from jpeg_preproc.study.comparison_rows import ComparisonRow, ModelResults
from jpeg_preproc.study.jobs import JobsRun, demo_jobs, measure_prepared
from jpeg_preproc.study.prepare import Job, PreparedJobs, RunOptions, bar_of_first, prepare_jobs
from jpeg_preproc.study.spec import Study, check_files

#: How many images a dry run times under each condition.
TIMED_IMAGES = 3


@dataclass(frozen=True)
class Cell:
    """One cell of a study as a dry run sees it.

    Attributes:
        dataset: Short name of the test data.
        model: Short name of the model.
        condition: What the images go through, for people.
        stored: Whether it need not be measured.
        seconds: Time that measuring it is expected to take; 0 where it is stored, NaN where timing
            failed.
        note: What failed, or what has changed since it was measured.
    """

    dataset: str
    model: str
    condition: str
    stored: bool
    seconds: float
    note: str = ""


def run_study(
    study: Study,
    options: RunOptions,
    processes: Processes = ALONE,
    *,
    measure_again: bool = False,
) -> tuple[JobsRun, list[ComparisonRow]]:
    """Measure what is not stored yet, and compare.

    Args:
        study: What to measure and compare.
        options: How it is measured; finished cells are kept in ``options.out``, where every study
            finds them.
        processes: Processes that share the work; each makes this call.
        measure_again: Whether cells that other versions have measured are measured again.

    Returns:
        What came of the cells, and the comparisons; the first process has these, the others none.

    Raises:
        StudyError: A file is missing, cells do not compare, or cells were measured by other
            versions.
        JpegPreprocError: A model, its data, a corruption or a restorer cannot be used.
        LauncherError: Another process has ended.
    """
    watch = Stopwatch()
    prepared = _prepared(study, options, processes)
    if not measure_again:
        processes.first(lambda: _check_versions(prepared))
    run = measure_prepared(prepared, watch)
    if not processes.is_first:
        return run, []
    results = [result for one in run.runs if one.rows for result in ModelResults.of(one)]
    return run, compare_models(results, study.compare)


def dry_run(study: Study, options: RunOptions) -> list[Cell]:
    """Return the cells of a study, with what is stored and how long the others will take.

    The models are loaded and all images checked, as a run does it; a few images are then timed for
    cells that are not stored, and nothing is kept. Cells that differ only in how strongly their
    images are corrupted take the time of the first of them, or its failure.

    Args:
        study: What would be measured.
        options: How it would be measured.

    Raises:
        JpegPreprocError: As :func:`run_study`, apart from cells of other versions, which are noted.
    """
    prepared = _prepared(study, options, ALONE)
    cells: list[Cell] = []
    with (
        tempfile.TemporaryDirectory() as folder,
        bar_of_first("timing", options, ALONE) as bar,
    ):
        step = bar.add_task("timing", total=len(prepared.tasks) * len(prepared.conditions))
        few = replace(options, limit=TIMED_IMAGES, out=Path(folder), show_progress=False)
        for job, task in zip(_jobs(study, ALONE), prepared.tasks, strict=True):
            timed: PreparedJobs | None = None
            known: dict[tuple[str | None, str | None], tuple[float, str]] = {}
            for condition, stored in _stored(prepared, task):
                note = "; ".join(stored.changed)
                seconds = 0.0
                if stored.result is None:
                    kind = _kind(condition)
                    if kind not in known:
                        timed = timed or prepare_jobs([job], prepared.conditions, few)
                        known[kind] = _expected(timed, condition, task.images)
                    seconds, failure = known[kind]
                    note = failure or note
                cells.append(
                    Cell(
                        dataset=task.dataset,
                        model=task.model,
                        condition=condition.title,
                        stored=stored.result is not None,
                        seconds=seconds,
                        note=note,
                    )
                )
                bar.update(step, advance=1, description=f"{task.model}, {condition.title}")
    return cells


def _kind(condition: Condition) -> tuple[str | None, str | None]:
    """Return what a condition's time depends on: the kind of its corruption, and its restorer."""
    corruption, restorer = condition.corruption, condition.restorer
    return (
        None if corruption is None else corruption.kind,
        None if restorer is None else restorer.label,
    )


def _prepared(study: Study, options: RunOptions, processes: Processes) -> PreparedJobs:
    """Return the study's models, ready and apt to be compared."""
    check_files(study)
    if study.compare.rate is not None:
        check_packages()  # not after hours
    jobs = _jobs(study, processes)
    prepared = prepare_jobs(jobs, study.conditions, options, processes)
    check_one_test_set(prepared.tasks)
    return prepared


def _jobs(study: Study, processes: Processes) -> Sequence[Job]:
    return demo_jobs(processes) if study.jobs is None else study.jobs


def check_one_test_set(tasks: Sequence[Task]) -> None:
    """Check that models on one data set are measured on as many images.

    Raises:
        StudyError: Two are not, so that their rows do not compare.
    """
    first: dict[str, Task] = {}
    for task in tasks:
        other = first.setdefault(task.dataset, task)
        if task.images != other.images:
            raise StudyError(
                f"{other.model!r} and {task.model!r} are both on data set {task.dataset!r}, but on "
                f"{other.images} and {task.images} images, which do not compare; mend the images "
                "that one of them leaves out, or give their data sets two names"
            )


def _stored(prepared: PreparedJobs, task: Task) -> Iterator[tuple[Condition, Stored]]:
    """Yield the conditions of a task with what is stored of each."""
    for condition in prepared.conditions:
        key = condition_key(task, condition, prepared.settings)
        yield condition, prepared.store.load(task, condition, key)


def _check_versions(prepared: PreparedJobs) -> None:
    """Raise StudyError where cells of this very study were measured by other versions."""
    older = [
        (f"{task.model}: {condition.title}", stored.changed)
        for task in prepared.tasks
        for condition, stored in _stored(prepared, task)
        if _is_of_other_version(stored)
    ]
    if older:
        title, changed = older[0]
        raise StudyError(
            f"{prepared.store.folder} has {len(older)} cell(s) of this study from other versions "
            f"({title}: {'; '.join(changed)}); give another --out, go back to those versions, or "
            "measure the cells again with --measure-again"
        )


def _is_of_other_version(stored: Stored) -> bool:
    """Tell whether nothing but versions is known to differ from what is stored."""
    changed = [line for line in stored.changed if not line.startswith("and ")]
    return bool(changed) and all(line.startswith(("revision ", "versions.")) for line in changed)


def _expected(timed: PreparedJobs, condition: Condition, images: int) -> tuple[float, str]:
    """Return the seconds that a condition will take on ``images`` images, or NaN and why."""
    (task,) = timed.tasks
    try:
        measured: Measurement = task.measure(condition, timed.settings, "timed")
    except JpegPreprocError as error:
        return math.nan, str(error)
    # Loading the restorer happens once, the rest for every image.
    once = measured.stages.get("prepare", (0.0, 0.0))[0]
    every = sum(wall for name, (wall, _) in measured.stages.items() if name != "prepare")
    return once + every * images / measured.images, ""
