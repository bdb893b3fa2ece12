"""What a study found, in three sentences that say how sure it is."""

from __future__ import annotations

import math
from collections.abc import Sequence

from jpeg_preproc.corruptions import Corruption
from jpeg_preproc.evaluation.judges import FINER
from jpeg_preproc.report.page.content import Tone
from jpeg_preproc.stats.bootstrap import LEVEL
from jpeg_preproc.stats.paired import Difference, paired_difference
from jpeg_preproc.study.comparison_rows import (
    BITS,
    DIFFERENCE,
    MEAN_DIFFERENCE,
    ComparisonRow,
    ModelResults,
)

_SHOWN = 3  # models in a sentence


def sentences(
    results: Sequence[ModelResults], comparisons: Sequence[ComparisonRow]
) -> tuple[str, ...]:
    """Return what was lost, what restoring gives back, and how much of it is established.

    Args:
        results: What each judge says of each model; of one with several metrics of its own, the
            first is told of, and the finer judges are passed over.
        comparisons: What the study has made of them.
    """
    of_models: dict[tuple[str, str], ModelResults] = {}
    for one in results:
        if one.any.metric not in FINER and one.original and one.corrupted:
            of_models.setdefault((one.dataset, one.model), one)
    own = list(of_models.values())
    if not own:
        return ()
    found = [_lost(own), _restored(own, comparisons), _established(own, comparisons)]
    return tuple(sentence for sentence in found if sentence)


def worst(model: ModelResults) -> Corruption:
    """Return the corruption that costs a model most."""
    return min(model.corrupted, key=lambda one: model.corrupted[one].value)


def loss(model: ModelResults, corruption: Corruption) -> Difference:
    """Return what a corruption changes, corrupted − original, in points; NaN without originals."""
    before, after = model.original, model.corrupted[corruption]
    if before is None:
        return Difference(math.nan)
    return paired_difference(after.value, before.value, after.replicates, before.replicates)


def signed(value: float) -> str:
    """Return a number of points with its sign, a real minus.

    >>> signed(-0.04), signed(1.25)
    ('0.0', '+1.2')
    """
    text = f"{value:+.1f}".replace("-", "−")
    return "0.0" if text in ("+0.0", "−0.0") else text


def around(low: float | None, high: float | None, sign: bool = True) -> str:
    """Return an interval in brackets with a space before it; ``''`` where there is none."""
    if low is None or high is None:
        return ""
    first, last = (signed(one) if sign else f"{one:.1f}" for one in (low, high))
    return f" ({first} to {last})"


def tone_of(low: float | None, high: float | None) -> Tone:
    """Return whether an interval lies on one side of 0, and on which."""
    if low is None or high is None:
        return ""
    return "gain" if low > 0 else "loss" if high < 0 else ""


def _lost(models: Sequence[ModelResults]) -> str:
    parts: list[str] = []
    before = ""
    for model in models[:_SHOWN]:
        corruption = worst(model)
        found = loss(model, corruption)
        inside = ""
        if found.low is not None and found.high is not None:
            interval = "" if parts else "95 % interval "
            inside = f" ({interval}{_plain(-found.high)} to {_plain(-found.low)})"
        lost = _plain(-found.value)
        if model.original is not None:
            lost += f" of {model.original.value:.1f}"
        costs = "" if corruption.label == before else f"{corruption.label} costs "
        parts.append(f"{costs}{model.model} {lost} points of {model.any.metric}{inside}")
        before = corruption.label
    if len(models) > len(parts):
        parts.append(f"and {len(models) - len(parts)} more models what the tables say")
    return "; ".join(parts) + "."


