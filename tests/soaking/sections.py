"""The parts of the harness by name, each of which returns lines of its table."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from soaking import disks, kills, shapes, stops
from soaking.commands import Command, commands
from soaking.inputs import try_many
from soaking.ledger import Ledger
from soaking.processes import Straight, straight_run
from soaking.tally import OnStep, Tally

#: Of so many files, and of so many kills, a stopped run loses the last ones at most.
PART_OF_INPUTS, PART_OF_KILLS = 1_000, 10


@dataclass
class Setting:
    """What a section is given.

    Attributes:
        count: How many are tried of each thing.
        seed: Seed of all that is drawn.
        scratch: Folder to work in.
        on_step: Called as things get done.
        names: Commands that are taken; all, if none are named.
        whole: Whether each run of a command starts anew; else a process that has imported it forks,
            which takes a tenth of the time.
        ledger: What has been tried already.
    """

    count: int
    seed: int
    scratch: Path
    on_step: OnStep = lambda done, total, what: None
    names: Sequence[str] = ()
    whole: bool = False
    ledger: Ledger = field(default_factory=lambda: Ledger(None))
    _commands: list[Command] = field(default_factory=list)
    _straight: dict[str, Straight] = field(default_factory=dict)

    def commands(self) -> list[Command]:
        """Return the commands that are tried; what they work on is written anew, once."""
        if not self._commands:
            folder = self.scratch / "commands"
            shutil.rmtree(folder, ignore_errors=True)  # a run that was stopped has left it
            found = commands(folder)
            self._commands = [one for one in found if not self.names or one.name in self.names]
        return self._commands

    def straight(self, command: Command) -> Straight:
        """Run a command undisturbed, once for all sections."""
        if command.name not in self._straight:
            self.on_step(0, self.count, f"{command.name}, undisturbed")
            tried = command if self.whole else command.forked()
            self._straight[command.name] = straight_run(tried, self.folder(command))
        return self._straight[command.name]

    def end(self) -> None:
        """End what was started for all sections."""
        for straight in self._straight.values():
            if straight.command.zygote is not None:
                straight.command.zygote.end()

    def folder(self, command: Command) -> Path:
        """Return the folder in which a command is tried."""
        return self.scratch / command.name.replace(" ", "_")

    def parts(self, name: str, what: str, most: int, work: Work) -> Iterator[Tally]:
        """Try :attr:`count` of a thing, part by part, but for the parts that have been tried.

        Args:
            name: Name of the section.
            what: What is tried.
            most: How many are a part, at most.
            work: Tries a part; given are its first and how many they are, and ``on_step``.
        """
        for first in range(0, self.count, most):
            size = min(most, self.count - first)

            def on_step(done: int, total: int, what: str, first: int = first) -> None:
                self.on_step(first + done, self.count, what)

            key = (name, what, first, size, self.count, self.seed, self.whole)
            yield from self.ledger.once(partial(work, first, size, on_step), *key)


#: Tries a part of a section.
Work = Callable[[int, int, OnStep], Iterable[Tally]]
#: Tries one command so many times with a seed, in a folder.
OfCommand = Callable[[Straight, int, int | str, Path, OnStep], Tally]


def _inputs(setting: Setting) -> Iterator[Tally]:
    def work(first: int, size: int, on_step: OnStep) -> list[Tally]:
        return try_many(size, setting.seed, setting.scratch / "inputs", on_step, first)

    yield from setting.parts("inputs", "", PART_OF_INPUTS, work)


def _of_commands(name: str, most: int, try_one: OfCommand) -> Callable[[Setting], Iterator[Tally]]:
    """Return a section that tries each command, ``most`` times in each part."""

    def run(setting: Setting) -> Iterator[Tally]:
        for command in setting.commands():
            if name == "workers" and not command.has_workers:
                continue

            def work(
                first: int, size: int, on_step: OnStep, command: Command = command
            ) -> list[Tally]:
                seed = f"{setting.seed}+{first}" if first else setting.seed
                straight = setting.straight(command)
                return [try_one(straight, size, seed, setting.folder(command), on_step)]

            yield from setting.parts(name, command.name, most, work)

    return run


def _fill(straight: Straight, count: int, seed: int | str, folder: Path, on_step: OnStep) -> Tally:
    return disks.fill_disks(straight, count, folder / "disks", on_step)


def _imports(setting: Setting) -> Iterator[Tally]:
    def work(first: int, size: int, on_step: OnStep) -> list[Tally]:
        folder = setting.scratch / "imports"
        return [stops.stop_during_imports(size, setting.seed, folder, (), on_step)]

    yield from setting.parts("imports", "", setting.count, work)


def _disks(setting: Setting) -> Iterator[Tally]:
    if reason := disks.why_not():
        yield Tally("disks", "all", remark=f"skipped: {reason}")
        return
    yield from _of_commands("disks", len(disks.SIZES), _fill)(setting)


def _shapes(setting: Setting) -> Iterator[Tally]:
    def work(first: int, size: int, on_step: OnStep) -> list[Tally]:
        on_step(0, size, "")
        return [shapes.restore_shapes(size, setting.seed)]

    yield from setting.parts("shapes", "", setting.count, work)


@dataclass(frozen=True)
class Section:
    """One part.

    Attributes:
        run: Does it, and yields a line of the table for each thing, once it is tried.
        count: How many are tried of each thing, unless another number is asked for.
        what: What it does, on one line.
    """

    run: Callable[[Setting], Iterator[Tally]]
    count: int
    what: str


SECTIONS = {
    "inputs": Section(_inputs, 50_000, "damaged files of every format through every way in"),
    "kills": Section(
        _of_commands("kills", PART_OF_KILLS, kills.kill_and_resume),
        50,
        "kill -9 of each tool at any moment, and resumes",
    ),
    "early": Section(
        _of_commands("early", PART_OF_KILLS, partial(kills.kill_and_resume, early=True)),
        60,
        "kill -9 as an output is begun, and resumes",
    ),
    "signals": Section(
        _of_commands("signals", 10, stops.stop_and_resume),
        10,
        "Ctrl-C and SIGTERM over each tool's run, and resumes",
    ),
    "imports": Section(_imports, 4, "Ctrl-C and SIGTERM while each script imports"),
    "workers": Section(
        _of_commands("workers", 10, kills.kill_workers),
        10,
        "kill -9 of processes that work for a tool",
    ),
    "disks": Section(_disks, 4, "disks that are too small, and resumes (as root)"),
    "shapes": Section(_shapes, 3_000, "memory over images of distinct shapes"),
}
