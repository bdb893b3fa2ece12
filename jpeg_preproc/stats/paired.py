"""How two conditions differ that were measured on the same images, draw by draw."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from jpeg_preproc.stats.bootstrap import LEVEL, interval


@dataclass(frozen=True)
class Difference:
    """By how much a metric differs between two conditions, and how certain that is.

    Attributes:
        value: Difference on the test set itself.
        low: Lower bound of its interval; ``None`` without draws.
        high: Upper bound of its interval; ``None`` without draws.
        positive: Share of the draws in which it is above 0, ties counted half, P(Δ > 0); ``None``
            without draws.
    """

    value: float
    low: float | None = None
    high: float | None = None
    positive: float | None = None


def paired_difference(
    after: float,
    before: float,
    after_draws: Sequence[float] | np.ndarray | None = None,
    before_draws: Sequence[float] | np.ndarray | None = None,
    level: float = LEVEL,
) -> Difference:
    """Return ``after`` − ``before``, with its interval if there are draws of both.

    Both conditions have the same images in each draw, so that what makes some images harder than
    others cancels out: the interval is narrower than those of the two values would suggest.

    Args:
        after: The metric of the test set under one condition.
        before: The metric of the test set under the other one.
        after_draws: The metric of each draw under the one condition; NaN is left out.
        before_draws: The metric of the same draws under the other.
        level: Probability that the bounds are to have.

    >>> paired_difference(27.0, 20.0, [26.0, 27.0, 28.0], [19.0, 20.0, 21.0])
    Difference(value=7.0, low=7.0, high=7.0, positive=1.0)
    """
    value = after - before
    if after_draws is None or before_draws is None:
        return Difference(value)
    drawn = np.subtract(after_draws, before_draws)
    drawn = drawn[~np.isnan(drawn)]
    if not drawn.size:
        return Difference(value)
    low, high = interval(drawn, value, level)
    positive = np.mean(drawn > 0) + np.mean(drawn == 0) / 2
    return Difference(value, low, high, float(positive))
