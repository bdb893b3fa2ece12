"""What was tried and what went wrong, counted, and the table of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from jpeg_preproc.report import Table

#: Every kind of fault, by the column that it stands in.
FAULTS = {
    "wrong": "another error than the documented one, or a wrong exit code",
    "crashed": "the process died",
    "hung": "no answer within its time",
    "slow": "more than two seconds",
    "memory": "more memory than allowed",
    "lost": "results that differ from an undisturbed run's, or are missing",
    "refused": "the resume does not go on",
    "unclear": "no single line that says what happened",
    "left": "files that nobody asked for are left",
}

#: Called with how much is done, of how much, and what is at hand.
OnStep = Callable[[int, int, str], None]


@dataclass
class Tally:
    """One line of the table.

    Attributes:
        section: Part of the harness.
        what: What was tried.
        tried: How many times.
        faults: How many times each of :data:`FAULTS` was met.
        notes: A line for each fault: what it was, and the seed by which it comes again.
        remark: What else is to be known: a measurement, or why nothing was tried.
        at_most: The largest value that was met, by its unit.
        beside: How often something was met that is no fault, by what it was.
    """

    section: str
    what: str
    tried: int = 0
    faults: Counter[str] = field(default_factory=Counter)
    notes: list[str] = field(default_factory=list)
    remark: str = ""
    at_most: dict[str, float] = field(default_factory=dict)
    beside: Counter[str] = field(default_factory=Counter)

    def fault(self, kind: str, note: str) -> None:
        """Count a fault.

        Args:
            kind: One of :data:`FAULTS`.
            note: What it was, on one line.
        """
        if kind not in FAULTS:
            raise KeyError(kind)
        self.faults[kind] += 1
        self.notes.append(f"{self.section}, {self.what}: {kind}: {note}")

    def measure(self, unit: str, value: float) -> None:
        """Keep a value if it is the largest of its unit."""
        self.at_most[unit] = max(value, self.at_most.get(unit, value))

    def add(self, other: Tally) -> None:
        """Count what another part of the same met."""
        self.tried += other.tried
        self.faults += other.faults
        self.notes += other.notes
        self.beside += other.beside
        self.remark = self.remark or other.remark
        for unit, value in other.at_most.items():
            self.measure(unit, value)

    def remarks(self) -> str:
        """Return the last column of the table."""
        values = (
            f"{value:.{2 if value < 10 else 0}f} {unit}" for unit, value in self.at_most.items()
        )
        most = ", ".join(values)
        counts = (f"{number} {what}" for what, number in self.beside.items() if number)
        return "; ".join(filter(None, (self.remark, most and f"at most {most}", *counts)))


def merged(tallies: Iterable[Tally]) -> list[Tally]:
    """Return one line for each thing that was tried, whose parts are those given."""
    lines: dict[tuple[str, str], Tally] = {}
    for tally in tallies:
        line = lines.setdefault((tally.section, tally.what), Tally(tally.section, tally.what))
        line.add(tally)
    return list(lines.values())


def summary(tallies: Sequence[Tally]) -> Table:
    """Return the table of all that was tried."""
    rows = [
        (
            tally.section,
            tally.what,
            f"{tally.tried:,}",
            *(str(tally.faults[kind]) for kind in FAULTS),
            tally.remarks(),
        )
        for tally in tallies
    ]
    return Table("What was tried", ("section", "what", "tried", *FAULTS, "remark"), tuple(rows))
