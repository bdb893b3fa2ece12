"""Models to measure, made ready: by the back end that their configs ask for, checked, and keyed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Literal

import torch
from rich.console import Console
from rich.progress import Progress

from jpeg_preproc.defaults import MAX_PIXELS
from jpeg_preproc.distributed import ALONE, Processes
from jpeg_preproc.errors import JpegPreprocError, ModelError, PipelineError
from jpeg_preproc.evaluation.condition_store import ConditionStore
from jpeg_preproc.evaluation.conditions import Condition, RestoreSettings
from jpeg_preproc.evaluation.config import read_config
from jpeg_preproc.evaluation.onnx import OnnxTask, is_onnx_config
from jpeg_preproc.evaluation.task import Task
from jpeg_preproc.report import progress


@dataclass(frozen=True)
class Job:
    """One model to measure.

    Attributes:
        config: Path of an mmdet, mmseg or ONNX config.
        checkpoint: Path of its weights, or of its .onnx file.
        cfg_options: Dotted keys of the config and their new values.
        data_root: Replaces the root of the test data.
        model: What the rows call the model; by default the config's file name without its ending.
        dataset: What the rows call the test data; by default what the config says.
    """

    config: Path
    checkpoint: Path
    cfg_options: Mapping[str, Any] = field(default_factory=dict)
    data_root: Path | None = None
    model: str | None = None
    dataset: str | None = None


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
        keep_images: Whether restored images are kept in ``out``, so that several models share
            them.
        trust_checkpoint: Whether a checkpoint that holds more than tensors, and runs its code when
            it is loaded, is loaded.
        max_pixels: Images of more pixels are left out; ``None`` for none.
    """

    out: Path = Path("work_dirs/eval_downstream")
    limit: int | None = None
    device: str = "cpu"
    dtype: str = "fp32"
    where: Literal["pipeline", "preprocessor"] = "pipeline"
    num_workers: int = 0
    show_progress: bool = True
    keep_images: bool = False
    trust_checkpoint: bool = False
    max_pixels: int | None = MAX_PIXELS


@dataclass(frozen=True)
class PreparedJobs:
    """Jobs whose models are loaded and whose images are checked, with what is to be measured.

    Attributes:
        tasks: The models with their test sets.
        conditions: The conditions that each is to be measured under.
        settings: How restorers run.
        store: Where finished conditions lie.
        options: How the jobs are measured.
        processes: Those that share the work.
    """

    tasks: list[Task]
    conditions: list[Condition]
    settings: RestoreSettings
    store: ConditionStore
    options: RunOptions
    processes: Processes = ALONE


def prepare_jobs(
    jobs: Sequence[Job],
    conditions: Sequence[Condition],
    options: RunOptions,
    processes: Processes = ALONE,
) -> PreparedJobs:
    """Make jobs ready, so that what is wrong with one is known before hours are spent.

    Args:
        jobs: Models to measure.
        conditions: The conditions that each is to be measured under.
        options: How the jobs are measured.
        processes: Processes that share the work; each makes this call.

    Raises:
        JpegPreprocError: A job cannot be used, or a package that a corruption needs is missing.
        LauncherError: Another process has ended.
    """
    if options.keep_images and options.where != "pipeline":
        raise PipelineError(
            "--keep-images keeps what is restored in the pipeline; leave --where out"
        )
    for condition in conditions:
        if condition.corruption is not None:
            condition.corruption.key()  # where a codec's package is not installed, this raises
    device = options.device
    if device == "cuda" and processes.size > 1:
        device = f"cuda:{processes.local_rank % torch.cuda.device_count()}"
    # A CUDA restorer cannot run in a forked worker; those restore on the CPU.
    in_worker = options.num_workers and options.where == "pipeline"
    return PreparedJobs(
        tasks=[_prepared(job, options, device, processes) for job in jobs],
        conditions=list(conditions),
        settings=RestoreSettings(
            "cpu" if in_worker else device,
            options.dtype,
            options.where,
            options.out / "images" if options.keep_images else None,
        ),
        store=ConditionStore(options.out / "conditions"),
        options=options,
        processes=processes,
    )


def _prepared(job: Job, options: RunOptions, device: str, processes: Processes) -> Task:
    """Return a job's model with its test set, whose images are checked."""
    task_type = _task_type(job, options)
    with bar_of_first(f"checking the images of {job.config.stem}", options, processes) as bar:
        step = bar.add_task("", total=None)

        def on_check(name: str, total: int) -> None:
            bar.update(step, advance=1, total=total, description=name)

        task = task_type(
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
            max_pixels=options.max_pixels,
        )
    # The names that a study gives; no key holds them, so that what is stored is found all the same.
    task.model = job.model or task.model
    task.dataset = job.dataset or task.dataset
    return task


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


def bar_of_first(description: str, options: RunOptions, processes: Processes) -> Progress:
    """Return a bar, which is shown in the first process alone."""
    shown = options.show_progress and processes.is_first
    return progress(description, None if shown else Console(quiet=True))
