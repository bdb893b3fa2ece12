"""Result rows as JSON, CSV and Markdown files, and as tables.

Rows that know their place, see :class:`~jpeg_preproc.report.rows.ResultRow`, become tables whose
lines are restorers and whose columns are what happened to the images. Plain mappings become one
flat table.
"""

from __future__ import annotations

import csv
import io
import math
import os
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jpeg_preproc.io import write_json_atomic, write_text_atomic
from jpeg_preproc.report.rows import FlatRow, ResultRow

Rows = Sequence[ResultRow] | Sequence[FlatRow]


@dataclass(frozen=True)
class Table:
    """A table as it is shown: a title, column heads, and rows of that many cells."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def write_results(
    out_dir: str | os.PathLike[str],
    meta: Mapping[str, Any],
    rows: Rows,
    comparisons: Sequence[ResultRow] = (),
) -> dict[str, Path]:
    """Write ``results.json``, ``results.csv`` and ``results.md``, each whole or not at all.

    Comparisons, where there are any, stand beside the rows in the JSON file, behind their tables in
    the Markdown file, and in ``comparisons.csv``.

    JSON knows no infinity: a value that is not finite is ``null`` there, and ``inf``, ``-inf`` or
    ``nan`` in the other two.

    Args:
        out_dir: Folder, made if missing.
        meta: What produced the rows; anything JSON can hold.
        rows: Results in the order to be kept; CSV columns appear in the order first met.
        comparisons: What was made of the results.

    Returns:
        The paths by ``'json'``, ``'csv'`` and ``'md'``, and ``'comparisons'`` where there are any.
    """
    folder = Path(out_dir)
    flat, compared = ([_flat(row) for row in some] for some in (rows, comparisons))
    document = {"meta": dict(meta), "rows": flat}
    tables = [*result_tables(rows), *result_tables(comparisons)]
    sections = [f"## {table.title}\n\n{markdown_table(table)}" for table in tables]
    if compared:
        document["comparisons"] = compared
    written = {
        "json": write_json_atomic(folder / "results.json", _finite(document)),
        "csv": write_text_atomic(folder / "results.csv", csv_text(flat)),
        "md": write_text_atomic(
            folder / "results.md", "\n".join([*sections, _markdown_meta(meta)])
        ),
    }
    if compared:
        written["comparisons"] = write_text_atomic(folder / "comparisons.csv", csv_text(compared))
    return written


def markdown_table(table: Table) -> str:
    """Return a pipe table, padded so that its source reads as a table too.

    >>> print(markdown_table(Table("", ("restorer", "QF 10"), (("jpeg", "25.69"),))), end="")
    | restorer | QF 10 |
    | :------- | ----: |
    | jpeg     | 25.69 |
    """
    lines = [tuple(_cell(cell) for cell in line) for line in (table.columns, *table.rows)]
    widths = [max(3, *(len(line[index]) for line in lines)) for index in range(len(lines[0]))]
    rule = [":" + "-" * (widths[0] - 1), *("-" * (width - 1) + ":" for width in widths[1:])]

    def joined(cells: Sequence[str]) -> str:
        first, *others = zip(cells, widths, strict=True)
        padded = [first[0].ljust(first[1]), *(cell.rjust(width) for cell, width in others)]
        return "| " + " | ".join(padded) + " |\n"

    return "".join([joined(lines[0]), joined(rule), *(joined(line) for line in lines[1:])])


def result_tables(rows: Rows) -> list[Table]:
    """Return the tables of rows: one for each heading, or a flat one of plain mappings.

    Lines keep the order in which they appear. Columns are in the order of what they stand for: the
    kinds of corruption as they appear, each from the strongest to the weakest. A result without a
    column of its own holds in every one.
    """
    groups: dict[tuple[str, ...], list[ResultRow]] = {}
    flat: list[FlatRow] = []
    for row in rows:
        if isinstance(row, Mapping):
            flat.append(row)
        else:
            groups.setdefault((*row.table, row.heading), []).append(row)
    if flat:
        columns = _columns(flat)
        cells = (tuple(_number(row.get(column, "")) for column in columns) for row in flat)
        return [Table("Results", columns, tuple(cells))]
    return [
        _pivot(" · ".join([*group, _image_count(members)]), members)
        for group, members in groups.items()
    ]


def _pivot(title: str, rows: Sequence[ResultRow]) -> Table:
    cells: dict[str, dict[str | None, str]] = {}
    for row in rows:
        cells.setdefault(row.line, {})[row.column] = row.cell
    heads: Sequence[str | None] = _heads(rows) or [None]
    lines = tuple(
        (line, *(by_column.get(head, by_column.get(None, "–")) for head in heads))
        for line, by_column in cells.items()
    )
    return Table(title, ("restorer", *(head or "all" for head in heads)), lines)


def _heads(rows: Sequence[ResultRow]) -> list[str]:
    """Return the columns' heads in order: axes as they appear, and places along each."""
    axes: dict[str, int] = {}
    found: dict[str, tuple[int, float]] = {}
    for row in rows:
        if row.column is not None:
            axis, place = row.place or (row.column, 0.0)
            found[row.column] = (axes.setdefault(axis, len(axes)), place)
    return sorted(found, key=lambda head: found[head])


def _flat(row: ResultRow | FlatRow) -> dict[str, Any]:
    return dict(row) if isinstance(row, Mapping) else row.columns()


def _image_count(rows: Sequence[ResultRow]) -> str:
    counts = sorted({row.images for row in rows})
    return f"{' or '.join(map(str, counts))} image{'' if counts == [1] else 's'}"


def _columns(rows: Sequence[FlatRow]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(column for row in rows for column in row))


def _number(value: Any) -> str:
    if value is None:
        return ""
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def printable(text: str) -> str:
    r"""Return text on one line in which nothing but letters, signs and spaces is left as it is.

    Names of files may hold what moves a terminal's cursor, turns the direction of writing, or is no
    character at all.

    >>> printable("a\x1b[2J\n\u202egpj.exe")
    'a\\x1b[2J\\n\\u202egpj.exe'
    """
    if text.isprintable():
        return text
    return "".join(
        one
        if one.isprintable() or unicodedata.category(one) == "Zs"
        else one.encode("unicode_escape").decode("ascii")
        for one in text
    )


def _cell(text: str) -> str:
    """Escape what would end a cell of a pipe table, and what would be HTML or a link."""
    text = printable(text.replace("\n", " "))
    return text.replace("|", r"\|").replace("<", "&lt;").replace("](", r"]\(")


def csv_text(rows: Sequence[FlatRow]) -> str:
    """Return rows as CSV, with a head; a row that lacks a value leaves its field empty."""
    stream = io.StringIO()
    writer = csv.DictWriter(stream, fieldnames=_columns(rows), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return stream.getvalue()


def _markdown_meta(meta: Mapping[str, Any]) -> str:
    return "".join(f"- {key}: {_cell(str(value))}\n" for key, value in meta.items())


def _finite(value: Any) -> Any:
    """Return ``value`` with every float that is not finite replaced by ``None``."""
    if isinstance(value, Mapping):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
