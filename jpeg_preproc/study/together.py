"""What restoring gives several models of one data set in the mean, as one model is not all."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from jpeg_preproc.corruptions import Corruption
from jpeg_preproc.stats.bootstrap import recovery_interval
from jpeg_preproc.stats.comparisons import Estimate
from jpeg_preproc.study.comparison_rows import (
    ALL,
    MEAN_DIFFERENCE,
    RECOVERY,
    ComparisonRow,
    ModelResults,
)
from jpeg_preproc.study.drawn_rows import (
    corrected,
    draws_of,
    estimated_row,
    gain_of,
    row_of,
    sum_of,
    total_of,
)


def of_one_dataset(models: Sequence[ModelResults]) -> Iterator[list[ModelResults]]:
    """Yield the models of each data set that several are measured on by one metric.

    Their draws are of the same images, and so may be added up.
    """
    groups: dict[tuple[str, str, int, int], list[ModelResults]] = {}
    for model in models:
        drawn = len(model.any.replicates or ())
        key = (model.dataset, model.any.metric, model.any.images, drawn)
        groups.setdefault(key, []).append(model)
    yield from (group for group in groups.values() if len(group) > 1)


def means_over_models(models: Sequence[ModelResults]) -> list[ComparisonRow]:
    """Return the points each restorer gains, and its recovery, in the mean of models.

    Each model weighs as much as another. The recovery is of the models' losses together, so that
    one which hardly loses cannot decide it, and has no interval where that loss is not established.
    A restorer and a corruption that one of the models lacks are left out.

    Args:
        models: Models measured by one metric on the images of one data set.
    """
    rows: list[ComparisonRow] = []
    recoveries: list[ComparisonRow] = []
    for label in models[0].restored:
        known = [
            one
            for one in models[0].corrupted
            if all(
                one in model.corrupted and one in model.restored.get(label, {}) for model in models
            )
        ]
        columns = [(models[0].heads[one], [one]) for one in known]
        if len(known) > 1:
            columns.append(((ALL, (ALL, 0.0)), known))
        for head, corruptions in columns:
            value, drawn = gain_of(models, label, corruptions)
            mean = (value / len(models), None if drawn is None else drawn / len(models))
            rows.append(row_of(models[0], MEAN_DIFFERENCE, label, head, *mean, tested=True))
            share = _recovery(models, label, corruptions)
            if share is not None:
                recoveries.append(estimated_row(models[0], RECOVERY, label, head, share))
    name = f"mean of {', '.join(model.model for model in models)}"
    return [replace(row, model=name) for row in (*corrected(rows), *recoveries)]


def _recovery(
    models: Sequence[ModelResults], label: str, corruptions: Sequence[Corruption]
) -> Estimate | None:
    """Return the share of the models' losses that comes back, in %; none without a loss."""
    originals = [model.original for model in models if model.original is not None]
    if len(originals) < len(models):
        return None
    original = sum_of([(one.value, draws_of(one)) for one in originals])
    corrupted = total_of([model.corrupted for model in models], corruptions)
    restored = total_of([model.restored[label] for model in models], corruptions)
    loss = original[0] - corrupted[0]
    if loss <= 0:
        return None
    share = (restored[0] - corrupted[0]) / loss
    around = None
    if original[1] is not None and corrupted[1] is not None and restored[1] is not None:
        around = recovery_interval(original[1], corrupted[1], restored[1], share)
    return Estimate(100 * share, *(() if around is None else (100 * bound for bound in around)))
