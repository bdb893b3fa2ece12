"""Measure what JPEG costs a detector or segmenter, and how much of it restoration gives back."""

from __future__ import annotations

import argparse
import functools
import shlex
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from mmengine.config import DictAction
from rich.console import Console
from rich.progress import Progress

from jpeg_preproc.cli.exit_codes import DONE, INTERRUPTED, REFUSED, SOME_SKIPPED
from jpeg_preproc.defaults import IMAGE_RESTORER, MODEL_RESTORER
from jpeg_preproc.demo import demo_cfg_options, demo_configs, make_demo_dataset
from jpeg_preproc.distributed import LAUNCHERS, Processes, joined
from jpeg_preproc.errors import JpegPreprocError, ModelError, ReportedElsewhereError
from jpeg_preproc.evaluation.conditions import Condition, JpegSettings, choose_restorers, plan
from jpeg_preproc.evaluation.config import read_config
from jpeg_preproc.evaluation.downstream import SEED, ConditionStore, Outcome, Task, run_task
from jpeg_preproc.evaluation.onnx import OnnxTask, is_onnx_config
from jpeg_preproc.evaluation.stages import Seconds, Stopwatch, add_seconds, breakdown
from jpeg_preproc.evaluation.versions import package_version, versions
from jpeg_preproc.report import (
    console,
    print_error,
    print_tables,
    progress,
    result_tables,
    write_results,
)
from jpeg_preproc.report.plots import plot_metric_vs_qf
from jpeg_preproc.report.timing import breakdown_table

_EPILOG = """\
Every condition sees the same images, through the config's own dataset, model and metric. The
transforms JpegCompress and JpegRestore are put right behind LoadImageFromFile; restorers read the
quantisation tables of the compression. "recovery" is (restored - jpeg) / (original - jpeg): 100 %
gives back the whole loss, a negative one harms. Behind it stands its 95 % interval: the test set
drawn 1000 times from its own images, with the same draws in every condition; there is none where
JPEG costs too little to tell, and no recovery where it costs nothing.

A config whose model is an OnnxDetector or OnnxSegmentor measures a .onnx file under onnxruntime,
without mmcv, mmdet or mmseg. Its images are compressed and restored as stored, then turned
upright; those of OpenMMLab as its loader gives them, upright.

A run that was stopped goes on when started again with the same --out: finished conditions are
kept in OUT/conditions and used again as long as nothing they depend on has changed.
A run that several processes share (--launcher) gives the same results as one process; the device
cuda is then one GPU for each.

Below the results stands what took the time. "model" goes from pixels to detections or labels, the
config's own resizing included; "rest" is imports, progress, and waiting for other processes.
Exit code: 0, or 1 if images or conditions were left out (they are listed), or 2 on an error; with
a launcher, that of the first process.

examples:
  python tools/eval_downstream.py
  python tools/eval_downstream.py configs/downstream/yolox_nano_coco.py yolox_nano.pth \\
      --data-root data/coco --qf 10 20 30 40 --restorers small-task base --limit 50
  python tools/eval_downstream.py configs/downstream/onnx_yolox_nano_coco.py yolox_nano.onnx \\
      --data-root data/coco
  torchrun --nproc-per-node 2 tools/eval_downstream.py configs/downstream/yolox_nano_coco.py \\
      yolox_nano.pth --data-root data/coco --launcher pytorch
"""


@dataclass
class Job:
    """One model to measure."""

    config: Path
    checkpoint: Path
    cfg_options: dict[str, Any] = field(default_factory=dict)
    data_root: Path | None = None


