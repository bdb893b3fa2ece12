#!/usr/bin/env python3
"""Collect the files of the embedded demo anew, from COCO val2017 and two models' checkpoints.

They lie in the package; this is how they came about. The photographs keep their bytes, and the
checkpoints become half precision.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from jpeg_preproc.demo.collect import WEIGHTS, collect_photos, halve_checkpoint, write_table


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


def main() -> None:
    """Write the photographs, the checkpoints and the table."""
    args = parse_args()
    collect_photos(args.coco, args.out / "photos")
    for name in WEIGHTS:
        halve_checkpoint(getattr(args, name), args.out / "weights" / f"{name}.pth")
    print(f"wrote {write_table(args.out)}")


if __name__ == "__main__":
    main()
