"""Measure what JPEG and other corruptions destroy, and what restorers bring back, in PSNR."""

from __future__ import annotations

import argparse
import platform
from collections.abc import Sequence
from pathlib import Path

from jpeg_preproc.cli.arguments import add_max_pixels, program
from jpeg_preproc.cli.corruption_arguments import add_corruption_arguments, chosen_corruptions
from jpeg_preproc.cli.ending import ended
from jpeg_preproc.cli.exit_codes import DONE, SOME_SKIPPED
from jpeg_preproc.corruptions import Corruption
from jpeg_preproc.errors import JpegPreprocError
from jpeg_preproc.evaluation.conditions import (
    QUALITY_SOURCES,
    RestoreSettings,
    choose_restorers,
)
from jpeg_preproc.evaluation.protocols import PROTOCOLS, get_protocol
from jpeg_preproc.evaluation.published import PublishedRow, published_rows
from jpeg_preproc.evaluation.restoration import RestorationRun, evaluate_restoration
from jpeg_preproc.evaluation.versions import result_versions
from jpeg_preproc.report import (
    console,
    print_tables,
    progress,
    result_tables,
    write_results,
)
from jpeg_preproc.report.plots import plot_metric
from jpeg_preproc.report.rows import PlottedRow


def parse_args(argv: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line."""
    protocols = "\n".join(f"  {name:8} {p.source}" for name, p in PROTOCOLS.items())
    parser = argparse.ArgumentParser(
        prog=program("eval-restoration"),
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog=(
            f"protocols, by the tables that follow them:\n{protocols}\n\n"
            "A run that was stopped goes on when started again with the same --out.\n"
            "Exit code: 0, or 1 if images were skipped (they are listed), or 2 on an error.\n\n"
            "example:\n  %(prog)s --data path/to/LIVE1 "
            "--qf 10 20 30 40 --restorers base"
        ),
    )
    parser.add_argument(
        "--data", nargs="+", required=True, metavar="DIR", help="folders of clean images"
    )
    add_corruption_arguments(parser)
    parser.add_argument(
        "--restorers",
        nargs="*",
        default=[],
        metavar="NAME|FILE",
        help="shipped weights or .safetensors files; none measures the corrupted images alone",
    )
    parser.add_argument("--protocol", choices=PROTOCOLS, default="fbcnn", help="default: fbcnn")
    parser.add_argument(
        "--out", type=Path, default=Path("work_dirs/eval_restoration"), metavar="DIR"
    )
    parser.add_argument("--device", default="cpu", help="of torch, such as cuda:0; default: cpu")
    parser.add_argument("--dtype", choices=("fp32", "bf16", "fp16"), default="fp32")
    parser.add_argument(
        "--consistent",
        action="store_true",
        help="measure each restorer once more as NAME+file, its results moved to where the "
        "compressed file says that the original was",
    )
    parser.add_argument(
        "--quality-source",
        nargs="+",
        choices=QUALITY_SOURCES,
        default=["file"],
        help="where restorers have the quality from: the file and its pixels (default), the pixels "
        "alone (rows NAME+estimated), nowhere (NAME+blind), or from trying which does best "
        "(NAME+best)",
    )
    parser.add_argument(
        "--published",
        metavar="CSV",
        help="draw published PSNR of the same data set too: columns dataset, colour (rgb or gray), "
        "qf, method, metric (psnr_db), value",
    )
    parser.add_argument(
        "--methods", nargs="+", metavar="NAME", help="of the published ones; default: all"
    )
    parser.add_argument("--limit", type=int, metavar="N", help="first N images of each folder")
    add_max_pixels(parser)
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the evaluation and return the exit code."""
    args = parse_args(argv)
    return ended(lambda: _run(args))


def _run(args: argparse.Namespace) -> int:
    """Do what the arguments ask for and return the exit code."""
    corruptions = chosen_corruptions(args)
    run = _evaluate(args, corruptions)
    published = (
        published_rows(args.published, run.rows, args.protocol.startswith("grey"), args.methods)
        if args.published and run.rows
        else []
    )
    written = _write(args, corruptions, run, published)
    print_tables(result_tables(run.rows))
    for path in written:
        console().print_line(f"wrote {path}")
    notes = console(stderr=True)
    if run.outdated:
        notes.print("Stored values that hold no longer were measured again:")
        for line in run.outdated:
            notes.print_line(f"  {line}")
    if run.skipped:
        notes.print(f"Skipped {len(run.skipped)} image(s), which no row includes:")
        for path, reason in run.skipped:
            text = reason if str(path) in reason else f"{path}: {reason}"
            notes.print_line(f"  {text}")
        return SOME_SKIPPED
    return DONE


def _evaluate(args: argparse.Namespace, corruptions: Sequence[Corruption]) -> RestorationRun:
    restorers = choose_restorers(args.restorers, args.consistent, args.quality_source)
    with progress("measuring") as bar:
        task = bar.add_task("")
        return evaluate_restoration(
            args.data,
            corruptions,
            restorers,
            args.protocol,
            settings=RestoreSettings(args.device, args.dtype),
            store=args.out / "per_image.jsonl",
            limit=args.limit,
            max_pixels=args.max_pixels,
            on_step=lambda done, total, image: bar.update(
                task, completed=done, total=total, description=image
            ),
        )


def _write(
    args: argparse.Namespace,
    corruptions: Sequence[Corruption],
    run: RestorationRun,
    published: Sequence[PublishedRow],
) -> list[Path]:
    """Write all results; without matplotlib all but the plot, where alone ``published`` goes."""
    meta = {
        "tool": "eval_restoration",
        "protocol": args.protocol,
        "protocol_source": get_protocol(args.protocol).source,
        "subsampling": args.subsampling,
        "corruptions": [corruption.key() for corruption in corruptions],
        "restorers": list(args.restorers),
        "device": args.device,
        "dtype": args.dtype,
        "consistent": args.consistent,
        "quality_source": args.quality_source,
        "limit": args.limit,
        "skipped": [path.name for path, _ in run.skipped],
        "versions": {"python": platform.python_version(), **result_versions()},
    }
    written = list(write_results(args.out, meta, run.rows).values())
    if run.rows:
        try:
            plot = args.out / "psnr.png"
            rows: list[PlottedRow] = [*run.rows, *published]
            title = "PSNR over the strength of corruption"
            written.append(plot_metric(rows, "psnr", plot, title, "PSNR (dB)"))
        except JpegPreprocError as error:
            console(stderr=True).print_line(f"no plot: {error}")
    return written
