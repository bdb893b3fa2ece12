"""What the tools show on a terminal: progress with a time estimate, and tables."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    Task,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Table as RichTable
from rich.text import Text

from jpeg_preproc.report.tables import Table, printable

_FILE_COLUMNS = 200


class LineConsole(Console):
    """A console that prints what it did not write itself without being led astray by it."""

    def print_line(self, text: str, style: str | None = None) -> None:
        """Print text as one line, whole and without markup; see :func:`printable`."""
        self.print(printable(text), markup=False, soft_wrap=True, style=style)

    def on_broken_pipe(self) -> None:
        """Leave it to the caller: rich would end the program as if it had failed."""
        raise BrokenPipeError


def console(stderr: bool = False) -> LineConsole:
    """Return a console that keeps numbers in one colour, and lines whole where output is a file."""
    output = LineConsole(stderr=stderr, highlight=False)
    if not output.is_terminal:
        # Rich would otherwise assume 80 columns and fold tables in logs.
        output.width = _FILE_COLUMNS
    return output


def print_error(error: Exception) -> None:
    """Print what is wrong on standard error, on one line that can be copied."""
    console(stderr=True).print_line(f"error: {error}", style="red")


class _DescriptionColumn(TextColumn):
    def render(self, task: Task) -> Text:
        """Return the description, which often is a file's name, made printable."""
        text = super().render(task)
        text.plain = printable(text.plain)
        return text


def progress(description: str, output: Console | None = None) -> Progress:
    """Return a progress bar with counts, elapsed and remaining time; use it in ``with``.

    The description of a task, which may change at every step, is shown behind the bar.

    Args:
        description: What is being done; stands in front of the bar.
        output: Where to draw; by default standard error, so that piped results stay clean.

    >>> with progress("compressing", Console(quiet=True)) as bar:
    ...     task = bar.add_task("a.jpg", total=2)
    ...     bar.update(task, advance=1, description="b.jpg")
    """
    return Progress(
        TextColumn(f"[bold]{escape(description)}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("ETA"),
        TimeRemainingColumn(),
        _DescriptionColumn("{task.description}", markup=False),
        console=output or console(stderr=True),
    )


def print_tables(tables: Sequence[Table], output: Console | None = None) -> None:
    """Print tables one below the other; the first column is left-aligned, the others right."""
    target = output or console()
    for table in tables:
        # A line of its own: rich folds a title to the width of its table.
        target.print(f"[bold]{escape(printable(table.title))}[/]")
        drawn = RichTable()
        for index, column in enumerate(table.columns):
            # On a narrow terminal a cell of several figures folds; a name stays whole.
            drawn.add_column(
                escape(column), justify="right" if index else "left", no_wrap=index == 0
            )
        for row in table.rows:
            drawn.add_row(*(escape(printable(cell)) for cell in row))
        target.print(drawn)
