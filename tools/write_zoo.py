"""Write the zoo's page, model-index.yml and the networks' metafile.yml from the manifests."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from jpeg_preproc.cli.ending import ended
from jpeg_preproc.cli.exit_codes import DONE, SOME_SKIPPED
from jpeg_preproc.io import write_bytes_atomic
from jpeg_preproc.restorers.zoo import zoo_files

REPOSITORY = Path(__file__).resolve().parents[1]


def parse_args(argv: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="example:\n  python tools/write_zoo.py --check",
    )
    parser.add_argument(
        "--check", action="store_true", help="write nothing; list what is out of date, exit with 1"
    )
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> int:
    """Write, say what, and return the exit code."""
    args = parse_args(argv)

    def work() -> int:
        outdated = [
            (path, text)
            for path, text in zoo_files(REPOSITORY).items()
            if not (REPOSITORY / path).is_file()
            or (REPOSITORY / path).read_text(encoding="utf-8") != text
        ]
        for path, text in outdated:
            if not args.check:
                write_bytes_atomic(REPOSITORY / path, text.encode())
            print(f"{'out of date' if args.check else 'wrote'}: {path}")
        return SOME_SKIPPED if args.check and outdated else DONE

    return ended(work)


if __name__ == "__main__":
    sys.exit(main())
