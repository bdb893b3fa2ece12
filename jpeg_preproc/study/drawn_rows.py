"""Values of several measurements, with those of every draw, and the rows made of them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from jpeg_preproc.corruptions import Corruption
from jpeg_preproc.evaluation.task import Measurement
from jpeg_preproc.stats.comparisons import (
    Estimate,
    estimate,
    holm,
    mean_performance,
    two_sided_p,
)
from jpeg_preproc.study.comparison_rows import ComparisonRow, ModelResults

#: A value, and what it is in every draw, (R,), where that is known.
ValueAndDraws = tuple[float, np.ndarray | None]


def mean_of(measured: Mapping[Corruption, Measurement]) -> ValueAndDraws:
    """Return the mean over kinds of the mean over strengths, and that of every draw."""
    values: dict[str, list[float]] = {}
    draws: dict[str, list[np.ndarray]] = {}
    for corruption, one in measured.items():
        values.setdefault(corruption.kind, []).append(one.value)
        drawn = draws_of(one)
        if drawn is not None:
            draws.setdefault(corruption.kind, []).append(drawn)
    complete = sum(map(len, draws.values())) == len(measured)
    return float(mean_performance(values)), mean_performance(draws) if complete else None


def draws_of(measured: Measurement) -> np.ndarray | None:
    """Return the metric of each draw, (R,)."""
    return None if measured.replicates is None else np.asarray(measured.replicates, float)


def sum_of(parts: Sequence[ValueAndDraws]) -> ValueAndDraws:
    """Return values added up, and those of every draw where all of them have draws."""
    drawn = [draws for _, draws in parts if draws is not None]
    total: np.ndarray | None = np.sum(drawn, axis=0) if len(drawn) == len(parts) else None
    return math.fsum(value for value, _ in parts), total


def total_of(
    measured: Sequence[Mapping[Corruption, Measurement]], corruptions: Sequence[Corruption]
) -> ValueAndDraws:
    """Return the mean over corruptions, see :func:`mean_of`, added up over models."""
    return sum_of([mean_of({one: of_model[one] for one in corruptions}) for of_model in measured])


def gain_of(
    models: Sequence[ModelResults], label: str, corruptions: Sequence[Corruption]
) -> ValueAndDraws:
    """Return the points a restorer gains, added up over models, and those of every draw."""
    corrupted = total_of([model.corrupted for model in models], corruptions)
    restored = total_of([model.restored[label] for model in models], corruptions)
    drawn = None
    if corrupted[1] is not None and restored[1] is not None:
        drawn = restored[1] - corrupted[1]
    return restored[0] - corrupted[0], drawn


def row_of(
    model: ModelResults,
    comparison: str,
    restorer: str,
    head: tuple[str, tuple[str, float]],
    value: float,
    drawn: np.ndarray | None,
    tested: bool = False,
) -> ComparisonRow:
    """Return a row of a figure and its draws.

    Args:
        model: What the figure is of.
        comparison: What is compared, as :class:`~.comparison_rows.ComparisonRow` has it.
        restorer: Line of the table.
        head: Column of the table, and its place.
        value: The figure.
        drawn: What it is in every draw, (R,).
        tested: Whether the row has a p-value.
    """
    row = estimated_row(model, comparison, restorer, head, estimate(value, drawn))
    return replace(row, p=two_sided_p(value, drawn)) if tested and drawn is not None else row


def estimated_row(
    model: ModelResults,
    comparison: str,
    restorer: str,
    head: tuple[str, tuple[str, float]],
    found: Estimate,
    against: str = "",
) -> ComparisonRow:
    """Return a row of a figure whose interval is known."""
    return ComparisonRow(
        comparison=comparison,
        dataset=model.dataset,
        model=model.model,
        metric=model.any.metric,
        restorer=restorer,
        against=against,
        measure=head[0],
        value=found.value,
        low=found.low,
        high=found.high,
        p=None,
        p_holm=None,
        images=model.any.images,
        place=head[1],
    )


def corrected(rows: Sequence[ComparisonRow]) -> list[ComparisonRow]:
    """Return the rows of a table, those that are tested with Holm's correction over them."""
    corrections = iter(holm([row.p for row in rows if row.p is not None]))
    return [row if row.p is None else replace(row, p_holm=next(corrections)) for row in rows]
