"""Fetch photographs under free licences from Debian's packages, for training.

Packages are downloaded and unpacked, not installed. Each photograph is checked against the table,
reduced so that artifacts of its own compression go, and written as PNG. What is there is kept.
"""

from __future__ import annotations

if __name__ == "__main__":  # what follows takes seconds
    from jpeg_preproc.cli.stopping import stop_during_imports

    stop_during_imports()

import argparse
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from jpeg_preproc.cli.ending import ended
from jpeg_preproc.cli.exit_codes import DONE
from jpeg_preproc.report import progress
from jpeg_preproc.training.photos import fetch_photos, read_photos

_TABLE = Path(__file__).resolve().parents[1] / "configs" / "restorers" / "debian_photos.csv"


def parse_args(argv: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="example:\n  python tools/fetch_photos.py data/photos",
    )
    parser.add_argument("out", type=Path, help="folder of the PNGs; about 110 MB")
    parser.add_argument(
        "--table", type=Path, default=_TABLE, help="default: configs/restorers/debian_photos.csv"
    )
    parser.add_argument(
        "--packages", type=Path, help="folder that keeps the packages; default: none is kept"
    )
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> int:
    """Fetch, say where, and return the exit code."""
    args = parse_args(argv)

    def work() -> int:
        photos = read_photos(args.table)
        with tempfile.TemporaryDirectory() as scratch, progress("fetching") as bar:
            task = bar.add_task("photographs", total=len(photos))
            for photo in fetch_photos(photos, args.out, args.packages or scratch):
                bar.update(task, advance=1, description=photo.file)
        print(f"{len(photos)} photographs: {args.out}")
        return DONE

    return ended(work)


if __name__ == "__main__":
    sys.exit(main())
