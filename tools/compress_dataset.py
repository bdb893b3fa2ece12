"""Write a COCO or VOC dataset as JPEG, or corrupted otherwise, ready for a stock config.

OUT/qf10 is the tree of SRC with its images compressed at QF 10 and everything else copied, so that
a config reads it by data_root='OUT/qf10/'. Image names stay what the annotations say: a PNG source
becomes a JPEG called .png, which OpenCV, Pillow and so mmcv read by content. The bytes are those
of Pillow's save(quality=...). OUT/qf10/manifest.json records the encoder, the settings and for each
image its hashes and the QF that its source had. Another corruption has a folder of its spelling's
name, such as OUT/webp_30.
"""

from __future__ import annotations

if __name__ == "__main__":  # what follows takes seconds
    from jpeg_preproc.cli.stopping import stop_during_imports

    stop_during_imports()

import argparse
import sys
from collections.abc import Sequence

from jpeg_preproc.cli.dataset import DatasetCommand, dataset_parser, run_dataset_command
from jpeg_preproc.corruptions import Corruption, parse_corruption
from jpeg_preproc.datasets import (
    DatasetTree,
    Execution,
    RewriteSummary,
    compress_dataset,
    compression_rows,
    compression_variants,
    corrupt_dataset,
    corruption_variants,
)
from jpeg_preproc.errors import CorruptionError
from jpeg_preproc.jpeg import SUBSAMPLINGS


def parse_args(argv: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = dataset_parser(
        __doc__,
        "python tools/compress_dataset.py data/coco data/coco_jpeg "
        "--qf 10 20 30 40 --splits val2017",
    )
    parser.add_argument("--qf", nargs="+", type=int, help="default: 10 20 30 40")
    parser.add_argument(
        "--corruption",
        nargs="+",
        type=corruption,
        metavar="SPELLING",
        help="instead of --qf: what happens to the images, such as webp:30 or double_jpeg:10,95",
    )
    parser.add_argument(
        "--subsampling", choices=SUBSAMPLINGS, default="4:2:0", help="of chroma; default: 4:2:0"
    )
    args = parser.parse_args(argv)
    if args.qf and args.corruption:
        parser.error("give --qf or --corruption, not both: jpeg:10 is --qf 10")
    args.qf = args.qf or [10, 20, 30, 40]
    return args


def corruption(text: str) -> Corruption:
    """Return the corruption of a spelling, as an ``argparse`` type."""
    try:
        return parse_corruption(text)
    except CorruptionError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def check(args: argparse.Namespace) -> None:
    """Refuse what cannot be made before the dataset is looked at."""
    if args.corruption:
        corruption_variants(args.out, args.corruption)
    else:
        compression_variants(args.out, args.qf, args.subsampling)


def rewrite(args: argparse.Namespace, tree: DatasetTree, execution: Execution) -> RewriteSummary:
    """Write the trees that the arguments ask for."""
    if args.corruption:
        return corrupt_dataset(tree, args.out, args.corruption, execution)
    return compress_dataset(tree, args.out, args.qf, args.subsampling, execution)


def main(argv: Sequence[str] | None = None) -> int:
    """Compress a dataset and return the exit code."""
    args = parse_args(argv)
    command = DatasetCommand(
        name="compress_dataset",
        doing="compressing",
        written="JPEGs written",
        check=lambda: check(args),
        workers=lambda processes: processes.cores(),
        rewrite=lambda tree, execution: rewrite(args, tree, execution),
        rows=compression_rows,
    )
    return run_dataset_command(args, command)


if __name__ == "__main__":
    sys.exit(main())
