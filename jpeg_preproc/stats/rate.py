"""Accuracy over bits: what a restorer, or another codec, saves at equal accuracy.

A codec at several strengths is a curve of accuracy over the bytes of its files. Measured accuracy
is not monotone where two strengths differ by less than chance, and then the rate is no function of
accuracy. So the curve is made monotone first, by isotonic regression: strengths that are out of
order get the mean of their accuracies. Such a level stretch is left as it is: what is a little
below it takes the bits of its beginning, what is a little above those of its end.

Everything is computed anew in every bootstrap draw, from the accuracies of that draw. The rates are
those of the whole set: how the bytes of a draw differ is not measured.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np

from jpeg_preproc.errors import JpegPreprocError
from jpeg_preproc.stats.comparisons import Drawn, Estimate, estimate

# Of accuracies in percentage points. An interpolation needs each point to be above the one before.
_DIGITS = 6
_NEXT_TO_NOTHING = 1e-9


def check_packages() -> None:
    """Check that what compares rates is installed.

    Raises:
        JpegPreprocError: It is not.
    """
    try:
        import bjontegaard  # noqa: F401
        from scipy.optimize import isotonic_regression  # noqa: F401
    except ImportError as error:
        raise JpegPreprocError(
            f"comparing rates needs bjontegaard, and SciPy from 1.12 on ({error}); install the "
            "extra: pip install 'jpeg_preproc[report]'"
        ) from error


class Monotone(NamedTuple):
    """A curve on which more bits give more.

    Attributes:
        log_rates: Natural logarithms of the rates, (P,), ascending.
        values: Accuracy at each, (P,), ascending; along a level stretch by next to nothing.
    """

    log_rates: np.ndarray
    values: np.ndarray


def monotone_curve(rates: Drawn, values: Drawn) -> Monotone:
    """Return the monotone curve that is nearest to points, in squares of the accuracy.

    Args:
        rates: Rates, (P,), above 0, ascending.
        values: Accuracy at each, (P,).
    """
    from scipy.optimize import isotonic_regression

    fitted = isotonic_regression(values).x.round(_DIGITS)
    _, first, level = np.unique(fitted, return_index=True, return_inverse=True)
    behind_first = np.arange(len(fitted)) - first[level]
    return Monotone(np.log(rates), fitted + behind_first * _NEXT_TO_NOTHING)


@dataclass(frozen=True, eq=False)
class RateCurve:
    """The accuracy of a codec over its rate.

    Attributes:
        rates: Bytes per pixel at each strength, (P,), above 0, ascending.
        values: Accuracy at each in percentage points, (P,).
        replicates: Accuracy in each draw, (R, P), NaN where a draw has none; (0, P) without draws.
    """

    rates: np.ndarray
    values: np.ndarray
    replicates: np.ndarray

    @classmethod
    def of(cls, points: Sequence[tuple[float, float, Drawn | None]]) -> RateCurve:
        """Return the curve through points, given as rate, accuracy and that of each draw."""
        ordered = sorted(points, key=lambda point: point[0])
        drawn = [replicates for _, _, replicates in ordered if replicates is not None]
        complete = len(drawn) == len(ordered)
        return cls(
            np.array([rate for rate, _, _ in ordered]),
            np.array([value for _, value, _ in ordered]),
            np.array(drawn, float).T if complete else np.empty((0, len(ordered))),
        )

    @cached_property
    def monotone(self) -> Monotone:
        """The curve made monotone."""
        return monotone_curve(self.rates, self.values)

    @cached_property
    def monotone_draws(self) -> list[Monotone | None]:
        """The curve of each draw made monotone; ``None`` where a point of it is not known."""
        return [
            None if np.isnan(values).any() else monotone_curve(self.rates, values)
            for values in self.replicates
        ]


def bd_rate(anchor: RateCurve, test: RateCurve) -> Estimate:
    """Return how many more bits ``test`` takes than ``anchor`` at equal accuracy, in percent.

    Bjøntegaard's delta rate by the package ``bjontegaard``, with piecewise cubic interpolation,
    over the accuracies that both curves reach. Negative where ``test`` saves bits; NaN where no
    accuracy is reached by both.

    Args:
        anchor: The codec that is compared with.
        test: The other one, or the same with restored images.

    Raises:
        JpegPreprocError: See :func:`check_packages`.
    """
    check_packages()
    from bjontegaard import bd_rate as package_bd_rate

    def between(first: Monotone, second: Monotone) -> list[float]:
        lowest = max(first.values[0], second.values[0])
        if lowest >= min(first.values[-1], second.values[-1]):
            return [math.nan]
        curves = [part for one in (first, second) for part in (np.exp(one.log_rates), one.values)]
        return [
            package_bd_rate(*curves, method="pchip", require_matching_points=False, min_overlap=0)
        ]

    (found,) = _of_draws(between, anchor, test)
    return found


def bits_at_equal_accuracy(anchor: RateCurve, test: RateCurve) -> list[Estimate]:
    """Return how many more bits ``test`` takes for the accuracy of each point of ``anchor``.

    Args:
        anchor: The codec that is compared with.
        test: The other one.

    Returns:
        Percent of the anchor's bits, for each of its points: negative where ``test`` saves some. At
        an accuracy that ``test`` exceeds at its fewest bits those count, so that it saves at least
        as much; at one that it does not reach, NaN.
    """

    def between(first: Monotone, second: Monotone) -> np.ndarray:
        accuracy = np.maximum(first.values, second.values[0])
        needed = _read(second.values, second.log_rates, accuracy)
        return 100 * np.expm1(needed - first.log_rates)

    return _of_draws(between, anchor, test)


def accuracy_at(curve: RateCurve, rates: Drawn) -> list[Estimate]:
    """Return the accuracy of a codec at rates between its points; NaN beyond them.

    Args:
        curve: The codec.
        rates: Bytes per pixel.
    """
    logs = np.log(rates)
    return _of_draws(lambda only: _read(only.log_rates, only.values, logs), curve)


def _read(x: np.ndarray, y: np.ndarray, at: np.ndarray) -> np.ndarray:
    """Return y at places along an ascending x, by piecewise cubics; NaN beyond the ends."""
    from scipy.interpolate import PchipInterpolator

    read: np.ndarray = PchipInterpolator(x, y, extrapolate=False)(at)
    return read


def _of_draws(
    function: Callable[..., Sequence[float] | np.ndarray], *curves: RateCurve
) -> list[Estimate]:
    """Return what a function gives of monotone curves: for the test set, with draws around it."""
    values = np.asarray(function(*(curve.monotone for curve in curves)), float)  # (K,)
    drawn: list[Sequence[float] | np.ndarray] = [
        np.full(len(values), math.nan) if any(part is None for part in parts) else function(*parts)
        for parts in zip(*(curve.monotone_draws for curve in curves), strict=True)
    ]
    replicates = np.array(drawn, float).reshape(-1, len(values))  # (R, K)
    return [estimate(value, replicates[:, index]) for index, value in enumerate(values.tolist())]