def _restored(models: Sequence[ModelResults], comparisons: Sequence[ComparisonRow]) -> str:
    parts = []
    for model in models[:_SHOWN]:
        corruption = worst(model)
        gains = {
            label: restored[corruption]
            for label, restored in model.restored.items()
            if corruption in restored
        }
        if not gains:
            continue
        label = max(gains, key=lambda name: gains[name].value)
        after, before = gains[label], model.corrupted[corruption]
        gain = paired_difference(after.value, before.value, after.replicates, before.replicates)
        inside = around(gain.low, gain.high)
        points = f"{signed(gain.value)} points{inside}"
        if gain.low is not None and gain.low > 0:
            said = f"restoring with {label} gives {model.model} {points}"
        elif gain.high is not None and gain.high < 0:
            said = f"even the best restorer, {label}, changes {model.model} by {points}"
        else:
            said = f"what {label} gives {model.model}, {points}, cannot be told from chance"
        parts.append(said + _bits(model, label, comparisons))
    parts += _in_the_mean(models, comparisons)
    return f"There, {'; '.join(parts)}." if parts else ""


def _in_the_mean(models: Sequence[ModelResults], comparisons: Sequence[ComparisonRow]) -> list[str]:
    """Return the most that the mean of each data set's models gains from a restorer.

    It is told of the corruption that costs the first of these models most.
    """
    parts = []
    first: dict[tuple[str, str], ModelResults] = {}
    for model in models:
        first.setdefault((model.dataset, model.any.metric), model)
    for (dataset, metric), model in first.items():
        column = model.heads[worst(model)][0]
        rows = [
            row
            for row in comparisons
            if (row.comparison, row.dataset, row.metric) == (MEAN_DIFFERENCE, dataset, metric)
            and row.measure == column
        ]
        if rows:
            best = max(rows, key=lambda row: row.value)
            points = f"{signed(best.value)} points of {metric}{around(best.low, best.high)}"
            unsure = "" if tone_of(best.low, best.high) else ", which cannot be told from chance"
            parts.append(f"{best.restorer} gives the {best.model} {points}{unsure}")
    return parts


def _bits(model: ModelResults, label: str, comparisons: Sequence[ComparisonRow]) -> str:
    """Return what that is worth in bits, where that is established."""
    for row in comparisons:
        if (row.comparison, row.measure, row.restorer) != (BITS, "BD-rate", label):
            continue
        if (row.dataset, row.model, row.metric) != (model.dataset, model.model, model.any.metric):
            continue
        if row.high is not None and row.low is not None and row.high < 0:
            return (
                f", and over all qualities stores {-row.value:.0f} % fewer bits at equal "
                f"{row.metric} ({-row.high:.0f} to {-row.low:.0f})"
            )
    return ""


def _established(models: Sequence[ModelResults], comparisons: Sequence[ComparisonRow]) -> str:
    """Return how many comparisons are sure, by the models' own metrics and by the finer judges."""
    own = {(model.dataset, model.model, model.any.metric) for model in models}
    rows = [
        row for row in comparisons if row.comparison == DIFFERENCE and not math.isnan(row.value)
    ]
    of_own = [row for row in rows if row.table in own]
    if not of_own:
        return ""
    of_finer = [row for row in rows if row.metric in FINER]
    counted, unsure = _counted(of_own)
    images = sorted({model.any.images for model in models})
    text = (
        f"Of {len(of_own)} comparisons of restored with corrupted images, {counted} after Holm’s "
        f"correction (p < 0.05); the other {unsure} cannot be told from chance on "
        f"{' or '.join(map(str, images))} images."
    )
    if of_finer:
        judges = " and ".join(name for name in FINER if any(row.metric == name for row in of_finer))
        text += f" By {judges} {_counted(of_finer)[0]}, of {len(of_finer)}."
    return text


def _counted(rows: Sequence[ComparisonRow]) -> tuple[str, int]:
    """Return how many differences are gains and losses for sure, in words, and how many neither."""
    sure = [row.value for row in rows if row.p_holm is not None and row.p_holm < 1 - LEVEL]
    gains, losses = sum(value > 0 for value in sure), sum(value < 0 for value in sure)
    text = (
        f"{gains} {'is a gain' if gains == 1 else 'are gains'} and {losses} "
        f"{'a loss' if losses == 1 else 'losses'}"
    )
    return text, len(rows) - len(sure)


def _plain(value: float) -> str:
    """Return a number of points, with a sign only where it is below 0."""
    return signed(value).removeprefix("+")
