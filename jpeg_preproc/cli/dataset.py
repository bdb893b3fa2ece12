"""What the commands that write a dataset anew share: options, a run with progress, the report."""

from __future__ import annotations

import argparse
import signal
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from rich.console import Console

from jpeg_preproc.cli.arguments import add_max_pixels, program
from jpeg_preproc.cli.ending import ended
from jpeg_preproc.cli.exit_codes import DONE, INTERRUPTED, SOME_SKIPPED, TERMINATED
from jpeg_preproc.cli.stopping import GO_ON
from jpeg_preproc.datasets import (
    LAYOUTS,
    DatasetTree,
    Execution,
    RewriteSummary,
    scan_dataset,
    start_worker_server,
    stop_on_signals,
)
from jpeg_preproc.distributed import LAUNCHERS, Processes, joined
from jpeg_preproc.errors import LauncherError
from jpeg_preproc.report import console, print_tables, progress, result_tables, write_results

_SECONDS_A_STEP = 0.2


@dataclass(frozen=True)
class DatasetCommand:
    """What one of these commands does.

    Attributes:
        name: Its name in results.
        doing: What its progress bar is headed by.
        written: What its summary says it wrote.
        check: Raises for options that cannot be, before the dataset is looked at.
        workers: Returns how many processes to work in, if the user does not say.
        rewrite: Does the work.
        rows: Returns the rows of its results.
    """

    name: str
    doing: str
    written: str
    check: Callable[[], object]
    workers: Callable[[Processes], int]
    rewrite: Callable[[DatasetTree, Execution], RewriteSummary]
    rows: Callable[[DatasetTree, RewriteSummary], list[dict[str, Any]]]


def dataset_parser(command: str, description: str | None, example: str) -> argparse.ArgumentParser:
    """Return a parser with the options that these commands have in common.

    Args:
        command: Name of the command.
        description: What its help begins with.
        example: Its arguments in an example.
    """
    parser = argparse.ArgumentParser(
        prog=program(command),
        description=description,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog=(
            "A run that was stopped or killed goes on when started again with the same OUT, also\n"
            "with another number of processes.\n"
            "Exit code: 0, or 1 if something was skipped (it is listed), 2 on an error, 130 if\n"
            "interrupted, 143 if terminated; with a launcher, that of the first process.\n\n"
            f"example:\n  %(prog)s {example}"
        ),
    )
    parser.add_argument("src", type=Path, metavar="SRC", help="the dataset, as data_root names it")
    parser.add_argument("out", type=Path, metavar="OUT", help="outside SRC")
    parser.add_argument(
        "--format", choices=LAYOUTS, default="auto", help="of the dataset; default: auto"
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
        type=_count,
        metavar="N",
        help="processes, 0 for none beside this one; default: one for each core, or for each GPU "
        "that is used; with a launcher, of each of its processes' share; on Ray at most so many "
        "at a time, by default as many as it has room for",
    )
    parser.add_argument(
        "--launcher",
        choices=LAUNCHERS,
        default="none",
        help="that has started this command several times, to share the work; pytorch is torchrun",
    )
    parser.add_argument(
        "--executor",
        choices=("processes", "ray"),
        default="processes",
        help="ray: images are written by the workers of the Ray cluster that RAY_ADDRESS names or "
        "that was started here; SRC, OUT and weights must be at the same path on all its machines",
    )
    add_max_pixels(parser)
    # torch.distributed.launch gives each process its rank this way.
    parser.add_argument("--local_rank", "--local-rank", type=int, help=argparse.SUPPRESS)
    return parser


def run_dataset_command(args: argparse.Namespace, command: DatasetCommand) -> int:
    """Run the command and return the exit code."""

    def work() -> int:
        if args.executor == "ray" and args.launcher != "none":
            raise LauncherError(
                f"--executor ray shares the work itself; leave --launcher {args.launcher} away."
            )
        with joined(args.launcher) as processes:
            return _run(args, command, processes)

    return ended(work)


def _run(args: argparse.Namespace, command: DatasetCommand, processes: Processes) -> int:
    def look() -> DatasetTree:
        command.check()
        return scan_dataset(args.src, args.format, args.splits, args.img_dirs, args.follow_links)

    if args.executor == "processes" and args.workers != 0:
        start_worker_server()
    tree = processes.first(look)
    workers = args.workers
    if workers is None:
        workers = 0 if args.executor == "ray" else command.workers(processes)
    execution = Execution(workers, executor=args.executor, max_pixels=args.max_pixels)
    summary, signalled = _rewrite(command, tree, execution, processes)
    if not processes.is_first:
        return DONE
    written = [] if summary.interrupted else _write(args, command, tree, summary)
    _print(command, tree, summary, written)
    if summary.interrupted:
        return TERMINATED if signalled == signal.SIGTERM else INTERRUPTED
    return SOME_SKIPPED if summary.skipped else DONE


def _rewrite(
    command: DatasetCommand, tree: DatasetTree, how: Execution, processes: Processes
) -> tuple[RewriteSummary, int | None]:
    """Return what was done, and the signal that stopped it, if one did."""
    whose = "" if processes.size == 1 else f" of the first of {processes.size} processes"
    output = None if processes.is_first else Console(quiet=True)
    with stop_on_signals() as stop, progress(command.doing, output) as bar:
        phases = {
            name: bar.add_task(f"{name}{whose}", total=len(processes.share(items)))
            for name, items in (("other files", tree.carried), ("images", tree.images))
        }

        shown = time.monotonic()

        def on_progress(phase: str, done: int, total: int) -> None:
            # A bar that moves with each image would take more time than writing its manifest.
            nonlocal shown
            now = time.monotonic()
            if now - shown > _SECONDS_A_STEP or done == total:
                bar.update(phases[phase], completed=done, total=total)
                shown = now

        how = replace(how, stop=stop, on_progress=on_progress, processes=processes)
        return command.rewrite(tree, how), stop.number


def _write(
    args: argparse.Namespace, command: DatasetCommand, tree: DatasetTree, summary: RewriteSummary
) -> list[Path]:
    settings = [manifest.settings for manifest in summary.manifests]
    meta = {
        "tool": command.name,
        "source": str(args.src),
        "layout": tree.layout,
        **{
            key: value
            for key, value in settings[0].items()
            if all(other.get(key) == value for other in settings)
        },
        "skipped": [problem.path for problem in summary.skipped],
    }
    rows = command.rows(tree, summary)
    print_tables(result_tables(rows))
    results = write_results(args.out, meta, rows).values()
    return [*results, *(manifest.path for manifest in summary.manifests)]


def _print(
    command: DatasetCommand, tree: DatasetTree, summary: RewriteSummary, written: Sequence[Path]
) -> None:
    output, notes = console(), console(stderr=True)
    output.print(
        f"{summary.new} {command.written}, {summary.kept} found done, {summary.carried} other "
        f"files copied; {tree.left_out} files left out."
    )
    for path in written:
        output.print_line(f"wrote {path}")
    if summary.interrupted:
        notes.print(f"Stopped; {GO_ON}.")
    if summary.skipped:
        notes.print(f"Skipped {len(summary.skipped)}:")
        for problem in summary.skipped:
            notes.print_line(f"  {problem.reason}")


def _count(text: str) -> int:
    try:
        value = int(text)
    except ValueError:
        value = -1
    if value < 0:
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number from 0")
    return value
