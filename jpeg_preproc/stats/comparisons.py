"""What a table of comparisons needs: estimates with intervals, p-values, Holm, P, mPC and rPC."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from statistics import NormalDist
from typing import NamedTuple

import numpy as np

from jpeg_preproc.stats.bootstrap import LEVEL, interval

Drawn = Sequence[float] | np.ndarray


class Estimate(NamedTuple):
    """A figure and how far it may be off.

    Attributes:
        value: The figure of the test set itself.
        low: Lower bound of its interval; ``None`` where too few draws have the figure at all.
        high: Upper bound.
    """

    value: float
    low: float | None = None
    high: float | None = None


def estimate(value: float, replicates: Drawn | None, level: float = LEVEL) -> Estimate:
    """Return a figure with its bias-corrected bounds, see :func:`~.bootstrap.interval`.

    Args:
        value: The figure of the test set itself.
        replicates: The figure of each draw, NaN where a draw has none; ``None`` where there are no
            draws.
        level: Probability that the bounds are to have. They are left out where more draws lack the
            figure than may lie outside on one side: what those would say is not known.
    """
    drawn = np.asarray([] if replicates is None else replicates, float)
    if not drawn.size or math.isnan(value) or np.mean(np.isnan(drawn)) > (1 - level) / 2:
        return Estimate(value)
    return Estimate(value, *interval(drawn, value, level))


def two_sided_p(value: float, replicates: Drawn) -> float:
    """Return the probability of a difference this far from 0, on either side, if there were none.

    That of the normal distribution with the draws' standard deviation: counting draws on the other
    side of 0 could say no less than 0.002 of 1,000 draws, too much for Holm's correction over a
    table of more than 25.

    Args:
        value: The difference, of the test set itself.
        replicates: The difference in each draw; NaN is left out.

    >>> round(two_sided_p(1.96, [-1.0, 1.0]), 3)
    0.05
    """
    drawn = np.asarray(replicates, float)
    drawn = drawn[~np.isnan(drawn)]
    spread = float(drawn.std()) if drawn.size else 0.0
    if spread == 0:
        return 1.0 if value == 0 else 0.0
    return 2 * NormalDist().cdf(-abs(value) / spread)


def holm(p_values: Sequence[float]) -> list[float]:
    """Return p-values corrected for their number, in their order.

    Rejecting where the result is below 0.05 rejects a true hypothesis anywhere in the table with a
    probability of at most 0.05, however the comparisons depend on each other (Holm, "A simple
    sequentially rejective multiple test procedure", Scandinavian Journal of Statistics, 1979).

    >>> holm([0.01, 0.04, 0.03, 0.005])
    [0.03, 0.06, 0.06, 0.02]
    """
    corrected = [0.0] * len(p_values)
    largest = 0.0
    for rank, index in enumerate(sorted(range(len(p_values)), key=lambda at: p_values[at])):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[index]))
        corrected[index] = largest
    return corrected


def mean_performance(by_kind: Mapping[str, Sequence[float] | Sequence[np.ndarray]]) -> np.ndarray:
    """Return the mean performance under corruption, mPC: over kinds, of the mean over strengths.

    As Michaelis et al., "Benchmarking Robustness in Object Detection" (2019), equation 1; divided
    by the performance on the originals it is rPC (equation 2).

    Args:
        by_kind: What was measured at each strength of each kind of corruption: a figure, or those
            of the draws, (R,).

    Returns:
        The mean, () or (R,).

    >>> float(mean_performance({"jpeg": [20.0, 24.0], "webp": [26.0]}))
    24.0
    """
    of_kinds = [np.asarray(strengths, float).mean(axis=0) for strengths in by_kind.values()]
    mean: np.ndarray = np.asarray(of_kinds).mean(axis=0)
    return mean
