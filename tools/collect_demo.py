#!/usr/bin/env python3
"""Collect the files of the embedded demo anew, from COCO val2017 and two models' checkpoints.

They lie in the package; this is how they came about. Photographs and checkpoints keep their bytes.
"""

from __future__ import annotations

if __name__ == "__main__":  # what follows takes seconds
    from jpeg_preproc.cli.stopping import stop_during_imports

    stop_during_imports("start again")

import argparse
import sys
from pathlib import Path

from jpeg_preproc.cli.ending import ended
from jpeg_preproc.cli.exit_codes import DONE
from jpeg_preproc.demo.collect import WEIGHTS, collect_photos, write_table
from jpeg_preproc.io import write_bytes_atomic


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="example:\n  python tools/collect_demo.py --coco data/coco --yolox-nano "
        "yolox_nano_mmdet.pth \\\n      --deeplabv3-mnv2 deeplabv3_mnv2_mmseg.pth --out demo",
    )
    parser.add_argument("--coco", type=Path, required=True, metavar="DIR", help="root of COCO")
    for name in WEIGHTS:
        option = f"--{name.replace('_', '-')}"
        parser.add_argument(option, type=Path, required=True, metavar="FILE", help="its checkpoint")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="to write to")
    return parser.parse_args()


def main() -> int:
    """Write the photographs, the checkpoints and the table, and return the exit code."""
    args = parse_args()

    def work() -> int:
        print(f"wrote {_collect(args)}")
        return DONE

    return ended(work, "start again")


def _collect(args: argparse.Namespace) -> Path:
    collect_photos(args.coco, args.out / "photos")
    for name in WEIGHTS:
        target = args.out / "weights" / f"{name}.pth"
        write_bytes_atomic(target, getattr(args, name).read_bytes())
    return write_table(args.out)


if __name__ == "__main__":
    sys.exit(main())
