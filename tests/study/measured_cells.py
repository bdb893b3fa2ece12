"""Measurements made up for comparisons that can be worked out by hand."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from fake_task import BASE, FakeTask

from jpeg_preproc.corruptions import parse_corruption
from jpeg_preproc.evaluation.conditions import Condition, RestorerChoice
from jpeg_preproc.evaluation.rows import downstream_rows
from jpeg_preproc.evaluation.run import TaskRun
from jpeg_preproc.evaluation.task import Measurement
from jpeg_preproc.study.comparison_rows import ComparisonRow, ModelResults

#: Measurements by restorer and corruption.
Cells = dict[tuple[str | None, str | None], Measurement]

OTHER = RestorerChoice("other", "other", "cd")
CHOICES: dict[str | None, RestorerChoice | None] = {"base": BASE, "other": OTHER, None: None}
RNG = np.random.default_rng(0)
NOISE = RNG.normal(0, 1, (8, 400))


class Named(FakeTask):
    """What rows are made of beside measurements."""

    def __init__(self, model: str, dataset: str) -> None:
        super().__init__()
        self.model, self.dataset = model, dataset


def measured(
    value: float,
    draws: np.ndarray,
    rate: float | None = None,
    metric: str = "mAP",
    images: int = 9,
) -> Measurement:
    drawn = tuple((value + draws).tolist())
    return Measurement(metric, value, images, 1.0, {}, drawn, bytes_per_pixel=rate)


def results(cells: Cells, model: str = "yolo", dataset: str = "coco") -> ModelResults:
    """ModelResults of {(restorer, corruption): Measurement}."""
    done = [
        (Condition(parse_corruption(spelling) if spelling else None, CHOICES[restorer]), one)
        for (restorer, spelling), one in cells.items()
    ]
    rows = downstream_rows(Named(model, dataset), done)
    (of_metric,) = ModelResults.of(TaskRun(rows, [], 0, [], {}, done))
    return of_metric


CELLS: Cells = {
    (None, None): measured(30.0, NOISE[0]),
    (None, "jpeg:10"): measured(20.0, NOISE[1], 0.05),
    ("base", "jpeg:10"): measured(27.0, NOISE[2], 0.05),
    ("other", "jpeg:10"): measured(22.0, NOISE[3], 0.05),
    (None, "jpeg:40"): measured(26.0, NOISE[4], 0.1),
    ("base", "jpeg:40"): measured(28.0, NOISE[5], 0.1),
    ("other", "jpeg:40"): measured(25.0, NOISE[6], 0.1),
    (None, "webp:30"): measured(24.0, NOISE[7], 0.06),
    ("base", "webp:30"): measured(24.5, NOISE[0], 0.06),
    ("other", "webp:30"): measured(24.0, NOISE[1], 0.06),
}


def found(rows: Iterable[ComparisonRow], **wanted: Any) -> ComparisonRow:
    """The one row that has these values."""
    (row,) = (
        row for row in rows if all(getattr(row, name) == value for name, value in wanted.items())
    )
    return row
