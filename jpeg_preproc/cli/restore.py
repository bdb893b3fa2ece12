"""Remove JPEG artifacts from images.

Each image is restored by its own quantisation tables, or, if it is no JPEG, by the quality that
its pixels show, and stored upright and lossless, with its colour profile; an alpha channel is
dropped. A folder's tree comes to lie in OUT, images alone; hidden files are passed over.
Sources are never overwritten.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from jpeg_preproc.cli.arguments import (
    QF_METAVAR,
    QUALITY_FROM,
    add_max_pixels,
    positive,
    quality,
    strength,
)
from jpeg_preproc.cli.ending import ended
from jpeg_preproc.cli.exit_codes import DONE, SOME_SKIPPED
from jpeg_preproc.defaults import IMAGE_RESTORER, TILE
from jpeg_preproc.errors import QualityError
from jpeg_preproc.jpeg.encode import SUFFIXES, Encoding
from jpeg_preproc.report.console import console, progress

if TYPE_CHECKING:
    from jpeg_preproc.datasets import Problem
    from jpeg_preproc.files import RestoreSummary


def parser() -> argparse.ArgumentParser:
    """Return the command line."""
    result = argparse.ArgumentParser(
        prog="jpeg-preproc restore",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog=(
            "A run that was stopped or killed goes on when started again: what is done, from the\n"
            "same source with the same options, is skipped; the results say so themselves.\n"
            "Exit code: 0, or 1 if something was skipped (it is listed), 2 on an error, 130 if\n"
            "interrupted, 143 if terminated.\n\n"
            "examples:\n"
            "  jpeg-preproc restore photo.jpg photo.png\n"
            "  jpeg-preproc restore photos 'more/**/*.jpg' restored --format webp --keep-exif"
        ),
    )
    result.add_argument(
        "inputs", nargs="+", metavar="IN", help="files, folders, or globs in quotes"
    )
    result.add_argument("out", metavar="OUT", help="a folder; for a single file also a file")
    result.add_argument(
        "--restorer",
        default=IMAGE_RESTORER,
        metavar="NAME|FILE",
        help="shipped weights (see `jpeg-preproc models`) or a .safetensors file; "
        "default: %(default)s",
    )
    result.add_argument(
        "--qf",
        type=quality,
        default="auto",
        metavar=QF_METAVAR,
        help="quality to restore by: auto takes what an image really has, file what its file says, "
        "blind none; "
        "default: %(default)s",
    )
    result.add_argument("--device", default="cpu", help="of torch, such as cuda:0; default: cpu")
    result.add_argument(
        "--dtype", choices=("fp32", "bf16", "fp16"), default="fp32", help="default: fp32"
    )
    result.add_argument(
        "--consistent",
        action="store_true",
        help="move results to where their JPEG files say that the originals were; files restored "
        "by their own tables only, others are restored without",
    )
    result.add_argument(
        "--strength",
        type=strength,
        metavar="0-1",
        help="share of the correction that is made; default: what the weights say, else 1",
    )
    result.add_argument(
        "--tile",
        type=positive,
        default=TILE,
        metavar="N",
        help="side of the pieces that large images are cut into, pixels; less takes less memory; "
        "default: %(default)s",
    )
    result.add_argument(
        "--format",
        choices=tuple(SUFFIXES),
        default="png",
        help="of the results; png and webp are lossless, jpeg is not; default: png",
    )
    result.add_argument(
        "--quality", type=int, metavar="Q", help="of --format jpeg, 1-100; default: 95"
    )
    result.add_argument(
        "--keep-exif", action="store_true", help="keep EXIF too, with orientation set to upright"
    )
    result.add_argument(
        "--overwrite", action="store_true", help="also replace files that this command did not make"
    )
    result.add_argument(
        "--follow-links",
        action="store_true",
        help="also take what symbolic links in a folder point to outside of it",
    )
    add_max_pixels(result)
    result.add_argument(
        "--workers",
        type=positive,
        metavar="N",
        help="images at a time; default: 1, on a GPU 4, to decode and encode while it computes",
    )
    return result


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return the exit code."""
    # Subparsers would not take options between positional arguments, as in IN --qf 10 OUT.
    args = parser().parse_intermixed_args(argv)
    return ended(lambda: run(args))


def run(args: argparse.Namespace) -> int:
    """Restore, print what was done, and return the exit code."""
    encoding = _encoding(args)
    # Here, not above: --help and a wrong option need no torch.
    from jpeg_preproc.files import FileRestorer, output_held, plan_jobs, restore_files
    from jpeg_preproc.restorers import JpegRestorer

    plan = plan_jobs(args.inputs, args.out, SUFFIXES[encoding.format], args.follow_links)
    restorer = JpegRestorer(
        args.restorer,
        args.device,
        args.dtype,
        args.tile,
        consistent=args.consistent,
        strength=args.strength,
        max_pixels=args.max_pixels,
    )
    workers = args.workers or (1 if restorer.device.type == "cpu" else 4)
    settings = FileRestorer(restorer, args.qf, encoding, args.keep_exif, args.overwrite)
    with output_held(plan.jobs, Path(args.out)), progress("restoring") as bar:
        task = bar.add_task("", total=len(plan.jobs))
        summary = restore_files(
            plan.jobs,
            settings,
            workers,
            lambda done, path: bar.update(task, completed=done, description=path.name),
        )
    _print(summary)
    return _print_skipped([*plan.problems, *summary.skipped])


def _print(summary: RestoreSummary) -> None:
    output = console()
    if len(summary.done) == 1:
        (only,) = summary.done
        state = "restored" if only.is_new else "found done"
        quality = (
            "blind" if only.qf is None else f"QF {only.qf} ({QUALITY_FROM[only.quality_source]})"
        )
        output.print_line(f"{only.job.source} -> {only.job.target}: {state}, {quality}")
    elif summary.done:
        origins = ", ".join(
            f"{count} {QUALITY_FROM[origin]}"
            for origin, count in summary.quality_counts().most_common()
        )
        output.print(
            f"{summary.new} restored, {len(summary.done) - summary.new} found done; quality: "
            f"{origins}."
        )


def _print_skipped(problems: Sequence[Problem]) -> int:
    if not problems:
        return DONE
    notes = console(stderr=True)
    notes.print(f"Skipped {len(problems)}:")
    for problem in problems:
        notes.print_line(f"  {problem.reason}")
    return SOME_SKIPPED


def _encoding(args: argparse.Namespace) -> Encoding:
    if args.quality is None:
        return Encoding(args.format)
    if args.format != "jpeg":
        raise QualityError(
            f"--quality is of JPEG, and {args.format} is lossless here; leave it out, or pass "
            "--format jpeg."
        )
    return Encoding(args.format, args.quality)
