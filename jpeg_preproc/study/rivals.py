"""A model trained to bear corruption beside one whose images are restored, and both together."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from jpeg_preproc.corruptions import Corruption, Original
from jpeg_preproc.evaluation.judges import F1
from jpeg_preproc.evaluation.task import Measurement
from jpeg_preproc.study.comparison_rows import ALL, RIVAL, ComparisonRow, ModelResults
from jpeg_preproc.study.drawn_rows import corrected, mean_of, row_of

_Line = Mapping[Corruption, Measurement]


def points_of_rivals(models: Sequence[ModelResults], rival: str, model: str) -> list[ComparisonRow]:
    """Return how many points each way to bear corruption is above another.

    There are two tables. In the first, what the rival, the model with each restorer, and the rival
    with each restorer reach is compared with the model on images as they are; originals are among
    these, so that it says what the rival's training costs there. In the second, the two that
    restore are compared with the rival on images as they are.

    F1 against the original is left out: its reference is another one for each model.

    Args:
        models: What was measured of each model, by the same draws on one data set.
        rival: Name of the model that was trained to bear corruption.
        model: Name of the model that it was trained from.
    """
    rows: list[ComparisonRow] = []
    for own, other in _pairs(models, rival, model):
        restored = {
            f"{one.model} + {label}": line
            for one in (own, other)
            for label, line in one.restored.items()
        }
        rows += _points_over(own, {rival: _unrestored(other), **restored})
        rows += _points_over(other, restored)
    return rows


def _pairs(
    models: Sequence[ModelResults], rival: str, model: str
) -> Iterator[tuple[ModelResults, ModelResults]]:
    """Yield the model and its rival by each judge on each data set that both are measured on."""
    own_by_judge, other_by_judge = (
        {(one.dataset, one.any.metric): one for one in models if one.model == name}
        for name in (model, rival)
    )
    for judge, own in own_by_judge.items():
        if judge in other_by_judge and own.any.metric != F1:
            yield own, other_by_judge[judge]


def _unrestored(model: ModelResults) -> dict[Corruption, Measurement]:
    """Return what was measured without a restorer, of originals first."""
    found: dict[Corruption, Measurement] = {}
    if model.original is not None:
        found[Original()] = model.original
    return {**found, **model.corrupted}


def _points_over(base: ModelResults, lines: Mapping[str, _Line]) -> list[ComparisonRow]:
    """Return the table of the points of lines over what ``base`` reaches without a restorer."""
    rows = []
    below = _unrestored(base)
    for name, line in lines.items():
        known = [one for one in below if one in line]
        corrupted = [one for one in known if one in base.corrupted]
        columns = [([one], base.heads.get(one, (one.label, (one.label, 0.0)))) for one in known]
        if len(corrupted) > 1:
            columns.append((corrupted, (ALL, (ALL, 0.0))))
        for those, head in columns:
            value, drawn = mean_of({one: line[one] for one in those})
            reached, drawn_below = mean_of({one: below[one] for one in those})
            points = None if drawn is None or drawn_below is None else drawn - drawn_below
            row = row_of(base, RIVAL, name, head, value - reached, points, tested=True)
            rows.append(replace(row, against=base.model))
    return corrected(rows)
