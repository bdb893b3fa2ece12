"""Try for hours what breaks a run, and print what was lost, wrong, unclear or left behind.

Needs the checkout, with its tests: the parts lie in tests/soaking. Everything that is drawn comes
again with the same --seed.
"""

from __future__ import annotations

if __name__ == "__main__":  # what follows takes seconds
    from jpeg_preproc.cli.stopping import stop_during_imports

    stop_during_imports("start again")

import argparse
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from rich.progress import Progress
from soaking.sections import SECTIONS, Setting
from soaking.tally import FAULTS, Tally, summary

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
        "examples:\n  python tools/soak.py --count 100\n"
        "  python tools/soak.py --only inputs --count 50000 --out soaked",
    )
    parser.add_argument(
        "--only", nargs="+", choices=SECTIONS, metavar="SECTION", help="default: all of them"
    )
    parser.add_argument("--count", type=positive, metavar="N", help="how many of each thing")
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
        help="where the table, outputs and files that made faults are kept; default: nothing is",
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

    return ended(work, "start again")


def _run(args: argparse.Namespace, scratch: Path) -> int:
    tallies: list[Tally] = []
    with progress("soaking") as bar:
        setting = Setting(0, args.seed, scratch.resolve(), names=args.commands, whole=args.whole)
        try:
            for name in args.only or SECTIONS:
                for tally in _section(name, args.count, setting, bar):
                    tallies.append(tally)
        except KeyboardInterrupt:
            _report(tallies, None)  # what was done by then took long
            raise
        finally:
            setting.end()
    return _report(tallies, None if args.out is None else scratch / "soak.md")


def _section(name: str, count: int | None, setting: Setting, bar: Progress) -> Iterator[Tally]:
    """Run one section with a bar of its own, and yield its lines of the table."""
    section = SECTIONS[name]
    task = bar.add_task(name, total=None)

    def on_step(done: int, total: int, what: str) -> None:
        bar.update(task, completed=done, total=total, description=f"{name} {what}")

    setting.count, setting.on_step = count or section.count, on_step
    yield from section.run(setting)
    bar.update(task, completed=1, total=1, description=name)


def _report(tallies: Sequence[Tally], path: Path | None) -> int:
    """Print the table and every fault, write them if a file is named, return the exit code."""
    table = summary(tallies)
    print_tables([table])
    notes = [note for tally in tallies for note in tally.notes]
    for note in notes:
        console().print_line(note)
    if path is not None:
        text = "\n".join([markdown_table(table), "", *(f"- {note}" for note in notes), ""])
        console().print_line(f"wrote {write_text_atomic(path, text)}")
    return SOME_SKIPPED if notes else DONE


if __name__ == "__main__":
    sys.exit(main())
