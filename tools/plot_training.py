"""Draw the curves of a training from its work directory."""

from __future__ import annotations

if __name__ == "__main__":  # what follows takes seconds
    from jpeg_preproc.cli.stopping import stop_during_imports

    stop_during_imports("start again")

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from jpeg_preproc.cli.ending import ended
from jpeg_preproc.cli.exit_codes import DONE
from jpeg_preproc.report.curves import plot_training


def parse_args(argv: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="example:\n  python tools/plot_training.py work_dirs/qgcn_tiny_cpu_5k",
    )
    parser.add_argument("work_dir", help="of tools/train.py; resumed runs are joined")
    parser.add_argument("--out", help="a .png, .svg or .pdf; default WORK_DIR/curves.png")
    parser.add_argument("--title", help="default the work directory's name")
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> int:
    """Draw, say where, and return the exit code."""
    args = parse_args(argv)
    work_dir = Path(args.work_dir)

    def work() -> int:
        path = plot_training(
            work_dir, args.out or work_dir / "curves.png", args.title or work_dir.resolve().name
        )
        print(f"curves: {path}")
        return DONE

    return ended(work, "start again")


if __name__ == "__main__":
    sys.exit(main())
