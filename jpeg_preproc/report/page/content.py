"""What a page shows, as plain values: what it looks like is the business of the templates."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from jpeg_preproc.report.tables import Table

#: Whether a difference is established: its interval lies on one side of 0.
Tone = Literal["gain", "loss", ""]
#: What became of a box or a pixel: it is as in the original, it is gone, it was gone and is back,
#: or it is there and is not in the original.
State = Literal["kept", "lost", "regained", "added"]
Side = Literal["original", "corrupted", "restored"]


@dataclass(frozen=True)
class Cell:
    """A cell of a table of figures.

    Attributes:
        text: The figure.
        change: Its difference, in smaller print.
        bounds: That difference's interval.
        tone: Whether that difference is established.
    """

    text: str
    change: str = ""
    bounds: str = ""
    tone: Tone = ""


@dataclass(frozen=True)
class FigureTable:
    """A table as papers have it.

    Attributes:
        columns: Heads of the columns: what happened to the images.
        lines: Name and cells of each line: original, JPEG, and the restorers.
        note: What the smaller print in the cells is.
    """

    columns: tuple[str, ...]
    lines: tuple[tuple[str, tuple[Cell, ...]], ...]
    note: str


@dataclass(frozen=True)
class Line:
    """One line of a chart.

    Attributes:
        name: What the legend calls it.
        points: Place on the axis, value, and the value's bounds, ascending in place.
    """

    name: str
    points: tuple[tuple[float, float, float | None, float | None], ...]


@dataclass(frozen=True)
class Axis:
    """What a chart's lines can be drawn over.

    Attributes:
        name: What the axis is called, with its unit.
        is_log: Whether it is logarithmic at first.
        lines: The lines over it.
    """

    name: str
    is_log: bool
    lines: tuple[Line, ...]


@dataclass(frozen=True)
class Chart:
    """A chart, over one of several axes.

    Attributes:
        unit: What is drawn.
        level: Value on the originals, a level line.
        axes: What it can be drawn over, at least one.
    """

    unit: str
    level: float | None
    axes: tuple[Axis, ...]


@dataclass(frozen=True)
class Figures:
    """What one judge says of one model: a table, and a chart where there is something to draw."""

    heading: str
    subheading: str
    table: FigureTable
    chart: Chart | None = None


@dataclass(frozen=True)
class Cost:
    """What a restorer takes and gives for one model.

    Attributes:
        model: The model and its data set.
        restorer: The restorer.
        seconds: Seconds that restoring one image takes, in ``unit``.
        model_seconds: Seconds that the model takes for one image.
        gain: Points gained, on average over what happened to the images.
        low: Lower bound of the gain.
        high: Upper bound.
        metric: What the points are of.
        unit: What the seconds are: ``'CPU seconds'``, or ``'seconds'`` on the clock.
    """

    model: str
    restorer: str
    seconds: float
    model_seconds: float
    gain: float
    low: float | None
    high: float | None
    metric: str
    unit: str = "seconds"


@dataclass(frozen=True)
class SortableTable:
    """A table of numbers that readers sort.

    Attributes:
        heading: What it is of.
        note: How its figures came about.
        columns: Heads of the columns; the first is that of the names.
        rows: Name and figures of each line; ``None`` where there is no figure, and a cell whose
            text is the number that it is sorted by.
    """

    heading: str
    note: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, tuple[float | Cell | None, ...]], ...]


@dataclass(frozen=True)
class Box:
    """A box that is drawn: left, top, right and bottom in pixels of the original."""

    state: State
    label: str
    score: float | None
    place: tuple[float, float, float, float]


@dataclass(frozen=True)
class View:
    """An image of the gallery: what a model saw, and what it made of it.

    Attributes:
        side: Which of the three it is.
        title: What was done to the image.
        note: What the bytes are.
        data: Bytes of a file that browsers show.
        mime: Its kind.
        place: Left, top, width and height that it has within the original, in its pixels.
        boxes: Boxes that are drawn over it.
        mask: Transparent PNG of the original's size that is laid over it; ``b""`` for none.
    """

    side: Side
    title: str
    note: str
    data: bytes
    mime: str
    place: tuple[float, float, float, float]
    boxes: tuple[Box, ...] = ()
    mask: bytes = b""


@dataclass(frozen=True)
class Crop:
    """A square that is shown enlarged: left and top corner and side, in pixels of the original."""

    label: str
    left: float
    top: float
    side: float


@dataclass(frozen=True)
class Picture:
    """An image that a restorer has changed much for a model.

    Attributes:
        name: Name of the file.
        model: The model and its data set.
        condition: What happened to the image, and who restored it.
        helped: Whether restoring helped.
        change: By how much, for people.
        classes: Names of the classes of what has changed.
        counts: How many boxes or pixels are of each state in the restored image, for people.
        size: Width and height of the original in pixels.
        views: Original, corrupted and restored.
        crops: What is shown enlarged.
    """

    name: str
    model: str
    condition: str
    helped: bool
    change: str
    classes: tuple[str, ...]
    counts: str
    size: tuple[int, int]
    views: tuple[View, View, View]
    crops: tuple[Crop, ...]


@dataclass(frozen=True)
class Gallery:
    """The images that changed most.

    Attributes:
        rule: How they were chosen.
        pictures: The images.
    """

    rule: str
    pictures: tuple[Picture, ...] = ()


@dataclass(frozen=True)
class Facts:
    """Names and values under a heading."""

    heading: str
    entries: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Page:
    """A study's results.

    Attributes:
        title: What the study asks.
        sentences: What it found, in sentences.
        caveat: What the figures do not show; ``""`` for nothing to say.
        figures: Tables and charts.
        costs: Time against gain.
        classes: Figures by class and by size of the objects.
        comparisons: Whatever else the study compares.
        gallery: The images that changed most.
        facts: How it was measured.
        citation: How to cite, as a sentence and as BibTeX.
        plot: An SVG of all curves, for readers without scripts; ``""`` for none.
    """

    title: str
    sentences: tuple[str, ...]
    caveat: str
    figures: tuple[Figures, ...]
    costs: tuple[Cost, ...]
    classes: tuple[SortableTable, ...]
    comparisons: tuple[Table, ...]
    gallery: Gallery
    facts: tuple[Facts, ...]
    citation: tuple[str, str]
    plot: str = field(default="", repr=False)
