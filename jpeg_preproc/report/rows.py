"""What a table and a plot ask of a row, so that neither guesses it from the names of columns."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol


class PlottedRow(Protocol):
    """One result as a plot draws it: a point of a line."""

    @property
    def table(self) -> tuple[str, ...]:
        """Parts of the heading of its table or panel: data set, model, metric."""

    @property
    def line(self) -> str:
        """The line it stands in: ``'original'``, ``'jpeg'``, or a restorer."""

    @property
    def place(self) -> tuple[str, float] | None:
        """Name of the axis that it lies on in a plot and its place there, if it has one."""

    def columns(self) -> dict[str, Any]:
        """Return its values by the names they have in JSON and CSV."""


class ResultRow(PlottedRow, Protocol):
    """One result: a line of a table meets one of its columns.

    The rows of :mod:`jpeg_preproc.evaluation.rows` are such. Rows of anything else, such as the
    files that a tool wrote, are plain mappings and become one flat table.
    """

    @property
    def heading(self) -> str:
        """What the table's cells hold."""

    @property
    def column(self) -> str | None:
        """Head of its column; ``None`` for a result that holds in every one."""

    @property
    def cell(self) -> str:
        """Its text in the table."""

    @property
    def images(self) -> int:
        """How many images it was measured on."""


#: A row whose values need no more than their names.
FlatRow = Mapping[str, Any]
