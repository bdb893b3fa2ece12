"""The options of the tools that measure: what happens to the images."""

from __future__ import annotations

import argparse

from jpeg_preproc.corruptions import Corruption, parse_corruption
from jpeg_preproc.evaluation.conditions import DEFAULT_QFS, jpeg_at


def add_corruption_arguments(parser: argparse.ArgumentParser) -> None:
    """Add ``--qf``, ``--subsampling`` and ``--corruptions``."""
    qualities = " ".join(map(str, DEFAULT_QFS))
    parser.add_argument(
        "--qf",
        nargs="+",
        type=int,
        help=f"of single JPEG compressions; default: {qualities}, or none with --corruptions",
    )
    parser.add_argument(
        "--subsampling", choices=("4:4:4", "4:2:2", "4:2:0"), default="4:2:0", help="with --qf"
    )
    parser.add_argument(
        "--corruptions",
        nargs="+",
        default=[],
        metavar="SPELLING",
        help="what else happens to the images, such as webp:30, double_jpeg:10,95,shift=4, "
        "resized_jpeg:20,0.75 or cropped_jpeg:20,offset=3",
    )


def chosen_corruptions(args: argparse.Namespace) -> list[Corruption]:
    """Return what the options name: single compressions first.

    Raises:
        CorruptionError: A spelling is none.
        QualityError: A quality is outside 1-100.
    """
    others = [parse_corruption(text) for text in args.corruptions]
    qfs = args.qf if args.qf is not None else ([] if others else DEFAULT_QFS)
    return [*jpeg_at(qfs, args.subsampling), *others]