def parse_args(argv: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, epilog=_EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "config",
        nargs="?",
        type=Path,
        help="mmdet, mmseg or ONNX config; without: the embedded demo",
    )
    parser.add_argument("checkpoint", nargs="?", type=Path, help="its weights, or .onnx file")
    parser.add_argument(
        "--qf", nargs="+", type=int, default=[10, 20, 30, 40], help="default: 10 20 30 40"
    )
    parser.add_argument(
        "--restorers",
        nargs="*",
        metavar="NAME|FILE",
        help=f"shipped weights or .safetensors files; default: {MODEL_RESTORER}, and of the demo "
        f"{IMAGE_RESTORER} too",
    )
    parser.add_argument(
        "--consistent",
        action="store_true",
        help="measure each restorer once more as NAME+file, its results moved to where the "
        "compressed file says that the original was",
    )
    parser.add_argument("--data-root", type=Path, metavar="DIR", help="of the test data")
    parser.add_argument(
        "--limit", type=int, metavar="N", help="evaluate N images, evenly spaced over the set"
    )
    parser.add_argument(
        "--out", "--work-dir", type=Path, default=Path("work_dirs/eval_downstream"), metavar="DIR"
    )
    parser.add_argument(
        "--cfg-options", nargs="+", action=DictAction, metavar="KEY=VALUE", help="change the config"
    )
    parser.add_argument("--subsampling", choices=("4:4:4", "4:2:2", "4:2:0"), default="4:2:0")
    parser.add_argument(
        "--device", help="of the model and, without workers, the restorer; default: cuda if there"
    )
    parser.add_argument("--dtype", choices=("fp32", "bf16", "fp16"), default="fp32")
    parser.add_argument(
        "--num-workers", type=int, default=0, metavar="N", help="processes that restore on the CPU"
    )
    parser.add_argument(
        "--where",
        choices=("pipeline", "preprocessor"),
        default="pipeline",
        help="restore behind the image loader, or in the data preprocessor of an OpenMMLab model, "
        "on its device; default: pipeline",
    )
    parser.add_argument(
        "--launcher",
        choices=LAUNCHERS,
        default="none",
        help="that has started this command several times, to share the images; pytorch is "
        "torchrun",
    )
    # torch.distributed.launch gives each process its rank this way.
    parser.add_argument("--local_rank", "--local-rank", type=int, help=argparse.SUPPRESS)
    parser.add_argument(
        "--alone",
        action="store_true",
        help="measure each stage alone as well, to compare the run with their sum; holds all "
        "images in memory",
    )
    parser.add_argument(
        "--trust-checkpoint",
        action="store_true",
        help="load checkpoints that hold more than tensors, which runs whatever code they name",
    )
    args = parser.parse_args(argv)
    if (args.config is None) != (args.checkpoint is None):
        parser.error("give CONFIG and CHECKPOINT, or neither for the embedded demo")
    if args.config is None and (args.data_root or args.cfg_options):
        parser.error("--data-root and --cfg-options belong to a CONFIG")
    if (args.limit is not None and args.limit < 1) or args.num_workers < 0:
        parser.error("--limit must be at least 1 and --num-workers at least 0")
    if args.alone and args.launcher != "none":
        parser.error("--alone is measured in one process; leave --launcher out")
    if args.restorers is None:
        args.restorers = [MODEL_RESTORER, *([IMAGE_RESTORER] if args.config is None else [])]
    args.device = args.device or ("cuda" if torch.cuda.is_available() else "cpu")
    return args


def main(argv: Sequence[str] | None = None) -> int:
    """Run the evaluation and return the exit code."""
    args = parse_args(argv)
    try:
        with joined(args.launcher) as processes:
            try:
                return processes.each(lambda: _run(args, argv, processes))[processes.rank]
            except KeyboardInterrupt:
                if processes.is_first:
                    console(stderr=True).print("Stopped; the same command goes on from here.")
                return INTERRUPTED
    except ReportedElsewhereError:
        return DONE  # a launcher would end the process that is about to report it
    except JpegPreprocError as error:
        print_error(error)
        return REFUSED


