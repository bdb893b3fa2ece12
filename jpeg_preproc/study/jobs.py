"""Models measured under conditions: what corruption costs them, and what restoring gives back."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jpeg_preproc.corruptions import Corruption
from jpeg_preproc.defaults import MODEL_RESTORER
from jpeg_preproc.demo import check_demo_files, demo_configs
from jpeg_preproc.distributed import ALONE, Processes
from jpeg_preproc.errors import JpegPreprocError
from jpeg_preproc.evaluation.conditions import (
    DEFAULT_QFS,
    Condition,
    RestoreSettings,
    choose_restorers,
    jpeg_at,
    plan,
)
from jpeg_preproc.evaluation.rows import DownstreamRow
from jpeg_preproc.evaluation.run import TaskRun, run_task
from jpeg_preproc.evaluation.stages import Seconds, Stopwatch, add_seconds
from jpeg_preproc.evaluation.task import Task
from jpeg_preproc.report import progress
from jpeg_preproc.study.prepare import Job, PreparedJobs, RunOptions, bar_of_first, prepare_jobs

DEFAULT_CORRUPTIONS = tuple(jpeg_at(DEFAULT_QFS))


@dataclass(frozen=True)
class JobsRun:
    """What came of the jobs.

    Attributes:
        tasks: The models with their test sets, as they were prepared.
        runs: What came of the conditions of each model.
        conditions: The conditions that each model was measured under.
        settings: How restorers ran.
        started: When the run began, in seconds since 1970.
        seconds: Wall-clock and CPU seconds, those of all processes added up.
    """

    tasks: list[Task]
    runs: list[TaskRun]
    conditions: list[Condition]
    settings: RestoreSettings
    started: float
    seconds: tuple[float, float]

    @property
    def rows(self) -> list[DownstreamRow]:
        """The rows of all jobs, in their order: of their own metrics, then of the finer judges."""
        rows = [row for run in self.runs for row in run.rows]
        return sorted(rows, key=lambda row: row.is_finer)

    @property
    def stages(self) -> Seconds:
        """How long each stage took, preparing included."""
        return add_seconds([task.stages for task in self.tasks] + [run.stages for run in self.runs])

    @property
    def skipped(self) -> list[dict[str, str]]:
        """``{'file': ..., 'reason': ...}`` of each image that no row includes."""
        return [entry for task in self.tasks for entry in task.skipped]

    @property
    def failed(self) -> list[dict[str, str]]:
        """``{'file': ..., 'reason': ...}`` of each condition that could not be measured."""
        return [entry for run in self.runs for entry in run.failed]

    @property
    def outdated(self) -> list[str]:
        """A line for each stored condition that was measured again, with the reason."""
        return [line for run in self.runs for line in run.outdated]

    @property
    def reused(self) -> int:
        """How many conditions were there from an earlier run."""
        return sum(run.reused for run in self.runs)

    def stages_alone(self) -> Seconds:
        """Return the seconds of the stages of all conditions, each measured alone."""
        with progress("measuring each stage alone") as bar:
            pairs = [(task, one) for task in self.tasks for one in self.conditions]
            return add_seconds(
                task.stages_alone(one, self.settings) for task, one in bar.track(pairs)
            )


def measure_recovery(
    config: str | os.PathLike[str],
    checkpoint: str | os.PathLike[str],
    corruptions: Iterable[Corruption | str] = DEFAULT_CORRUPTIONS,
    restorers: Iterable[str] = (MODEL_RESTORER,),
    *,
    data_root: str | os.PathLike[str] | None = None,
    cfg_options: Mapping[str, Any] | None = None,
    consistent: bool = False,
    options: RunOptions | None = None,
) -> list[DownstreamRow]:
    """Measure what corruptions cost one model and what restorers give back; return a row for each.

    Every condition is evaluated on the same images, through the config's own dataset, model and
    metric. Finished conditions are kept in ``options.out`` and used again as long as nothing they
    depend on has changed.

    Args:
        config: Path of an mmdet, mmseg or ONNX config.
        checkpoint: Path of its weights, or of its .onnx file.
        corruptions: What happens to the images; see
            :func:`~jpeg_preproc.corruptions.parse_corruption`.
        restorers: Names of shipped weights, or weights files.
        data_root: Replaces the root of the test data.
        cfg_options: Dotted keys of the config and their new values.
        consistent: Measure each restorer once more with results made consistent with the files.
        options: How it is measured; the defaults of :class:`RunOptions` without.

    Returns:
        The rows of the original images, of the corrupted ones without restoring, and then of those
        that each restorer has restored: first those of the model's own metric, then those of the
        finer judge beside it, see :mod:`~jpeg_preproc.evaluation.judges`.

    Raises:
        JpegPreprocError: The config, the checkpoint, the data, a corruption or a restorer cannot
            be used, or a condition could not be measured. What was finished by then is kept.
    """
    job = Job(
        Path(config),
        Path(checkpoint),
        dict(cfg_options or {}),
        None if data_root is None else Path(data_root),
    )
    run = measure_jobs(
        [job], corruptions, restorers, consistent=consistent, options=options or RunOptions()
    )
    if run.failed:
        raise JpegPreprocError(
            "; ".join(f"{entry['file']}: {entry['reason']}" for entry in run.failed)
        )
    return run.rows


def measure_jobs(
    jobs: Sequence[Job],
    corruptions: Iterable[Corruption | str],
    restorers: Iterable[str],
    *,
    consistent: bool = False,
    options: RunOptions,
    processes: Processes = ALONE,
) -> JobsRun:
    """Measure jobs and return what came of them.

    All jobs are prepared first, so that what is wrong with one is known before hours are spent. A
    condition that cannot be measured is listed in :attr:`JobsRun.failed`, and the rest goes on.

    Args:
        jobs: Models to measure.
        corruptions: What happens to the images; see
            :func:`~jpeg_preproc.corruptions.parse_corruption`.
        restorers: Names of shipped weights, or weights files.
        consistent: Measure each restorer once more with results made consistent with the files.
        options: How the jobs are measured.
        processes: Processes that share the work; each makes this call.

    Raises:
        JpegPreprocError: A job, a corruption or a restorer cannot be used.
        LauncherError: Another process has ended.
    """
    watch = Stopwatch()
    conditions = plan(corruptions, choose_restorers(restorers, consistent))
    return measure_prepared(prepare_jobs(jobs, conditions, options, processes), watch)


def measure_prepared(prepared: PreparedJobs, watch: Stopwatch) -> JobsRun:
    """Measure jobs that are ready, and return what came of them; see :func:`measure_jobs`.

    Args:
        prepared: What :func:`~.prepare.prepare_jobs` returned.
        watch: Watch that was started when the run began.

    Raises:
        LauncherError: Another process has ended.
    """
    tasks, conditions, settings = prepared.tasks, prepared.conditions, prepared.settings
    processes = prepared.processes
    with bar_of_first("measuring", prepared.options, processes) as bar:
        total = sum(task.images for task in tasks) * len(conditions)
        step = bar.add_task("", total=total)

        def on_image(title: str) -> None:
            bar.update(step, advance=1, description=title)

        runs = [
            run_task(task, conditions, prepared.store, settings, on_image, processes)
            for task in tasks
        ]
    spent = processes.each(watch.seconds)
    seconds = (sum(wall for wall, _ in spent), sum(cpu for _, cpu in spent))
    return JobsRun(tasks, runs, conditions, settings, watch.started, seconds)


def demo_jobs(processes: Processes = ALONE) -> list[Job]:
    """Return the jobs of the embedded demo, whose photographs lie in the package.

    Args:
        processes: Processes that share the work; the first one checks the files.

    Raises:
        DemoError: A file of the demo is missing or has been changed.
    """
    processes.first(check_demo_files)
    return [Job(config, checkpoint) for config, checkpoint in demo_configs().values()]
