"""Paired differences against scipy's paired bootstrap and the normal distribution."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import bootstrap, norm

from jpeg_preproc.stats.bootstrap import interval, resample_counts
from jpeg_preproc.stats.paired import Difference, paired_difference


def test_the_interval_of_a_difference_of_means_is_scipys_of_pairs():
    rng = np.random.default_rng(1)
    before = rng.normal(60, 15, 80)  # images differ by much more than the conditions
    after = before + rng.gamma(2, 1.0, 80) - 1
    counts = resample_counts(80)
    draws = [counts @ values / 80 for values in (after, before)]
    found = paired_difference(after.mean(), before.mean(), *draws)
    expected = bootstrap(
        (after, before),
        lambda x, y, axis: (x - y).mean(axis),
        paired=True,
        method="BCa",
        n_resamples=20_000,
        rng=2,
    ).confidence_interval
    assert found.value == pytest.approx(after.mean() - before.mean())
    assert (found.low, found.high) == pytest.approx(tuple(expected), abs=0.06)
    low, high = interval(draws[0], after.mean())
    assert found.high - found.low < (high - low) / 5


def test_normal_draws_have_the_normal_distributions_bounds_and_probability():
    rng = np.random.default_rng(2)
    shared = rng.normal(0, 9, 40_000)
    found = paired_difference(31.0, 30.0, shared + rng.normal(31, 2, 40_000), shared + 30)
    assert (found.low, found.high) == pytest.approx(norm.interval(0.95, 1, 2), abs=0.08)
    assert found.positive == pytest.approx(norm.sf(0, 1, 2), abs=0.01)


def test_equal_draws_say_nothing_either_way():
    assert paired_difference(5.0, 5.0, [4.0, 6.0], [4.0, 6.0]) == Difference(0.0, 0.0, 0.0, 0.5)


def test_draws_without_a_value_are_left_out():
    after, before = [3.0, np.nan, 4.0, 9.0], [1.0, 1.0, 2.0, np.nan]
    assert paired_difference(4.0, 2.0, after, before) == Difference(2.0, 2.0, 2.0, 1.0)
    assert paired_difference(4.0, 2.0, [np.nan], [1.0]) == Difference(2.0)


def test_without_draws_there_is_the_difference_alone():
    assert paired_difference(4.0, 2.5, None, [1.0]) == Difference(1.5)