def _run(args: argparse.Namespace, argv: Sequence[str] | None, processes: Processes) -> int:
    """Do what the arguments ask for, as one of the processes, and return the exit code."""
    watch = Stopwatch()
    conditions = plan(args.qf, choose_restorers(args.restorers, args.consistent))
    device = args.device
    if device == "cuda" and processes.size > 1:
        device = f"cuda:{processes.local_rank % torch.cuda.device_count()}"
    # A CUDA restorer cannot run in a forked worker; those restore on the CPU.
    in_worker = args.num_workers and args.where == "pipeline"
    settings = JpegSettings(
        args.subsampling, "cpu" if in_worker else device, args.dtype, args.where
    )
    try:
        tasks = _prepare(args, device, processes)
        store = ConditionStore(args.out / "conditions")
        outcomes = _measure(tasks, conditions, store, settings, processes)
        totals = processes.each(watch.seconds)
        if not processes.is_first:
            return DONE
        stages = add_seconds([task.stages for task in tasks] + [run.stages for run in outcomes])
        total = (sum(wall for wall, _ in totals), sum(cpu for _, cpu in totals))
        meta = _meta(args, argv, tasks, outcomes, watch)
        meta["breakdown"] = breakdown(stages, total)
        if args.alone:
            meta["alone"] = _stages_alone(tasks, conditions, settings)
        rows = [row for outcome in outcomes for row in outcome.rows]
        written = _write(args.out, meta, rows)
    except OSError as error:  # --out cannot be written, disk full
        raise JpegPreprocError(str(error)) from error
    print_tables([*result_tables(rows), breakdown_table(meta["breakdown"], meta.get("alone"))])
    if reused := sum(outcome.reused for outcome in outcomes):
        console().print(f"{reused} condition(s) were there from an earlier run")
    for path in written:
        console().print(f"wrote {path}", markup=False, soft_wrap=True)
    return SOME_SKIPPED if _list_left_out(tasks, outcomes) else DONE


def _jobs(args: argparse.Namespace, processes: Processes) -> list[Job]:
    """Return what to measure; without a config the demo, made below ``--out`` if need be."""
    if args.config is not None:
        return [Job(args.config, args.checkpoint, args.cfg_options or {}, args.data_root)]
    root = args.out / "demo"

    def draw() -> None:
        with progress("drawing the demo set") as bar:
            make_demo_dataset(root, track=bar.track)

    processes.first(draw)
    return [
        Job(config, checkpoint, demo_cfg_options(root, name))
        for name, (config, checkpoint) in demo_configs().items()
    ]


