"""Measure a study: models × data sets × corruptions × restorers, and what to compare."""

from __future__ import annotations

import argparse
import shlex
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from jpeg_preproc.cli.arguments import program
from jpeg_preproc.cli.exit_codes import DONE, SOME_SKIPPED
from jpeg_preproc.cli.run_arguments import add_run_arguments, run_options, run_shared
from jpeg_preproc.demo import DEMO_STUDY
from jpeg_preproc.distributed import Processes
from jpeg_preproc.errors import JpegPreprocError
from jpeg_preproc.report import console, print_tables
from jpeg_preproc.study.comparison_rows import ComparisonRow
from jpeg_preproc.study.jobs import JobsRun
from jpeg_preproc.study.prepare import RunOptions
from jpeg_preproc.study.report import write_report
from jpeg_preproc.study.results import cell_table, print_left_out, print_run, record, write_run
from jpeg_preproc.study.run import dry_run, run_study
from jpeg_preproc.study.spec import Study, read_study

_EPILOG = """\
A study is a config, as the repository has in configs/studies; jpeg_preproc/study/spec.py tells what
may be in one. Each of its cells is a
model under one condition: corrupted, and restored. Finished cells are kept in OUT/conditions and
used again, by every study with this --out, as long as nothing they depend on has changed; a study
that was stopped loses the cell that was running. The results go to OUT/NAME, NAME being that of
the study: report.html is a page that needs nothing else, neither a server nor a connection.

"all" is the mean over kinds of corruption of the mean over strengths. Intervals and p-values are of
1000 draws of the test set from its own images, the same in every condition; Holm's correction is
over the table. Of several models on one data set the mean gain is told too, and the share of their
losses together that is given back. Bits at equal accuracy are computed in every draw; where images
reach an accuracy with the fewest bits measured, that is what counts, so that they save at least as
much.
Exit code: 0, or 1 if images or cells were left out (they are listed), 2 on an error, 130 after
Ctrl-C, 143 after SIGTERM.

examples:
  %(prog)s
  %(prog)s configs/studies/qf_sweep.py --dry-run --cfg-options \\
      models.yolox_nano.checkpoint=yolox_nano.pth datasets.coco.data_root=data/coco
  %(prog)s configs/studies/histories.py --limit 50
"""


def parse_args(argv: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        prog=program("study"),
        description=__doc__,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "study",
        nargs="?",
        type=Path,
        default=DEMO_STUDY,
        help="a config; without: the embedded demo",
    )
    add_run_arguments(parser, out="work_dirs/studies")
    parser.add_argument(
        "--dry-run",
        action="store_true",
        help="list the cells, what is stored of them, and how long the others would take",
    )
    parser.add_argument(
        "--keep-images",
        action="store_true",
        help="keep restored images in OUT/images, losslessly, so that no model of any study "
        "restores them again",
    )
    parser.add_argument(
        "--measure-again",
        action="store_true",
        help="measure cells again that other versions of packages have measured",
    )
    parser.add_argument(
        "--report",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="write report.html, a page with tables, curves and the images that changed most, and "
        "report.md; default: do",
    )
    args = parser.parse_args(argv)
    if args.dry_run and args.launcher != "none":
        parser.error("--dry-run is for one process; leave --launcher out")
    return args


def main(argv: Sequence[str] | None = None) -> int:
    """Run the study and return the exit code."""
    args = parse_args(argv)
    return run_shared(args.launcher, lambda processes: _run(args, argv, processes))


def _run(args: argparse.Namespace, argv: Sequence[str] | None, processes: Processes) -> int:
    """Do what the arguments ask for, as one of the processes, and return the exit code."""
    options = replace(run_options(args), keep_images=args.keep_images)
    study = read_study(args.study, args.cfg_options)
    try:
        if args.dry_run:
            print_tables([cell_table(dry_run(study, options))])
            return DONE
        run, comparisons = run_study(study, options, processes, measure_again=args.measure_again)
        if not processes.is_first:
            return DONE
        arguments = map(str, sys.argv[1:] if argv is None else argv)
        about = {
            "tool": "study",
            "study": study.name,
            "title": study.title,
            "command": shlex.join([*program("study").split(), *arguments]),
        }
        folder = args.out / study.name
        written = write_run(run, options, about, comparisons, folder)
        if args.report:
            written += _report(study, run, options, comparisons, about, folder)
    except OSError as error:  # --out cannot be written, disk full
        raise JpegPreprocError(f"{error}; what is finished is kept in {args.out}") from error
    print_run(run, comparisons=comparisons)
    for path in written:
        console().print(f"wrote {path}", markup=False, soft_wrap=True)
    return SOME_SKIPPED if print_left_out(run) else DONE


def _report(
    study: Study,
    run: JobsRun,
    options: RunOptions,
    comparisons: Sequence[ComparisonRow],
    about: Mapping[str, Any],
    folder: Path,
) -> list[Path]:
    """Write the page; what is measured is worth something without one too."""
    known = {**record(run, options, about), "is_demo": study.jobs is None}
    try:
        return write_report(study.title, run, options, comparisons, known, folder)
    except JpegPreprocError as error:
        console(stderr=True).print_line(f"no page: {error}")
        return []
