"""A model's own metric of parts of the test set: of each class, and of each size of the objects."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from jpeg_preproc.corruptions import Corruption
from jpeg_preproc.evaluation.conditions import ORIGINAL, Condition
from jpeg_preproc.evaluation.figures import OF_CLASS, OF_SIZE
from jpeg_preproc.evaluation.task import Measurement
from jpeg_preproc.report.page import Cell, SortableTable
from jpeg_preproc.stats.comparisons import estimate
from jpeg_preproc.study.comparison_rows import ModelResults
from jpeg_preproc.study.sentences import around, signed, tone_of

_SIZES = {"s": "small", "m": "medium", "l": "large"}
_NOTE = (
    "In points. In smaller print: how far the original’s may be off; what {0} costs against it; "
    "what restoring changes against {0}. 95 % intervals over images, the last two paired, coloured "
    "where they are on one side of 0, and not corrected for the number of lines; there is none of "
    "what few images have."
)


def part_tables(
    model: ModelResults, corruption: Corruption, heading: str
) -> Iterator[SortableTable]:
    """Yield a table by class and one by size, as far as the metric has such parts.

    Args:
        model: What one judge says of one model; its originals were measured.
        corruption: What the table's images went through.
        heading: What the tables are of.
    """
    if model.original is None:
        return
    columns = {Condition(corruption).label: model.corrupted[corruption]}
    for label, of_one in model.restored.items():
        if corruption in of_one:
            columns[label] = of_one[corruption]
    original = _parts(model.original)
    of_columns = [_parts(measured) for measured in columns.values()]
    for what, group in (("class", OF_CLASS), ("size", OF_SIZE)):
        names = [
            name
            for name in original
            if name.startswith(group) and all(name in parts for parts in of_columns)
        ]
        rows = tuple(
            (
                name.removeprefix(group),
                tuple(_cells(original[name], [parts[name] for parts in of_columns])),
            )
            for name in names
        )
        if rows:
            yield SortableTable(
                f"{_name(model.any.metric, what)} by {what}: {heading}",
                _NOTE.format("JPEG" if corruption.kind == "jpeg" else "it"),
                (what, ORIGINAL, *columns),
                rows,
            )


def _name(metric: str, what: str) -> str:
    """Return what a metric is called of one part: mAP is the mean of its classes' AP."""
    if what == "class":
        metric = metric.replace("mAP", "AP").replace("mIoU", "IoU")
    return metric


def _cells(original: np.ndarray, others: Sequence[np.ndarray]) -> Iterator[Cell]:
    """Yield the cells of a line.

    Args:
        original: The figure of the originals and then that of each draw, if they are known.
        others: The same of the corrupted images, and of those that each restorer restored.
    """
    own = estimate(original[0], original[1:])
    yield Cell(f"{own.value:.1f}", bounds=_inside(own.low, own.high, sign=False))
    for index, part in enumerate(others):
        before = others[0] if index else original
        drawn = None
        if part.size == before.size:
            drawn = part[1:] - before[1:]
        change = estimate(part[0] - before[0], drawn)
        yield Cell(
            f"{part[0]:.1f}",
            signed(change.value),
            _inside(change.low, change.high),
            tone_of(change.low, change.high),
        )


def _inside(low: float | None, high: float | None, sign: bool = True) -> str:
    return around(low, high, sign).strip(" ()")


def _parts(measured: Measurement) -> Mapping[str, np.ndarray]:
    """Return the figure of each part, and then that of each draw.

    What an earlier version has stored has COCO's sizes and the classes of label maps without draws.
    """
    if measured.parts is not None:
        return {name: np.asarray(part, float) for name, part in measured.parts.items()}
    found = {}
    for key, value in measured.all_metrics.items():
        name = key.rpartition("/")[2]
        if key.startswith("IoU/"):
            found[OF_CLASS + key.removeprefix("IoU/")] = np.array([value])
        elif name.startswith("bbox_mAP_") and name[-1] in _SIZES and value >= 0:
            found[OF_SIZE + _SIZES[name[-1]]] = np.array([100 * value])
    return found