def _task_type(job: Job, where: str, trust_checkpoint: bool) -> Callable[..., Task]:
    """Return what measures a job; OpenMMLab is imported for its own configs alone."""
    if is_onnx_config(read_config(job.config, job.cfg_options)):
        if where != "pipeline":
            raise ModelError(
                f"--where {where}: {job.config} is of an ONNX model, which has no data "
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
        from jpeg_preproc.openmmlab.evaluate import OpenMMLabTask
    except ModuleNotFoundError as error:
        raise JpegPreprocError(f"{job.config} is a config of OpenMMLab: {error}") from error
    return functools.partial(OpenMMLabTask, trust_checkpoint=trust_checkpoint)


def _prepare(args: argparse.Namespace, device: str, processes: Processes) -> list[Task]:
    tasks = []
    for job in _jobs(args, processes):
        task_type = _task_type(job, args.where, args.trust_checkpoint)
        with _progress(f"checking the images of {job.config.stem}", processes) as bar:
            step = bar.add_task("", total=None)
            tasks.append(
                task_type(
                    job.config,
                    job.checkpoint,
                    args.out,
                    cfg_options=job.cfg_options,
                    data_root=job.data_root,
                    limit=args.limit,
                    device=device,
                    num_workers=args.num_workers,
                    on_check=lambda name, total, bar=bar, step=step: bar.update(
                        step, advance=1, total=total, description=name
                    ),
                    processes=processes,
                )
            )
    return tasks


def _measure(
    tasks: Sequence[Task],
    conditions: Sequence[Condition],
    store: ConditionStore,
    settings: JpegSettings,
    processes: Processes,
) -> list[Outcome]:
    with _progress("measuring", processes) as bar:
        total = sum(task.images for task in tasks) * len(conditions)
        step = bar.add_task("", total=total)
        return [
            run_task(
                task,
                conditions,
                store,
                settings,
                package_version(),
                on_image=lambda title: bar.update(step, advance=1, description=title),
                processes=processes,
            )
            for task in tasks
        ]


def _stages_alone(
    tasks: Sequence[Task], conditions: Sequence[Condition], settings: JpegSettings
) -> Seconds:
    """Return the seconds of the stages of all conditions, each measured alone."""
    with progress("measuring each stage alone") as bar:
        pairs = [(task, condition) for task in tasks for condition in conditions]
        return add_seconds(
            task.stages_alone(condition, settings) for task, condition in bar.track(pairs)
        )


def _progress(description: str, processes: Processes) -> Progress:
    """Return a bar, which is shown in the first process alone."""
    return progress(description, None if processes.is_first else Console(quiet=True))


def _meta(
    args: argparse.Namespace,
    argv: Sequence[str] | None,
    tasks: Sequence[Task],
    outcomes: Sequence[Outcome],
    watch: Stopwatch,
) -> dict[str, Any]:
    arguments = sys.argv[1:] if argv is None else argv
    return {
        "tool": "eval_downstream",
        "command": shlex.join(["python", "tools/eval_downstream.py", *map(str, arguments)]),
        "started": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(watch.started)),
        "seconds": round(watch.seconds()[0], 1),
        "protocol": (
            "load, compress in memory, restore by the compression's tables, then the config's own "
            f"pipeline; {args.subsampling}, batch size 1; mAP is COCO's at IoU 0.50:0.95 or "
            "VOC's at 0.50, mIoU is of the whole set; value in percentage points"
        ),
        "restorers": list(args.restorers),
        "consistent": args.consistent,
        "device": args.device,
        "dtype": args.dtype,
        "where": args.where,
        "seed": SEED,
        "limit": args.limit,
        "models": [
            {"dataset": task.dataset, "model": task.model, **task.fingerprint} for task in tasks
        ],
        "skipped": [entry for task in tasks for entry in task.skipped],
        "failed": [entry for outcome in outcomes for entry in outcome.failed],
        "versions": versions(),
    }


def _write(out: Path, meta: dict[str, Any], rows: Sequence[dict[str, Any]]) -> list[Path]:
    """Write all results; without matplotlib all but the plot."""
    written = list(write_results(out, meta, rows).values())
    try:
        plot = out / "accuracy.png"
        title = "Accuracy over JPEG quality"
        written.append(plot_metric_vs_qf(rows, "value", plot, title, "mAP or mIoU (%)"))
    except JpegPreprocError as error:
        console(stderr=True).print(f"no plot: {error}", markup=False)
    return written


def _list_left_out(tasks: Sequence[Task], outcomes: Sequence[Outcome]) -> bool:
    """Print which images and conditions no row includes, and tell whether there are any."""
    skipped = [entry for task in tasks for entry in task.skipped]
    failed = [entry for outcome in outcomes for entry in outcome.failed]
    notes = console(stderr=True)
    for entries, what in ((skipped, "image(s), in every condition"), (failed, "condition(s)")):
        if entries:
            notes.print(f"Left out {len(entries)} {what}:")
        for entry in entries:
            named = entry["file"] in entry["reason"]
            text = entry["reason"] if named else f"{entry['file']}: {entry['reason']}"
            notes.print(f"  {text}", markup=False, soft_wrap=True)
    return bool(skipped or failed)


if __name__ == "__main__":
    sys.exit(main())
