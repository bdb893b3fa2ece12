"""Time and quality of restorers as a table with shares and as a plot of one against the other."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from jpeg_preproc.errors import JpegPreprocError
from jpeg_preproc.report.plots import COLOURS, new_figure, save_figure, tidy
from jpeg_preproc.report.rows import FlatRow
from jpeg_preproc.report.tables import Table

_SAME = ("device", "dtype", "height", "width", "batch")


def with_shares(rows: Sequence[FlatRow]) -> list[dict[str, Any]]:
    """Return the rows with each restorer's time as a share of every model's beside it.

    ``share_of_NAME`` is the restorer's latency over that of the model NAME at the same size,
    device, dtype and batch: 0.1 makes the model a tenth slower.
    """
    models = [row for row in rows if row["kind"] == "model"]
    names = list(dict.fromkeys(str(model["subject"]) for model in models))
    result = []
    for row in rows:
        shares: dict[str, float | None] = {}
        for name in names:
            beside = [
                model["latency_ms"]
                for model in models
                if model["subject"] == name and all(model[key] == row[key] for key in _SAME)
            ]
            measured = row["kind"] == "restorer" and beside
            shares[f"share_of_{name}"] = (
                round(row["latency_ms"] / beside[0], 4) if measured else None
            )
        result.append({**row, **shares})
    return result


def plot_psnr_vs_time(
    rows: Sequence[FlatRow],
    gains: Mapping[str, float],
    path: str | os.PathLike[str],
    title: str,
    ylabel: str,
) -> Path:
    """Draw each restorer's gain over its median time, one panel per device, dtype and size.

    Args:
        rows: Rows as :func:`with_shares` takes them.
        gains: Gain of each restorer, by its name in ``subject``; others are left out.
        path: File to write; ends in ``.png``, ``.svg`` or ``.pdf``.
        title: Text above all panels.
        ylabel: What the gain is, with its unit.

    Raises:
        JpegPreprocError: No restorer of ``rows`` has a gain, or matplotlib is not installed.
    """
    panels: dict[str, list[FlatRow]] = {}
    for row in rows:
        if row["kind"] == "restorer" and row["subject"] in gains:
            heading = f"{row['device']} · {row['dtype']} · {row['height']}×{row['width']}"
            if row["batch"] > 1:
                heading += f" · batch {row['batch']}"
            panels.setdefault(heading, []).append(row)
    if not panels:
        raise JpegPreprocError(
            f"no restorer with a known gain was timed; nothing to draw in {path}"
        )
    figure, axes = new_figure(len(panels), title)
    from matplotlib.ticker import LogLocator, NullLocator, StrMethodFormatter

    for axis, (heading, members) in zip(axes, panels.items(), strict=True):
        for index, row in enumerate(members):
            point = (row["latency_ms"] / row["batch"], gains[row["subject"]])
            axis.plot(*point, "o", color=COLOURS[index % len(COLOURS)], markersize=7)
            axis.annotate(row["subject"], point, xytext=(6, 4), textcoords="offset points")
        axis.set_xscale("log")
        # Plain numbers: times span one power of ten or two, and 6×10² is no time.
        axis.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axis.xaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
        axis.xaxis.set_minor_locator(NullLocator())
        axis.set_xlabel("median time per image, ms", fontsize=11)
        axis.set_title(heading, fontsize=11, loc="left")
        axis.margins(x=0.25, y=0.15)
        tidy(axis)
    axes[0].set_ylabel(ylabel, fontsize=11)
    return save_figure(figure, path)


def breakdown_table(
    rows: Sequence[Mapping[str, Any]], alone: Mapping[str, tuple[float, float]] | None = None
) -> Table:
    """Return a table of what a run's time went to.

    Args:
        rows: ``stage, wall_s, wall_share, cpu_s, cpu_share``, the last one being the whole run.
        alone: Wall-clock and CPU seconds of some of the stages, each measured alone; gives two
            more columns, whose last line is how many times their sum the run took.
    """
    columns = ["stage", "wall clock", "CPU"]
    lines = [[str(row["stage"]), _cell(row, "wall"), _cell(row, "cpu")] for row in rows]
    if alone is not None:
        columns += ["alone, wall clock", "alone, CPU"]
        for line in lines[:-1]:
            line += [f"{value:.1f} s" for value in alone.get(line[0], ())] or ["", ""]
        for index, kind in enumerate(("wall", "cpu")):
            total = sum(spent[index] for spent in alone.values())
            times = rows[-1][f"{kind}_s"] / total
            lines[-1].append(f"{total:.1f} s (the run: {times:.2f} times)")
    return Table("Where the time went", tuple(columns), tuple(map(tuple, lines)))


def _cell(row: Mapping[str, Any], kind: str) -> str:
    return f"{row[f'{kind}_s']:.1f} s ({row[f'{kind}_share']:.0%})"
