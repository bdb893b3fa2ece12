"""Measure what JPEG costs a model, and how much of it restoration gives back."""

from __future__ import annotations

import argparse
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from jpeg_preproc.cli.arguments import program
from jpeg_preproc.cli.corruption_arguments import add_corruption_arguments, chosen_corruptions
from jpeg_preproc.cli.exit_codes import DONE, SOME_SKIPPED
from jpeg_preproc.cli.run_arguments import add_run_arguments, run_options, run_shared
from jpeg_preproc.defaults import MODEL_RESTORER
from jpeg_preproc.demo import WHAT_IT_SHOWS
from jpeg_preproc.distributed import Processes
from jpeg_preproc.report import console
from jpeg_preproc.study.jobs import demo_jobs, measure_jobs
from jpeg_preproc.study.prepare import Job
from jpeg_preproc.study.results import print_left_out, print_run, write_run

_EPILOG = """\
Every condition sees the same images, through the config's own dataset, model and metric. They are
corrupted and restored as their files store them, then turned upright; a restorer is told what it
would know of such an image: the last JPEG file, where there is one, and the pixels.

"recovery" is (restored - jpeg) / (original - jpeg): 100 %% gives back the whole loss, a negative
one harms. Behind it stands its 95 %% interval: the test set drawn 1000 times from its own images,
with the same draws in every condition; there is none where JPEG costs too little to tell, and no
recovery where it costs nothing. Results hold restored - jpeg in points too ("difference"), with its
interval and the share of the draws in which it is above 0 ("difference_positive").

Below mAP stands F1 against what the model itself finds in the original images (score from 0.3, IoU
from 0.5, same class, one to one), below mIoU the mean over images of each image's IoU, which is the
mean over the classes of its ground truth, below top-1 the share of images taken for the class that
the model finds in the original: finer judges, over the same draws. Where CocoMetric compares masks
too (metric=['bbox', 'segm']) their "mask mAP" stands beside mAP.

A config whose model is an OnnxDetector, OnnxSegmentor or OnnxClassifier measures a .onnx file under
onnxruntime, without mmcv, mmdet or mmseg.

A run that was stopped goes on when started again with the same --out: finished conditions are
kept in OUT/conditions and used again as long as nothing they depend on has changed.
A run that several processes share (--launcher) gives the same results as one process; the device
cuda is then one GPU for each.

Below the results stands what took the time. "model" goes from pixels to detections or labels, the
config's own resizing included; "rest" is imports, progress, and waiting for other processes.
Exit code: 0, 1 if images or conditions were left out (they are listed), 2 on an error, 130 if
interrupted, 143 if terminated; with a launcher, that of the first process.

examples:
  %(prog)s
  %(prog)s configs/downstream/yolox_nano_coco.py yolox_nano.pth \\
      --data-root data/coco --qf 10 20 30 40 --restorers small-task base --limit 50
  %(prog)s configs/downstream/onnx_yolox_nano_coco.py yolox_nano.onnx \\
      --data-root data/coco
  torchrun --nproc-per-node 2 -m jpeg_preproc eval-downstream CONFIG CHECKPOINT \\
      --data-root data/coco --launcher pytorch
"""


def parse_args(argv: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        prog=program("eval-downstream"),
        description=__doc__,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "config",
        nargs="?",
        type=Path,
        help="mmdet, mmseg or ONNX config; without: the embedded demo",
    )
    parser.add_argument("checkpoint", nargs="?", type=Path, help="its weights, or .onnx file")
    add_corruption_arguments(parser)
    parser.add_argument(
        "--restorers",
        nargs="*",
        metavar="NAME|FILE",
        default=[MODEL_RESTORER],
        help=f"shipped weights or .safetensors files; default: {MODEL_RESTORER}",
    )
    parser.add_argument(
        "--consistent",
        action="store_true",
        help="measure each restorer once more as NAME+file, its results moved to where the "
        "compressed file says that the original was",
    )
    parser.add_argument("--data-root", type=Path, metavar="DIR", help="of the test data")
    add_run_arguments(parser, out="work_dirs/eval_downstream")
    parser.add_argument(
        "--alone",
        action="store_true",
        help="measure each stage alone as well, to compare the run with their sum; holds all "
        "images in memory",
    )
    args = parser.parse_args(argv)
    if (args.config is None) != (args.checkpoint is None):
        parser.error("give CONFIG and CHECKPOINT, or neither for the embedded demo")
    if args.config is None and (args.data_root or args.cfg_options):
        parser.error("--data-root and --cfg-options belong to a CONFIG")
    if args.alone and args.launcher != "none":
        parser.error("--alone is measured in one process; leave --launcher out")
    return args


def main(argv: Sequence[str] | None = None) -> int:
    """Run the evaluation and return the exit code."""
    args = parse_args(argv)
    return run_shared(args.launcher, lambda processes: _run(args, argv, processes))


def _run(args: argparse.Namespace, argv: Sequence[str] | None, processes: Processes) -> int:
    """Do what the arguments ask for, as one of the processes, and return the exit code."""
    options = run_options(args)
    corruptions = chosen_corruptions(args)
    if args.config is None:
        jobs = demo_jobs(processes)
    else:
        jobs = [Job(args.config, args.checkpoint, args.cfg_options or {}, args.data_root)]
    run = measure_jobs(
        jobs,
        corruptions,
        args.restorers,
        consistent=args.consistent,
        options=options,
        processes=processes,
    )
    if not processes.is_first:
        return DONE
    arguments = map(str, sys.argv[1:] if argv is None else argv)
    about: dict[str, Any] = {
        "tool": "eval_downstream",
        "command": shlex.join([*program("eval-downstream").split(), *arguments]),
    }
    if args.alone:
        about["alone"] = run.stages_alone()
    written = write_run(run, options, about)
    print_run(run, about.get("alone"))
    if args.config is None:
        console().print(WHAT_IT_SHOWS)
    for path in written:
        console().print_line(f"wrote {path}")
    return SOME_SKIPPED if print_left_out(run) else DONE
