"""Train a restorer from an mmengine config."""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from typing import Any

from mmengine.config import DictAction
from mmengine.dist import is_main_process

from jpeg_preproc.cli.arguments import program
from jpeg_preproc.cli.ending import ended
from jpeg_preproc.cli.exit_codes import DONE
from jpeg_preproc.cli.stopping import GO_ON_TRAINING
from jpeg_preproc.distributed import LAUNCHERS
from jpeg_preproc.training.run import build_runner


def parse_args(argv: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        prog=program("train"),
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog=(
            "examples:\n  %(prog)s "
            "configs/restorers/gridunet/gridunet_nano_cpu_24k.py --resume\n"
            "  torchrun --nproc-per-node 2 -m jpeg_preproc train CONFIG --launcher pytorch\n\n"
            "Exit code: 0, 2 on an error, 130 if interrupted, 143 if terminated."
        ),
    )
    parser.add_argument(
        "config", help="an mmengine config, as the repository has in configs/restorers"
    )
    parser.add_argument("--work-dir", help="logs and checkpoints; default work_dirs/<config name>")
    parser.add_argument(
        "--resume", action="store_true", help="go on from the work dir's last checkpoint"
    )
    parser.add_argument(
        "--amp", action="store_true", help="bf16 for convolutions and matrix products"
    )
    parser.add_argument(
        "--cfg-options", nargs="+", action=DictAction, help="settings to change, as key=value"
    )
    parser.add_argument(
        "--trust-checkpoint",
        action="store_true",
        help="go on from, or start from (load_from), a checkpoint that holds more than tensors, "
        "which runs whatever code it names",
    )
    parser.add_argument("--launcher", choices=LAUNCHERS, default="none", help="of ranks")
    # torch.distributed.launch gives each process its rank this way.
    parser.add_argument("--local_rank", "--local-rank", type=int, default=0, help=argparse.SUPPRESS)
    args = parser.parse_args(argv)
    os.environ.setdefault("LOCAL_RANK", str(args.local_rank))
    return args


def main(argv: Sequence[str] | None = None) -> int:
    """Build the runner, train, and return the exit code."""
    args = parse_args(argv)
    return ended(lambda: _train(args), GO_ON_TRAINING)


def _train(args: argparse.Namespace) -> int:
    runner = build_runner(
        args.config,
        args.work_dir,
        resume=args.resume,
        bf16=args.amp,
        launcher=args.launcher,
        cfg_options=args.cfg_options,
        trust_checkpoint=args.trust_checkpoint,
    )
    runner.train()
    if is_main_process():
        _list_skipped(runner)
        print(f"checkpoints and logs: {runner.work_dir}")
    return DONE


def _list_skipped(runner: Any) -> None:
    """Print which images of the training set could not be read."""
    skipped = getattr(runner.train_dataloader.dataset, "skipped", [])
    if skipped:
        print(f"Left out {len(skipped)} image(s) of the training set:")
    for line in skipped:
        print(f"  {line}")
