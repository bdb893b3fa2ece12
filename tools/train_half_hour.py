"""Train a large restorer, and smaller ones that it teaches, in half an hour of one large GPU."""

from __future__ import annotations

if __name__ == "__main__":  # what follows takes seconds
    from jpeg_preproc.cli.stopping import stop_during_imports

    stop_during_imports()

import argparse
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from mmengine.config import DictAction

from jpeg_preproc.cli.ending import ended
from jpeg_preproc.cli.exit_codes import DONE, SOME_SKIPPED
from jpeg_preproc.report import progress
from jpeg_preproc.training.data import ImageFolder
from jpeg_preproc.training.half_hour import PACKED_VARIABLE, Stage, pack, train_stages

_CONFIGS = Path(__file__).resolve().parents[1] / "configs" / "restorers" / "gridunet"
STAGES = [
    Stage(_CONFIGS / "gridunet_teacher_gpu.py", 0.5, "teacher"),
    Stage(_CONFIGS / "gridunet_base_taught_gpu.py", 0.25, "base"),
    Stage(_CONFIGS / "gridunet_small_taught_gpu.py", 0.15, "small"),
    Stage(_CONFIGS / "gridunet_nano_taught_gpu.py", 0.1, "nano"),
]
# Of a machine that takes 64 MiB: the checkout with its weights has the other half.
_MEBIBYTES = 30


def parse_args(argv: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="Exit code: 0, 1 if it is to be called again, 2 on an error.\n\n"
        "example:\n  python tools/train_half_hour.py pack .packed\n"
        "  python tools/train_half_hour.py train .packed --minutes 28 --this-call 9.5",
    )
    commands = parser.add_subparsers(dest="command", required=True)
    packing = commands.add_parser("pack", help="write the clean images as small files")
    packing.add_argument("packed", type=Path, help="folder to write")
    packing.add_argument("--data", type=Path, default=Path("../shared/data"), help="laid out so")
    packing.add_argument("--photos", type=Path, help="of tools/fetch_photos.py")
    packing.add_argument("--mebibytes", type=float, default=_MEBIBYTES)
    training = commands.add_parser("train", help="train, or go on where an earlier call stopped")
    training.add_argument("packed", type=Path, help="folder that `pack` wrote")
    training.add_argument("--work-dir", type=Path, default=Path("work_dirs/half_hour"))
    training.add_argument("--minutes", type=float, default=28, help="of all calls; default: 28")
    training.add_argument("--this-call", type=float, metavar="MINUTES", help="stop this call then")
    training.add_argument(
        "--steps", type=int, help="train each for so many steps instead, to try it"
    )
    training.add_argument(
        "--cfg-options", nargs="+", action=DictAction, help="settings to change, as key=value"
    )
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> int:
    """Pack or train, say where it is, and return the exit code."""
    started = time.monotonic()
    args = parse_args(argv)
    return ended(lambda: _pack(args) if args.command == "pack" else _train(args, started))


def _pack(args: argparse.Namespace) -> int:
    bsds = args.data / "restoration" / "bsds500"
    sources = [
        ImageFolder(str(bsds / "train")),
        ImageFolder(str(args.data / "coco" / "train2017"), shrink=2),
    ]
    if args.photos:
        sources.append(ImageFolder(str(args.photos), shrink=2))
    val = ImageFolder(str(bsds / "val"), start=-10)
    most = int(args.mebibytes * 2**20)
    with progress("packing") as bar:
        task = bar.add_task("bytes", total=most)
        found = pack(
            sources, val, args.packed, most, lambda written: bar.update(task, completed=written)
        )
    print(f"{found['images']} images, {found['bytes'] / 2**20:.1f} MiB: {args.packed}")
    return DONE


def _train(args: argparse.Namespace, started: float) -> int:
    os.environ[PACKED_VARIABLE] = str(args.packed.resolve())
    this_call = float("inf") if args.this_call is None else 60 * args.this_call
    finished = train_stages(
        STAGES,
        args.work_dir,
        60 * args.minutes,
        started + this_call,
        args.steps,
        args.cfg_options,
        lambda stage, steps: print(f"{stage.config.name}: {steps} steps", flush=True),
    )
    for path in finished:
        print(f"weights: {path}")
    if len(finished) < len(STAGES):
        print("The time of this call is over; the same command goes on from here.")
        return SOME_SKIPPED
    return DONE


if __name__ == "__main__":
    sys.exit(main())
