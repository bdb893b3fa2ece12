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
from pathlib import Path

from jpeg_preproc.datasets import (
    LAYOUTS,
    DatasetTree,
    RewriteSummary,
    compress_dataset,
    compression_rows,
    count_cores,
    scan_dataset,
    stop_on_signals,
)
from jpeg_preproc.errors import JpegPreprocError
from jpeg_preproc.jpeg import SUBSAMPLINGS, validate_qf
from jpeg_preproc.report import console, print_tables, progress, result_tables, write_results

# Exit codes beside 0.
_SOME_SKIPPED, _REFUSED, _INTERRUPTED = 1, 2, 130


def parse_args(argv: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog=(
            "A run that was stopped or killed goes on when started again with the same OUT.\n"
            "Exit code: 0, or 1 if something was skipped (it is listed), or 2 on an error.\n\n"
            "example:\n  python tools/compress_dataset.py data/coco data/coco_jpeg "
            "--qf 10 20 30 40 --splits val2017"
        ),
    )
    parser.add_argument("src", type=Path, metavar="SRC", help="the dataset, as data_root names it")
    parser.add_argument("out", type=Path, metavar="OUT", help="outside SRC")
    parser.add_argument("--format", choices=LAYOUTS, default="auto", help="default: auto")
    parser.add_argument(
        "--qf", nargs="+", type=int, default=[10, 20, 30, 40], help="default: 10 20 30 40"
    )
    parser.add_argument(
        "--subsampling", choices=SUBSAMPLINGS, default="4:2:0", help="of chroma; default: 4:2:0"
    )
    parser.add_argument(
        "--splits",
        nargs="+",
        default=[],
        metavar="SPLIT",
        help="only these images; COCO: val2017 takes *_val2017.json, VOC: val takes val.txt",
    )
    parser.add_argument(
        "--img-dirs",
        nargs="+",
        default=[],
        metavar="DIR",
        help="COCO: where images lie below SRC, if not in a folder of the split's name",
    )
    parser.add_argument(
        "--follow-links", action="store_true", help="also take what links outside SRC point to"
    )
    parser.add_argument(
        "--workers",
        type=int,
        default=count_cores(),
        metavar="N",
        help="processes, 0 for none beside this one; default: all cores (%(default)s)",
    )
    args = parser.parse_args(argv)
    if args.workers < 0:
        parser.error(f"--workers is {args.workers}; give 0 or more")
    return args


def main(argv: Sequence[str] | None = None) -> int:
    """Compress a dataset and return the exit code."""
    args = parse_args(argv)
    try:
        for qf in args.qf:
            validate_qf(qf)  # before the scan, which takes a while on a large dataset
        tree = scan_dataset(args.src, args.format, args.splits, args.img_dirs, args.follow_links)
        summary = _compress(args, tree)
        written = [] if summary.interrupted else _write(args, tree, summary)
    except JpegPreprocError as error:
        console(stderr=True).print(f"error: {error}", markup=False, style="red", soft_wrap=True)
        return _REFUSED
    except KeyboardInterrupt:
        console(stderr=True).print("Stopped; the same command goes on from here.")
        return _INTERRUPTED
    _print(tree, summary, written)
    if summary.interrupted:
        return _INTERRUPTED
    return _SOME_SKIPPED if summary.skipped else 0


def _compress(args: argparse.Namespace, tree: DatasetTree) -> RewriteSummary:
    with stop_on_signals() as stop, progress("compressing") as bar:
        phases = {
            "annotations": bar.add_task("annotations copied", total=len(tree.carried)),
            "images": bar.add_task("images", total=len(tree.images)),
        }
        return compress_dataset(
            tree,
            args.out,
            args.qf,
            args.subsampling,
            args.workers,
            stop,
            lambda phase, done, total: bar.update(phases[phase], completed=done, total=total),
        )


def _write(args: argparse.Namespace, tree: DatasetTree, summary: RewriteSummary) -> list[Path]:
    meta = {
        "tool": "compress_dataset",
        "source": str(args.src),
        "layout": tree.layout,
        "encoder": summary.manifests[0].settings["encoder"],
        "skipped": [problem.path for problem in summary.skipped],
    }
    rows = compression_rows(tree, summary)
    print_tables(result_tables(rows))
    results = write_results(args.out, meta, rows).values()
    return [*results, *(manifest.path for manifest in summary.manifests)]


def _print(tree: DatasetTree, summary: RewriteSummary, written: Sequence[Path]) -> None:
    output, notes = console(), console(stderr=True)
    output.print(
        f"{summary.new} JPEGs written, {summary.kept} found done, {summary.carried} other files "
        f"copied; {tree.left_out} files left out."
    )
    for path in written:
        output.print(f"wrote {path}", markup=False, soft_wrap=True)
    if summary.interrupted:
        notes.print("Stopped; the same command goes on from here.")
    if summary.skipped:
        notes.print(f"Skipped {len(summary.skipped)}:")
        for problem in summary.skipped:
            notes.print(f"  {problem.reason}", markup=False, soft_wrap=True)


if __name__ == "__main__":
    sys.exit(main())
