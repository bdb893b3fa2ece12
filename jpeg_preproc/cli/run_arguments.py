"""The options of the tools that measure models, and what all of them do around a run."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

import torch
from mmengine.config import DictAction

from jpeg_preproc.cli.arguments import add_max_pixels, not_negative, positive
from jpeg_preproc.cli.ending import ended, system_errors_described
from jpeg_preproc.distributed import LAUNCHERS, Processes, joined
from jpeg_preproc.study.prepare import RunOptions


def add_run_arguments(parser: argparse.ArgumentParser, out: str) -> None:
    """Add the options of where and how models are measured.

    Args:
        parser: What they are added to.
        out: Default of ``--out``.
    """
    parser.add_argument(
        "--limit",
        type=positive,
        metavar="N",
        help="evaluate N images, evenly spaced over the set",
    )
    parser.add_argument("--out", "--work-dir", type=Path, default=Path(out), metavar="DIR")
    parser.add_argument(
        "--cfg-options", nargs="+", action=DictAction, metavar="KEY=VALUE", help="change the config"
    )
    parser.add_argument(
        "--device", help="of the model and, without workers, the restorer; default: cuda if there"
    )
    parser.add_argument("--dtype", choices=("fp32", "bf16", "fp16"), default="fp32")
    parser.add_argument(
        "--num-workers",
        type=not_negative,
        default=0,
        metavar="N",
        help="processes that restore on the CPU",
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
    add_max_pixels(parser)
    # torch.distributed.launch gives each process its rank this way.
    parser.add_argument("--local_rank", "--local-rank", type=int, help=argparse.SUPPRESS)
    parser.add_argument(
        "--trust-checkpoint",
        action="store_true",
        help="load checkpoints that hold more than tensors, which runs whatever code they name",
    )


def run_options(args: argparse.Namespace) -> RunOptions:
    """Return what those options say."""
    return RunOptions(
        out=args.out,
        limit=args.limit,
        device=args.device or ("cuda" if torch.cuda.is_available() else "cpu"),
        dtype=args.dtype,
        where=args.where,
        num_workers=args.num_workers,
        trust_checkpoint=args.trust_checkpoint,
        max_pixels=args.max_pixels,
    )


def run_shared(launcher: str, run: Callable[[Processes], int]) -> int:
    """Run what several processes may share, tell the user what went wrong, return the exit code.

    Args:
        launcher: What has started the processes; see
            :data:`~jpeg_preproc.distributed.LAUNCHERS`.
        run: Function that does the work as one of the processes and returns an exit code.
    """

    def work() -> int:
        with joined(launcher) as processes:

            def share() -> int:
                with system_errors_described():  # so that the other processes hear of them
                    return run(processes)

            return processes.each(share)[processes.rank]

    return ended(work)
