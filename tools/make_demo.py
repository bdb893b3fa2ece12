"""Generate the embedded demo set: images with boxes and masks, in COCO and VOC layout.

The same images come out each time, from numpy alone. The models that ship with the set were
trained on its train split by tools/train_demo.py, without JPEG in any form.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from jpeg_preproc.cli.ending import ended
from jpeg_preproc.cli.exit_codes import DONE
from jpeg_preproc.demo import make_demo_dataset
from jpeg_preproc.demo.layout import SPLIT_SIZES
from jpeg_preproc.report import progress


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="example:\n  python tools/make_demo.py --out data/demo --split val",
    )
    parser.add_argument(
        "--out", type=Path, default=Path("data/demo"), help="root of the set; default %(default)s"
    )
    sizes = ", ".join(f"{split} {size}" for split, size in SPLIT_SIZES.items())
    parser.add_argument(
        "--split", choices=SPLIT_SIZES, default="val", help=f"images: {sizes}; default %(default)s"
    )
    return parser.parse_args()


def main() -> int:
    """Generate what is missing, say where it is, and return the exit code."""
    args = parse_args()

    def work() -> int:
        with progress("drawing") as bar:

            def track(indices: Iterable[int]) -> Iterator[int]:
                yield from bar.track(indices, total=SPLIT_SIZES[args.split], description="")

            root = make_demo_dataset(args.out, args.split, track=track)
        print(f"COCO layout: {root / 'coco'}\nVOC layout: {root / 'voc'}")
        return DONE

    return ended(work)


if __name__ == "__main__":
    sys.exit(main())
