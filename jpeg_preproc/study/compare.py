"""What a study's measurements say: differences, robustness, ratios of gains, and bits saved."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from jpeg_preproc.evaluation.conditions import CORRUPTED, ORIGINAL
from jpeg_preproc.stats.comparisons import Drawn
from jpeg_preproc.stats.rate import RateCurve, accuracy_at, bd_rate, bits_at_equal_accuracy
from jpeg_preproc.study.comparison_rows import (
    ACCURACY,
    ALL,
    BITS,
    DIFFERENCE,
    RATIO,
    ROBUSTNESS,
    ComparisonRow,
    ModelResults,
)
from jpeg_preproc.study.drawn_rows import (
    corrected,
    draws_of,
    estimated_row,
    gain_of,
    mean_of,
    row_of,
)
from jpeg_preproc.study.rivals import points_of_rivals
from jpeg_preproc.study.spec import Comparisons
from jpeg_preproc.study.together import means_over_models, of_one_dataset


def compare_models(models: Sequence[ModelResults], wanted: Comparisons) -> list[ComparisonRow]:
    """Return all comparisons of a study.

    Args:
        models: What was measured of each model.
        wanted: What is compared.

    Raises:
        JpegPreprocError: A package that a comparison needs is not installed.
    """
    rows: list[ComparisonRow] = []
    for model in models:
        rows += differences(model)
        if wanted.robustness:
            rows += robustness(model)
        if wanted.baseline is not None:
            rows += ratios([model], wanted.baseline)
        if wanted.rate is not None:
            rows += bits(model, wanted.rate)
    if wanted.baseline is not None:
        for together in of_one_dataset(models):
            rows += ratios(together, wanted.baseline)
    rivals = {rival for rival, _ in wanted.rivals}
    for together in of_one_dataset([model for model in models if model.model not in rivals]):
        rows += means_over_models(together)
    for rival, own in wanted.rivals:
        rows += points_of_rivals(models, rival, own)
    return rows


def differences(model: ModelResults) -> list[ComparisonRow]:
    """Return the points that each restorer gains under each corruption, and on their average."""
    rows = []
    for label, restored in model.restored.items():
        known = [corruption for corruption in restored if corruption in model.corrupted]
        gains = {corruption: gain_of([model], label, [corruption]) for corruption in known}
        for corruption, (value, drawn) in gains.items():
            rows.append(
                row_of(model, DIFFERENCE, label, model.heads[corruption], value, drawn, tested=True)
            )
        if len(known) > 1:
            value, drawn = gain_of([model], label, known)
            rows.append(
                row_of(model, DIFFERENCE, label, (ALL, (ALL, 0.0)), value, drawn, tested=True)
            )
    return corrected(rows)


def robustness(model: ModelResults) -> list[ComparisonRow]:
    """Return P, and of images as they are and as each restorer restores them, mPC and rPC.

    A restorer that was not measured under every corruption has neither: they would not compare.
    """
    if model.original is None:
        return []
    value, drawn = model.original.value, draws_of(model.original)
    rows = [row_of(model, ROBUSTNESS, ORIGINAL, ("P", ("P", 0.0)), value, drawn)]
    for label, measured in ((CORRUPTED, model.corrupted), *model.restored.items()):
        if measured.keys() != model.corrupted.keys():
            continue
        mean, drawn_mean = mean_of(measured)
        share = 100 * mean / value if value else math.nan
        drawn_share = None
        if drawn is not None and drawn_mean is not None:
            drawn_share = _quotient(100 * drawn_mean, drawn)
        rows += [
            row_of(model, ROBUSTNESS, label, ("mPC", ("mPC", 0.0)), mean, drawn_mean),
            row_of(model, ROBUSTNESS, label, ("rPC", ("rPC", 0.0)), share, drawn_share),
        ]
    return rows


def ratios(models: Sequence[ModelResults], baseline: str) -> list[ComparisonRow]:
    """Return the gain of each restorer, divided by that of a baseline on the same images.

    Such ratios carry over between models where shares of the loss do not. There is none where the
    baseline gains nothing.

    Args:
        models: Models on one data set, whose gains are added up.
        baseline: Label of the restorer that the others are compared with.
    """
    shared = set.intersection(*(set(model.corrupted) for model in models))
    rows = []
    for label in models[0].restored:
        sets = [set(model.restored.get(name, {})) for model in models for name in (label, baseline)]
        known = [one for one in models[0].corrupted if one in shared.intersection(*sets)]
        if label == baseline or not known:
            continue
        for head, corruptions in (
            *((models[0].heads[one], [one]) for one in known),
            *([((ALL, (ALL, 0.0)), known)] if len(known) > 1 else []),
        ):
            (gain, drawn), (base, drawn_base) = (
                gain_of(models, name, corruptions) for name in (label, baseline)
            )
            value = gain / base if base > 0 else math.nan
            quotients = None
            if drawn is not None and drawn_base is not None:
                quotients = _quotient(drawn, drawn_base)
            row = row_of(models[0], RATIO, label, head, value, quotients)
            name = models[0].model if len(models) == 1 else ALL
            rows.append(replace(row, model=name, against=baseline))
    return rows


def bits(model: ModelResults, kind: str) -> list[ComparisonRow]:
    """Return what restoring, and other codecs, save in bits at equal accuracy.

    Args:
        model: What was measured of a model.
        kind: Kind of the corruption that is compared with, as it is.
    """
    curves, codecs = _rate_curves(model)
    anchors = [(axis, label) for axis, label in curves if codecs[axis] == kind and label is None]
    if not anchors:
        return []
    axis = anchors[0][0]
    anchor = curves[axis, None]
    heads = sorted(
        (head for head in model.heads.values() if head[1][0] == axis), key=lambda head: head[1]
    )
    rates = sorted(
        measured.bytes_per_pixel or 0.0
        for corruption, measured in model.corrupted.items()
        if model.heads[corruption][1][0] == axis
    )
    rows = []
    for (other, label), curve in curves.items():
        name = _curve_name(other, label, codecs)
        if len(codecs) > 1:
            for rate, found in zip(rates, accuracy_at(curve, rates), strict=True):
                head = (f"{8 * rate:.2f} bit/px", ("bits per pixel", 8 * rate))
                rows.append(estimated_row(model, ACCURACY, name, head, found, kind))
        if (other, label) == (axis, None):
            continue
        head = ("BD-rate", ("BD-rate", 0.0))
        rows.append(estimated_row(model, BITS, name, head, bd_rate(anchor, curve), kind))
        for head, found in zip(heads, bits_at_equal_accuracy(anchor, curve), strict=True):
            rows.append(estimated_row(model, BITS, name, head, found, kind))
    return rows


_Curves = dict[tuple[str, str | None], RateCurve]


def _rate_curves(model: ModelResults) -> tuple[_Curves, dict[str, str]]:
    """Return the curves by axis and restorer, and the kind of corruption of each axis."""
    points: dict[tuple[str, str | None], list[tuple[float, float, Drawn | None]]] = {}
    codecs: dict[str, str] = {}
    for label, measured in ((None, model.corrupted), *model.restored.items()):
        for corruption, one in measured.items():
            axis = model.heads[corruption][1][0]
            if one.bytes_per_pixel:
                codecs.setdefault(axis, corruption.kind)
                point = (one.bytes_per_pixel, one.value, draws_of(one))
                points.setdefault((axis, label), []).append(point)
    curves = {key: RateCurve.of(those) for key, those in points.items() if len(those) > 1}
    return curves, {axis: kind for axis, kind in codecs.items() if (axis, None) in curves}


def _curve_name(axis: str, label: str | None, codecs: Mapping[str, str]) -> str:
    """Return what a line of the table calls a curve: restorer, codec, or both."""
    kind = codecs[axis]
    codec = kind if list(codecs.values()).count(kind) == 1 else axis
    if label is None:
        return codec
    return label if len(codecs) == 1 else f"{label} on {codec}"


def _quotient(above: np.ndarray, below: np.ndarray) -> np.ndarray:
    """Return quotients where what is below is more than 0, and NaN elsewhere."""
    return np.divide(above, below, out=np.full(len(below), math.nan), where=below > 0)
