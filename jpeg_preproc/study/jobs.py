"""Models to measure, prepared by the back end that their configs ask for, and measured."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Literal

import torch
from rich.console import Console
from rich.progress import Progress

from jpeg_preproc.corruptions import Corruption, parse_corruption
from jpeg_preproc.defaults import MODEL_RESTORER
from jpeg_preproc.demo import check_demo_files, demo_configs
from jpeg_preproc.distributed import ALONE, Processes
from jpeg_preproc.errors import JpegPreprocError, ModelError
from jpeg_preproc.evaluation.condition_store import ConditionStore
from jpeg_preproc.evaluation.conditions import (
    DEFAULT_QFS,
    Condition,
    RestoreSettings,
    choose_restorers,
    jpeg_at,
    plan,
)
from jpeg_preproc.evaluation.config import read_config
from jpeg_preproc.evaluation.onnx import OnnxTask, is_onnx_config
from jpeg_preproc.evaluation.rows import DownstreamRow
from jpeg_preproc.evaluation.run import TaskRun, run_task
from jpeg_preproc.evaluation.stages import Seconds, Stopwatch, add_seconds
from jpeg_preproc.evaluation.task import Task
from jpeg_preproc.report import progress

DEFAULT_CORRUPTIONS = tuple(jpeg_at(DEFAULT_QFS))


@dataclass(frozen=True)
class Job:
    """One model to measure.

    Attributes:
        config: Path of an mmdet, mmseg or ONNX config.
        checkpoint: Path of its weights, or of its .onnx file.
        cfg_options: Dotted keys of the config and their new values.
        data_root: Replaces the root of the test data.
    """

    config: Path
    checkpoint: Path
    cfg_options: Mapping[str, Any] = field(default_factory=dict)
    data_root: Path | None = None


@dataclass(frozen=True)
class RunOptions:
    """How jobs are measured: on which images and devices, in which precision, and what is shown.

    Attributes:
        out: Folder of finished conditions, predictions and shortened annotations.
        limit: Evaluate this many images, evenly spaced over the set; ``None`` for all.
        device: Device of the models, and of restorers that do not run in workers.
        dtype: Precision of restorers: ``'fp32'``, ``'bf16'`` or ``'fp16'``.
        where: ``'pipeline'``, or ``'preprocessor'`` to restore in the model's data preprocessor.
        num_workers: Processes that load, corrupt and restore; 0 does it in this one.
        show_progress: Whether bars are shown.
        trust_checkpoint: Whether a checkpoint that holds more than tensors, and runs its code when
            it is loaded, is loaded.
    """

    out: Path = Path("work_dirs/eval_downstream")
    limit: int | None = None
    device: str = "cpu"
    dtype: str = "fp32"
    where: Literal["pipeline", "preprocessor"] = "pipeline"
    num_workers: int = 0
    show_progress: bool = True
    trust_checkpoint: bool = False


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
    given = [parse_corruption(corruption) for corruption in corruptions]
    for corruption in given:
        corruption.key()  # where a codec's package is not installed, this raises
    conditions = plan(given, choose_restorers(restorers, consistent))
    device = options.device
    if device == "cuda" and processes.size > 1:
        device = f"cuda:{processes.local_rank % torch.cuda.device_count()}"
    # A CUDA restorer cannot run in a forked worker; those restore on the CPU.
    in_worker = options.num_workers and options.where == "pipeline"
    settings = RestoreSettings("cpu" if in_worker else device, options.dtype, options.where)
    tasks = [_prepared(job, options, device, processes) for job in jobs]
    store = ConditionStore(options.out / "conditions")
    with _progress("measuring", options, processes) as bar:
        total = sum(task.images for task in tasks) * len(conditions)
        step = bar.add_task("", total=total)

        def on_image(title: str) -> None:
            bar.update(step, advance=1, description=title)

        runs = [run_task(task, conditions, store, settings, on_image, processes) for task in tasks]
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


def _prepared(job: Job, options: RunOptions, device: str, processes: Processes) -> Task:
    """Return a job's model with its test set, whose images are checked."""
    task_type = _task_type(job, options)
    with _progress(f"checking the images of {job.config.stem}", options, processes) as bar:
        step = bar.add_task("", total=None)

        def on_check(name: str, total: int) -> None:
            bar.update(step, advance=1, total=total, description=name)

        return task_type(
            job.config,
            job.checkpoint,
            options.out,
            cfg_options=job.cfg_options,
            data_root=job.data_root,
            limit=options.limit,
            device=device,
            num_workers=options.num_workers,
            on_check=on_check,
            processes=processes,
        )


def _task_type(job: Job, options: RunOptions) -> Callable[..., Task]:
    """Return what measures a job; OpenMMLab is imported for its own configs alone."""
    if is_onnx_config(read_config(job.config, job.cfg_options)):
        if options.where != "pipeline":
            raise ModelError(
                f"--where {options.where}: {job.config} is of an ONNX model, which has no data "
                "preprocessor; leave --where out"
            )
        return OnnxTask
    if job.checkpoint.suffix == ".onnx":
        raise ModelError(
            f"{job.config} is a config of OpenMMLab, and {job.checkpoint} an ONNX model; give a "
            "config whose model is an OnnxDetector or OnnxSegmentor, see "
            "configs/downstream/onnx_yolox_nano_coco.py"
        )
    try:
        from jpeg_preproc.openmmlab.evaluation.task import OpenMMLabTask
    except ModuleNotFoundError as error:
        raise JpegPreprocError(f"{job.config} is a config of OpenMMLab: {error}") from error
    return partial(OpenMMLabTask, trust_checkpoint=options.trust_checkpoint)


def _progress(description: str, options: RunOptions, processes: Processes) -> Progress:
    """Return a bar, which is shown in the first process alone."""
    shown = options.show_progress and processes.is_first
    return progress(description, None if shown else Console(quiet=True))
