"""Result rows as JSON, CSV and Markdown files, and as tables with one column per QF.

Rows are flat dicts. A restoration row has ``dataset, qf, restorer, protocol, psnr, ssim, psnr_b,
images``; a downstream row ``dataset, model, metric, qf, restorer, value, recovery, images`` with
``value`` in percentage points and ``recovery`` as a fraction, and where known the bounds of their
intervals, ``value_low, value_high, recovery_low, recovery_high``. ``restorer`` is ``'original'``
(``qf`` is then ``None``) or ``'jpeg'`` for the reference rows. Rows of any other kind become one
flat table.
"""

from __future__ import annotations

import csv
import io
import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jpeg_preproc.io import write_json_atomic, write_text_atomic

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Table:
    """A table as it is shown: a title, column heads, and rows of that many cells."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def write_results(
    out_dir: str | os.PathLike[str], meta: Mapping[str, Any], rows: Sequence[Row]
) -> dict[str, Path]:
    """Write ``results.json``, ``results.csv`` and ``results.md``, each whole or not at all.

    JSON knows no infinity: a value that is not finite is ``null`` there, and ``inf``, ``-inf`` or
    ``nan`` in the other two.

    Args:
        out_dir: Folder to write to; made if missing.
        meta: What produced the rows; anything JSON can hold.
        rows: Flat dicts in the order to be kept; CSV columns appear in the order first met.

    Returns:
        The three paths by ``'json'``, ``'csv'`` and ``'md'``.
    """
    folder = Path(out_dir)
    document = {"meta": dict(meta), "rows": [dict(row) for row in rows]}
    sections = [f"## {table.title}\n\n{markdown_table(table)}" for table in result_tables(rows)]
    return {
        "json": write_json_atomic(folder / "results.json", _finite(document)),
        "csv": write_text_atomic(folder / "results.csv", _csv(rows)),
        "md": write_text_atomic(
            folder / "results.md", "\n".join([*sections, _markdown_meta(meta)])
        ),
    }


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


def result_tables(rows: Sequence[Row]) -> list[Table]:
    """Return the tables of ``rows``: lines are restorers, columns are QFs.

    Restoration rows give one table per data set and protocol, downstream rows one per data set,
    model and metric; both keep the order in which restorers appear. A row whose ``qf`` is ``None``
    holds at every QF.
    """
    if not rows:
        return []
    if all("psnr" in row and "qf" in row for row in rows):
        keys: tuple[str, ...] = ("dataset", "protocol")
        heading, cell = "PSNR dB / SSIM / PSNR-B dB", _restoration_cell
    elif all("value" in row and "qf" in row for row in rows):
        keys = ("dataset", "model", "metric")
        heading, cell = "value (recovered share of the loss; 95 % interval)", _downstream_cell
    else:
        columns = _columns(rows)
        lines = (tuple(_number(row.get(column, "")) for column in columns) for row in rows)
        return [Table("Results", columns, tuple(lines))]
    groups: dict[tuple[str, ...], list[Row]] = {}
    for row in rows:
        groups.setdefault(tuple(str(row[key]) for key in keys), []).append(row)
    return [
        _pivot(" · ".join([*group, heading, _image_count(members)]), members, cell)
        for group, members in groups.items()
    ]


def _pivot(title: str, rows: Sequence[Row], cell: Any) -> Table:
    qfs = sorted({row["qf"] for row in rows if row["qf"] is not None})
    cells: dict[str, dict[int | None, str]] = {}
    for row in rows:
        cells.setdefault(str(row["restorer"]), {})[row["qf"]] = cell(row)
    heads = tuple(f"QF {qf}" for qf in qfs) or ("all",)
    lines = tuple(
        (restorer, *(by_qf.get(qf, by_qf.get(None, "–")) for qf in qfs or [None]))
        for restorer, by_qf in cells.items()
    )
    return Table(title, ("restorer", *heads), lines)


def _restoration_cell(row: Row) -> str:
    return f"{row['psnr']:.2f} / {row['ssim']:.3f} / {row['psnr_b']:.2f}"


def _downstream_cell(row: Row) -> str:
    recovery = row.get("recovery")
    if recovery is None:
        return f"{row['value']:.1f}"
    low, high = row.get("recovery_low"), row.get("recovery_high")
    around = "" if low is None or high is None else f"; {100 * low:.0f} to {100 * high:.0f}"
    return f"{row['value']:.1f} ({_percent(recovery)}{around})"


def _percent(fraction: float) -> str:
    return f"{100 * fraction:.0f} %" if math.isfinite(fraction) else "–"


def _image_count(rows: Sequence[Row]) -> str:
    counts = sorted({int(row["images"]) for row in rows})
    return f"{' or '.join(map(str, counts))} image{'' if counts == [1] else 's'}"


def _columns(rows: Sequence[Row]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(column for row in rows for column in row))


def _number(value: Any) -> str:
    if value is None:
        return ""
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _cell(text: str) -> str:
    """Escape what would end a cell of a pipe table."""
    return text.replace("|", r"\|").replace("\n", " ")


def _csv(rows: Sequence[Row]) -> str:
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
