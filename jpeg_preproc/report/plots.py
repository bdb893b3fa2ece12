"""Results over the strength of a corruption as line plots; matplotlib is imported only for one."""

from __future__ import annotations

import io
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jpeg_preproc.errors import JpegPreprocError
from jpeg_preproc.io import write_bytes_atomic
from jpeg_preproc.report.rows import PlottedRow

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Okabe and Ito's palette, told apart with any colour vision; black and grey are the references.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
_MARKERS = ("o", "s", "^", "D", "v", "P")
_GREY = "#6F6F6F"
_PANEL_INCHES = (6.0, 4.0)
_LABEL_POINTS = 9.5
_BAND = 0.12


def plot_metric(
    rows: Sequence[PlottedRow],
    value_key: str,
    path: str | os.PathLike[str],
    title: str,
    ylabel: str | None = None,
) -> Path:
    """Draw one line per restorer over the strength of a corruption, and write it atomically.

    Each data set, model and kind of corruption has a panel, and each line its name at its right
    end. ``'original'`` is a dashed level line, ``'jpeg'`` and ``'corrupted'`` are grey. Values that
    are ``None`` or not finite are left out, and so are kinds of corruption that come in one
    strength alone where others come in several. Where rows have bounds of their value, as
    ``value_low`` and ``value_high``, they are a band around the line.

    Args:
        rows: Results; see :mod:`jpeg_preproc.report.rows`.
        value_key: The column to draw, such as ``'psnr'`` or ``'value'``.
        path: File, ending in ``.png``, ``.svg`` or ``.pdf``.
        title: Text above all panels.
        ylabel: The measure with its unit; ``value_key`` by default.

    Raises:
        JpegPreprocError: Matplotlib is not installed, or there is nothing to draw.
    """
    panels = _panels(rows, value_key)
    if not panels:
        raise JpegPreprocError(f"No row has a finite {value_key!r} to draw in {path}.")
    figure, axes = new_figure(len(panels), title)
    names = dict.fromkeys(name for panel in panels for name in panel.lines)
    styles = _styles([name for name in names if name not in ("original", "jpeg", "corrupted")])
    for axis, panel in zip(axes, panels, strict=True):
        _draw(axis, panel, styles)
        axis.set_title(panel.heading, fontsize=11, loc="left")
    axes[0].set_ylabel(ylabel or value_key, fontsize=11)
    return save_figure(figure, path)


def new_figure(panels: int, title: str) -> tuple[Figure, list[Axes]]:
    """Return an empty figure and its panels from left to right.

    Raises:
        JpegPreprocError: Matplotlib is not installed.
    """
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ModuleNotFoundError as error:
        raise JpegPreprocError(
            "Plots need matplotlib, which is not installed; install the extra: "
            "pip install 'jpeg_preproc[report]'."
        ) from error
    width, height = _PANEL_INCHES
    figure = Figure(figsize=(width * panels, height), dpi=160, layout="constrained")
    FigureCanvasAgg(figure)
    figure.suptitle(title, fontsize=13, x=0.01, ha="left", weight="bold")
    return figure, list(figure.subplots(1, panels, squeeze=False)[0])


def save_figure(figure: Figure, path: str | os.PathLike[str]) -> Path:
    """Write the figure atomically as what the path ends in (``.png``, ``.svg``, ``.pdf``)."""
    stream = io.BytesIO()
    target = Path(path)
    figure.savefig(stream, format=target.suffix.lstrip(".") or "png")
    return write_bytes_atomic(target, stream.getvalue())


def tidy(axis: Axes) -> None:
    """Leave of a panel's frame and grid what helps to read values off."""
    axis.grid(axis="y", color="#E3E3E3", linewidth=0.8)
    axis.set_axisbelow(True)
    axis.spines[["top", "right"]].set_visible(False)


@dataclass
class _Panel:
    """One panel: what is drawn, by line and by place on the axis, ``None`` for a level line."""

    heading: str
    axis: str
    lines: dict[str, dict[float | None, float]] = field(default_factory=dict)
    bands: dict[str, dict[float, tuple[float, float]]] = field(default_factory=dict)

    @property
    def places(self) -> list[float]:
        """Where along the axis there are points."""
        found = {place for line in self.lines.values() for place in line if place is not None}
        return sorted(found)


