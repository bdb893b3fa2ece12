"""Write a COCO or VOC dataset as JPEG at given qualities, ready for a stock config.

OUT/qf10 is the tree of SRC with its images compressed at QF 10 and everything else copied, so that
a config reads it by data_root='OUT/qf10/'. Image names stay what the annotations say: a PNG source
becomes a JPEG called .png, which OpenCV, Pillow and so mmcv read by content. The bytes are those
of Pillow's save(quality=...). OUT/qf10/manifest.json records the encoder, the settings and for each
image its hashes and the QF that its source had.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from jpeg_preproc.cli.dataset import DatasetCommand, dataset_parser, run_dataset_command
from jpeg_preproc.datasets import compress_dataset, compression_rows
from jpeg_preproc.jpeg import SUBSAMPLINGS, validate_qf


def parse_args(argv: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = dataset_parser(
        __doc__,
        "python tools/compress_dataset.py data/coco data/coco_jpeg "
        "--qf 10 20 30 40 --splits val2017",
    )
    parser.add_argument(
        "--qf", nargs="+", type=int, default=[10, 20, 30, 40], help="default: 10 20 30 40"
    )
    parser.add_argument(
        "--subsampling", choices=SUBSAMPLINGS, default="4:2:0", help="of chroma; default: 4:2:0"
    )
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> int:
    """Compress a dataset and return the exit code."""
    args = parse_args(argv)
    command = DatasetCommand(
        name="compress_dataset",
        doing="compressing",
        written="JPEGs written",
        check=lambda: [validate_qf(qf) for qf in args.qf],
        workers=lambda processes: processes.cores(),
        rewrite=lambda tree, execution: compress_dataset(
            tree, args.out, args.qf, args.subsampling, execution
        ),
        rows=compression_rows,
    )
    return run_dataset_command(args, command)


if __name__ == "__main__":
    sys.exit(main())
