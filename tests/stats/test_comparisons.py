"""Estimates, p-values, Holm's correction and mPC against figures from elsewhere."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from jpeg_preproc.stats.bootstrap import interval
from jpeg_preproc.stats.comparisons import estimate, holm, mean_performance, two_sided_p


def test_holm_as_in_its_textbook_example():
    # Wikipedia, "Holm-Bonferroni method": of 0.01, 0.04, 0.03, 0.005 at 0.05 the last and the first
    # are rejected. The corrected values are those of R's p.adjust(p, "holm").
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])


def test_holm_as_in_holms_definition():
    """Rejected at a level is what the step-down procedure of 1979 rejects at that level."""
    rng = np.random.default_rng(3)
    for _ in range(50):
        p_values = rng.random(7) ** 3
        corrected = holm(p_values.tolist())
        for level in (0.01, 0.05, 0.2):
            rejected = set()
            for rank, index in enumerate(np.argsort(p_values)):
                if p_values[index] >= level / (7 - rank):
                    break
                rejected.add(index)
            assert {index for index, p in enumerate(corrected) if p < level} == rejected


def test_holm_of_few():
    assert holm([]) == [] and holm([0.2]) == [0.2] and holm([0.9, 0.8]) == [1.0, 1.0]


def test_a_p_value_is_that_of_the_normal_distribution():
    drawn = np.random.default_rng(0).normal(1.3, 0.7, 1000)
    expected = 2 * stats.norm.sf(1.3 / drawn.std())
    assert two_sided_p(1.3, drawn) == pytest.approx(expected)
    assert two_sided_p(-1.3, -drawn) == pytest.approx(expected)
    assert two_sided_p(1.3, [*drawn, math.nan]) == pytest.approx(expected)


def test_no_difference_at_all_is_no_evidence():
    assert two_sided_p(0.0, [0.0] * 10) == 1.0 and two_sided_p(1.0, [1.0] * 10) == 0.0


def test_an_estimate_has_the_bounds_of_its_draws():
    drawn = np.random.default_rng(0).normal(5, 1, 1000)
    assert estimate(5.0, drawn) == (5.0, *interval(drawn, 5.0))
    assert estimate(5.0, None) == (5.0, None, None)


def test_too_many_draws_without_the_figure_leave_no_bounds():
    drawn = np.random.default_rng(0).normal(5, 1, 1000)
    drawn[:25] = math.nan
    assert estimate(5.0, drawn).low is not None
    drawn[25] = math.nan
    assert estimate(5.0, drawn) == (5.0, None, None)


def test_mpc_by_hand():
    # Kinds count alike, however many strengths each has: ((10 + 20 + 30) / 3 + 50) / 2.
    assert mean_performance({"jpeg": [10.0, 20.0, 30.0], "webp": [50.0]}) == 35.0
    draws = {"jpeg": [np.array([10.0, 0.0]), np.array([20.0, 2.0])], "webp": [np.array([5.0, 9.0])]}
    assert mean_performance(draws).tolist() == [10.0, 5.0]