def _panels(rows: Sequence[PlottedRow], value_key: str) -> list[_Panel]:
    """Return the panels in the order of the rows, level lines in each of their table."""
    panels: dict[tuple[str, str], _Panel] = {}
    level: dict[str, dict[str, float]] = {}
    for row in rows:
        columns = row.columns()
        value = columns.get(value_key)
        # NaN and the infinities fail both comparisons.
        if value is None or not float("-inf") < value < float("inf"):
            continue
        heading = " · ".join(row.table)
        if row.place is None:
            level.setdefault(heading, {})[row.line] = float(value)
            continue
        axis, place = row.place
        panel = panels.setdefault((heading, axis), _Panel(heading, axis))
        panel.lines.setdefault(row.line, {})[place] = float(value)
        low, high = (columns.get(f"{value_key}_{end}") for end in ("low", "high"))
        if low is not None and high is not None:
            panel.bands.setdefault(row.line, {})[place] = (float(low), float(high))
    several = {panel.axis for panel in panels.values() if len(panel.places) > 1}
    chosen = [panel for panel in panels.values() if panel.axis in several or not several]
    for panel in chosen:
        panel.lines = {
            **{name: {None: value} for name, value in level.get(panel.heading, {}).items()},
            **panel.lines,
        }
    return chosen


def _styles(names: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Return a line style per restorer; after six colours the next round is dash-dotted."""
    styles: dict[str, dict[str, Any]] = {
        "original": {"color": "black", "linestyle": (0, (5, 3)), "linewidth": 1.3},
    }
    for name in ("jpeg", "corrupted"):
        styles[name] = {"color": _GREY, "marker": "x", "linewidth": 1.6, "markersize": 6}
    for index, name in enumerate(names):
        styles[name] = {
            "color": COLOURS[index % len(COLOURS)],
            "marker": _MARKERS[index % len(_MARKERS)],
            "linestyle": "-" if index < len(COLOURS) else "-.",
            "linewidth": 2.0,
            "markersize": 5,
        }
    return styles


def _draw(axis: Axes, panel: _Panel, styles: dict[str, dict[str, Any]]) -> None:
    ends: list[tuple[float, str]] = []
    for name, line in panel.lines.items():
        if None in line:
            axis.axhline(line[None], **styles[name])
            ends.append((line[None], name))
            continue
        points = sorted((place, value) for place, value in line.items() if place is not None)
        axis.plot(*zip(*points, strict=True), **styles[name])
        band = sorted((place, *ends) for place, ends in panel.bands.get(name, {}).items())
        if band:
            places, lows, highs = zip(*band, strict=True)
            colour = styles[name]["color"]
            axis.fill_between(places, lows, highs, color=colour, alpha=_BAND, linewidth=0)
        ends.append((points[-1][1], name))
    axis.set_xticks(panel.places)
    axis.set_xlabel(panel.axis, fontsize=11)
    tidy(axis)
    axis.margins(x=0.04, y=0.08)
    _label_ends(axis, ends, styles)


def _label_ends(
    axis: Axes, ends: list[tuple[float, str]], styles: dict[str, dict[str, Any]]
) -> None:
    """Write each line's name to the right of the panel at its height, moved apart if need be."""
    low, high = axis.get_ylim()
    # Height of one label in data units; the panel's drawing area is about 70 % of its height.
    step = (high - low) * _LABEL_POINTS * 1.25 / (72 * _PANEL_INCHES[1] * 0.7)
    ordered = sorted(ends)
    heights = spread([value for value, _ in ordered], step, high)
    for height, (_, name) in zip(heights, ordered, strict=True):
        axis.annotate(
            name,
            xy=(1.0, height),
            xycoords=axis.get_yaxis_transform(),
            xytext=(6, 0),
            textcoords="offset points",
            va="center",
            color=styles[name]["color"],
            fontsize=_LABEL_POINTS,
            annotation_clip=False,
        )


def spread(values: Sequence[float], step: float, ceiling: float) -> list[float]:
    """Return ascending ``values`` moved to lie ``step`` apart and at or below ``ceiling``.

    Pools adjacent violators, so that labels move as little as can be (in squares): a run that
    lies too close together is centred on its own mean.
    """
    runs: list[tuple[float, int]] = []  # (mean of value - index * step, length)
    for index, value in enumerate(values):
        mean, length = value - index * step, 1
        while runs and runs[-1][0] > mean:
            before, count = runs.pop()
            mean = (mean * length + before * count) / (length + count)
            length += count
        runs.append((mean, length))
    means = [mean for mean, length in runs for _ in range(length)]
    last = len(values) - 1
    return [
        min(mean + index * step, ceiling - (last - index) * step)
        for index, mean in enumerate(means)
    ]
