"""The parts of the harness by name, each of which returns lines of its table."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from soaking import disks, kills, shapes, stops
from soaking.commands import Command, commands
from soaking.inputs import try_many
from soaking.processes import Straight, straight_run
from soaking.tally import OnStep, Tally


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
    """

    count: int
    seed: int
    scratch: Path
    on_step: OnStep = lambda done, total, what: None
    names: Sequence[str] = ()
    whole: bool = False
    _commands: list[Command] = field(default_factory=list)
    _straight: dict[str, Straight] = field(default_factory=dict)

    def straight_runs(self) -> Iterator[Straight]:
        """Run each command undisturbed, once for all sections, and yield it."""
        if not self._commands:
            found = commands(self.scratch / "commands")
            chosen = [one for one in found if not self.names or one.name in self.names]
            self._commands = chosen if self.whole else [one.forked() for one in chosen]
        for command in self._commands:
            if command.name not in self._straight:
                self.on_step(0, self.count, f"{command.name}, undisturbed")
                self._straight[command.name] = straight_run(command, self.folder(command))
            yield self._straight[command.name]

    def end(self) -> None:
        """End what was started for all sections."""
        for command in self._commands:
            if command.zygote is not None:
                command.zygote.end()

    def folder(self, command: Command) -> Path:
        """Return the folder in which a command is tried."""
        return self.scratch / command.name.replace(" ", "_")


def _inputs(setting: Setting) -> Iterator[Tally]:
    yield from try_many(setting.count, setting.seed, setting.scratch / "inputs", setting.on_step)


def _kills(setting: Setting, early: bool = False) -> Iterator[Tally]:
    for one in setting.straight_runs():
        folder = setting.folder(one.command)
        yield kills.kill_and_resume(
            one, setting.count, setting.seed, folder, early, setting.on_step
        )


def _signals(setting: Setting) -> Iterator[Tally]:
    for one in setting.straight_runs():
        folder = setting.folder(one.command)
        yield stops.stop_and_resume(one, setting.count, setting.seed, folder, setting.on_step)


def _imports(setting: Setting) -> Iterator[Tally]:
    folder = setting.scratch / "imports"
    yield stops.stop_during_imports(setting.count, setting.seed, folder, (), setting.on_step)


def _workers(setting: Setting) -> Iterator[Tally]:
    for one in setting.straight_runs():
        if one.command.has_workers:
            folder = setting.folder(one.command)
            yield kills.kill_workers(one, setting.count, setting.seed, folder, setting.on_step)


def _disks(setting: Setting) -> Iterator[Tally]:
    if reason := disks.why_not():
        yield Tally("disks", "all", remark=f"skipped: {reason}")
        return
    folder = setting.scratch / "disks"
    for one in setting.straight_runs():
        yield disks.fill_disks(one, setting.count, folder, setting.on_step)


def _shapes(setting: Setting) -> Iterator[Tally]:
    setting.on_step(0, setting.count, "shapes")
    yield shapes.restore_shapes(setting.count, setting.seed)


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
    "kills": Section(_kills, 50, "kill -9 of each tool at any moment, and resumes"),
    "early": Section(
        lambda setting: _kills(setting, early=True),
        60,
        "kill -9 as an output is begun, and resumes",
    ),
    "signals": Section(_signals, 10, "Ctrl-C and SIGTERM over each tool's run, and resumes"),
    "imports": Section(_imports, 4, "Ctrl-C and SIGTERM while each script imports"),
    "workers": Section(_workers, 10, "kill -9 of processes that work for a tool"),
    "disks": Section(_disks, 4, "disks that are too small, and resumes (as root)"),
    "shapes": Section(_shapes, 3_000, "memory over images of distinct shapes"),
}
