"""Results over QF as line plots; matplotlib is imported only when one is drawn."""

from __future__ import annotations

import io
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jpeg_preproc.errors import JpegPreprocError
from jpeg_preproc.io import write_bytes_atomic
from jpeg_preproc.report.tables import Row

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Okabe and Ito's palette, told apart with any colour vision; black and grey are the references.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
_MARKERS = ("o", "s", "^", "D", "v", "P")
_JPEG_GREY = "#6F6F6F"
_PANEL_INCHES = (6.0, 4.0)
_LABEL_POINTS = 9.5


def plot_metric_vs_qf(
    rows: Sequence[Row],
    value_key: str,
    path: str | os.PathLike[str],
    title: str,
    ylabel: str | None = None,
) -> Path:
    """Draw one line per restorer over QF, one panel per data set, and write it atomically.

    Each line carries its name at its right end. ``'original'`` is a dashed level line, ``'jpeg'``
    is grey. Values that are ``None`` or not finite are left out.

    Args:
        rows: Rows of a restoration or downstream run; see :mod:`jpeg_preproc.report.tables`.
        value_key: Column to draw, such as ``'psnr'`` or ``'value'``.
        path: File to write; ends in ``.png``, ``.svg`` or ``.pdf``.
        title: Text above all panels.
        ylabel: The measure with its unit; ``value_key`` by default.

    Raises:
        JpegPreprocError: Matplotlib is not installed, or there is nothing to draw.
    """
    panels = _panels(rows, value_key)
    if not panels:
        raise JpegPreprocError(f"No row has a finite {value_key!r} to draw in {path}.")
    figure, axes = new_figure(len(panels), title)
    names = dict.fromkeys(name for lines in panels.values() for name in lines)
    styles = _styles([name for name in names if name not in ("original", "jpeg")])
    for axis, (heading, lines) in zip(axes, panels.items(), strict=True):
        _draw(axis, lines, styles)
        axis.set_title(heading, fontsize=11, loc="left")
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


def _panels(rows: Sequence[Row], value_key: str) -> dict[str, dict[str, dict[int | None, float]]]:
    """Return panel heading -> restorer -> QF -> value, in the order of the rows."""
    panels: dict[str, dict[str, dict[int | None, float]]] = {}
    for row in rows:
        value = row.get(value_key)
        # NaN and the infinities fail both comparisons.
        if value is None or not float("-inf") < value < float("inf"):
            continue
        parts = [
            str(row[key]) for key in ("dataset", "protocol", "model", "metric") if row.get(key)
        ]
        lines = panels.setdefault(" · ".join(parts), {})
        lines.setdefault(str(row["restorer"]), {})[row["qf"]] = float(value)
    return panels


def _styles(names: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Return a line style per restorer; after six colours the next round is dash-dotted."""
    styles: dict[str, dict[str, Any]] = {
        "original": {"color": "black", "linestyle": (0, (5, 3)), "linewidth": 1.3},
        "jpeg": {"color": _JPEG_GREY, "marker": "x", "linewidth": 1.6, "markersize": 6},
    }
    for index, name in enumerate(names):
        styles[name] = {
            "color": COLOURS[index % len(COLOURS)],
            "marker": _MARKERS[index % len(_MARKERS)],
            "linestyle": "-" if index < len(COLOURS) else "-.",
            "linewidth": 2.0,
            "markersize": 5,
        }
    return styles


def _draw(
    axis: Axes, lines: dict[str, dict[int | None, float]], styles: dict[str, dict[str, Any]]
) -> None:
    qfs = sorted({qf for by_qf in lines.values() for qf in by_qf if qf is not None})
    ends: list[tuple[float, str]] = []
    for name, by_qf in lines.items():
        if None in by_qf:
            axis.axhline(by_qf[None], **styles[name])
            ends.append((by_qf[None], name))
            continue
        points = sorted((qf, value) for qf, value in by_qf.items() if qf is not None)
        axis.plot(*zip(*points, strict=True), **styles[name])
        ends.append((points[-1][1], name))
    axis.set_xticks(qfs)
    axis.set_xlabel("JPEG quality factor", fontsize=11)
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
    heights = _spread([value for value, _ in ordered], step, high)
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


def _spread(values: Sequence[float], step: float, ceiling: float) -> list[float]:
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
