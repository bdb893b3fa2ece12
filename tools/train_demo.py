"""Train the demo's segmenter, then its detector, on the train split of the embedded demo set.

About a quarter of an hour each on two idle cores. Both are seeded, but a result depends on the
machine in its last figures. Copy the two .pth to jpeg_preproc/demo/weights to ship them.
"""

from __future__ import annotations

if __name__ == "__main__":  # what follows takes seconds
    from jpeg_preproc.cli.ending import stop_during_imports

    stop_during_imports()

import argparse
import sys
from pathlib import Path

from jpeg_preproc.cli.ending import ended
from jpeg_preproc.cli.exit_codes import DONE
from jpeg_preproc.demo.training import train_demo_model


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="example:\n  python tools/train_demo.py --data data/demo --out work_dirs/demo",
    )
    parser.add_argument(
        "--data", type=Path, default=Path("data/demo"), help="root of the set; default %(default)s"
    )
    parser.add_argument(
        "--out",
        type=Path,
        default=Path("work_dirs/demo"),
        help="logs and checkpoints; a second call goes on from there; default %(default)s",
    )
    parser.add_argument(
        "--only", choices=("segmenter", "detector"), help="train one; the detector needs the other"
    )
    return parser.parse_args()


def main() -> int:
    """Train in the order in which one model starts from the other, and return the exit code."""
    args = parse_args()

    def work() -> int:
        for name in [args.only] if args.only else ["segmenter", "detector"]:
            print(f"{name}: {train_demo_model(name, args.data, args.out)}")
        return DONE

    return ended(work)


if __name__ == "__main__":
    sys.exit(main())
