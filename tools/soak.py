"""Try for hours what breaks a run, and print what was lost, wrong, unclear or left behind.

Needs the checkout, with its tests: the parts lie in tests/soaking. Everything that is drawn comes
again with the same --seed. Without --count every section tries as much as the project promises.
With --out the table is written as its lines come in, and the same command goes on where it was
stopped.
"""

from __future__ import annotations

if __name__ == "__main__":  # what follows takes seconds
    from jpeg_preproc.cli.stopping import stop_during_imports

    stop_during_imports("with --out the same command goes on from here")

import argparse
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from rich.progress import Progress
from soaking.ledger import Ledger
from soaking.sections import SECTIONS, Setting
from soaking.tally import FAULTS, Tally, merged, summary

from jpeg_preproc.cli.arguments import positive
from jpeg_preproc.cli.ending import ended
from jpeg_preproc.cli.exit_codes import DONE, SOME_SKIPPED
from jpeg_preproc.io import write_text_atomic
from jpeg_preproc.report import console, markdown_table, print_tables, progress


def parse_args(argv: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line."""
    sections = "".join(
        f"  {name:9}{section.count:>7,}  {section.what}\n" for name, section in SECTIONS.items()
    )
    faults = "".join(f"  {name:9}{what}\n" for name, what in FAULTS.items())
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog=f"sections, with how many they try of each thing:\n{sections}\n"
        f"faults:\n{faults}\n"
        "Exit code: 0, 1 if there was any fault (each is listed), 2 on an error.\n\n"
        "examples:\n  python tools/soak.py --out soaked\n"
        "  python tools/soak.py --only kills early --commands train --out soaked\n"
        "  python tools/soak.py --count 20",
    )
    parser.add_argument(
        "--only", nargs="+", choices=SECTIONS, metavar="SECTION", help="default: all of them"
    )
    parser.add_argument(
        "--count", type=positive, metavar="N", help="how many of each thing; default: see below"
    )
    parser.add_argument(
        "--commands", nargs="+", default=[], metavar="NAME", help="only these tools, as 'train'"
    )
    parser.add_argument(
        "--whole",
        action="store_true",
        help="start every run of a tool anew, its imports included, instead of forking a process "
        "that has them: ten times as long",
    )
    parser.add_argument("--seed", type=int, default=19, help="default: 19")
    parser.add_argument(
        "--out",
        type=Path,
        metavar="DIR",
        help="where the table, what has been tried, outputs and files that made faults are kept; "
        "default: nothing is",
    )
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> int:
    """Try everything, print the table, and return the exit code."""
    args = parse_args(argv)

    def work() -> int:
        if args.out is not None:
            args.out.mkdir(parents=True, exist_ok=True)
            return _run(args, args.out)
        with tempfile.TemporaryDirectory() as scratch:
            return _run(args, Path(scratch))

    return ended(work, "with --out the same command goes on from here")


def _run(args: argparse.Namespace, scratch: Path) -> int:
    tallies: list[Tally] = []
    path = None if args.out is None else scratch / "soak.md"
    ledger = Ledger(None if args.out is None else scratch / "tried.jsonl")
    setting = Setting(
        0, args.seed, scratch.resolve(), names=args.commands, whole=args.whole, ledger=ledger
    )
    with progress("soaking") as bar:
        try:
            for name in args.only or SECTIONS:
                for tally in _section(name, args.count, setting, bar):
                    tallies.append(tally)
                    if path is not None:
                        write_text_atomic(path, _text(merged(tallies)))
        except KeyboardInterrupt:
            _report(tallies, path)  # what was done by then took long
            raise
        finally:
            setting.end()
    return _report(tallies, path)


def _section(name: str, count: int | None, setting: Setting, bar: Progress) -> Iterator[Tally]:
    """Run one section with a bar of its own, and yield parts of its lines of the table."""
    section = SECTIONS[name]
    task = bar.add_task(name, total=None)

    def on_step(done: int, total: int, what: str) -> None:
        bar.update(task, completed=done, total=total, description=f"{name} {what}")

    setting.count, setting.on_step = count or section.count, on_step
    try:
        yield from section.run(setting)
    except Exception as error:  # noqa: BLE001 - the other sections are tried all the same
        tally = Tally(name, "the section itself", tried=1)
        tally.fault("crashed", f"{type(error).__name__}: {error}".replace("\n", " "))
        yield tally
    bar.update(task, completed=1, total=1, description=name)


def _text(tallies: Sequence[Tally]) -> str:
    """Return the table and every fault as Markdown."""
    notes = [f"- {note}" for tally in tallies for note in tally.notes]
    return "\n".join([markdown_table(summary(tallies)), "", *notes, ""])


def _report(parts: Sequence[Tally], path: Path | None) -> int:
    """Print the table and every fault, tell the file that has them, return the exit code."""
    tallies = merged(parts)
    print_tables([summary(tallies)])
    notes = [note for tally in tallies for note in tally.notes]
    for note in notes:
        console().print_line(note)
    if path is not None:
        console().print_line(f"wrote {write_text_atomic(path, _text(tallies))}")
    return SOME_SKIPPED if notes else DONE


if __name__ == "__main__":
    sys.exit(main())
