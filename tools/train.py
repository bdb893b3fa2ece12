"""Train a restorer from an mmengine config."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mmengine.config import Config, DictAction
from mmengine.dist import is_main_process
from mmengine.runner import Runner

from jpeg_preproc.errors import JpegPreprocError
from jpeg_preproc.report import console


def parse_args(argv: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog=(
            "examples:\n  python tools/train.py "
            "configs/restorers/gridunet/gridunet_base_cpu_5k.py --resume\n"
            "  torchrun --nproc-per-node 2 tools/train.py CONFIG --launcher pytorch"
        ),
    )
    parser.add_argument("config", help="an mmengine config of configs/restorers")
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
        "--launcher", choices=("none", "pytorch", "slurm", "mpi"), default="none", help="of ranks"
    )
    # torch.distributed.launch gives each process its rank this way.
    parser.add_argument("--local_rank", "--local-rank", type=int, default=0, help=argparse.SUPPRESS)
    args = parser.parse_args(argv)
    os.environ.setdefault("LOCAL_RANK", str(args.local_rank))
    return args


def main(argv: Sequence[str] | None = None) -> int:
    """Build the runner, train, and return the exit code."""
    args = parse_args(argv)
    try:
        cfg = Config.fromfile(args.config)
        if args.cfg_options:
            cfg.merge_from_dict(args.cfg_options)
        if args.amp:
            cfg.model.autocast = "bf16"
        cfg.work_dir = args.work_dir or f"work_dirs/{Path(args.config).stem}"
        cfg.resume = args.resume
        cfg.launcher = args.launcher
        runner = Runner.from_cfg(cfg)
        runner.train()
    except (JpegPreprocError, FileNotFoundError) as error:
        console(stderr=True).print(f"error: {error}", markup=False, style="red")
        return 2
    if is_main_process():
        _list_skipped(runner)
        print(f"checkpoints and logs: {cfg.work_dir}")
    return 0


def _list_skipped(runner: Any) -> None:
    """Print which images of the training set could not be read."""
    skipped = getattr(runner.train_dataloader.dataset, "skipped", [])
    if skipped:
        print(f"Left out {len(skipped)} image(s) of the training set:")
    for line in skipped:
        print(f"  {line}")


if __name__ == "__main__":
    sys.exit(main())
