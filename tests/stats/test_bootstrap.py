"""Intervals against scipy's bootstrap, and mIoU against what it is a draw of."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import bootstrap

from jpeg_preproc.stats.bootstrap import (
    interval,
    mean_iou,
    recovery_interval,
    resample_counts,
)


def test_draws_are_of_the_sets_size_and_the_same_each_time():
    counts = resample_counts(30, 200)
    assert counts.shape == (200, 30) and (counts.sum(axis=1) == 30).all()
    assert np.array_equal(counts, resample_counts(30, 200))
    # Drawing with replacement leaves out a share of about 1/e.
    assert np.mean(counts == 0) == pytest.approx((29 / 30) ** 30, abs=0.02)


def test_the_interval_of_a_mean_is_scipys():
    values = np.random.default_rng(1).gamma(2, 3, 60)
    means = resample_counts(60) @ values / 60
    expected = bootstrap((values,), np.mean, method="percentile", n_resamples=20_000, rng=2)
    found = interval(means, np.median(means))
    assert found == pytest.approx(tuple(expected.confidence_interval), abs=0.15)


def test_bounds_make_up_for_bias_as_scipys_do():
    values = np.random.default_rng(2).normal(0, 3, 40)
    # 1 / mean is skewed.
    expected = bootstrap(
        (values + 6,), lambda x, axis: 1 / x.mean(axis), method="BCa", n_resamples=20_000, rng=2
    )
    replicates = 40 / (resample_counts(40, 5000) @ (values + 6))
    found = interval(replicates, 1 / (values + 6).mean())
    assert found == pytest.approx(tuple(expected.confidence_interval), rel=0.05)
    draws = np.random.default_rng(3).normal(0.5, 1.0, 4000)  # about half too high
    # Twice the bias of half a deviation is taken off both tails: 0.5 - 1 - 1.96, 0.5 - 1 + 1.96.
    assert interval(draws, 0.0) == pytest.approx((-2.46, 1.46), abs=0.25)
    assert interval([5.0, 5.0, 5.0], 5.0) == (5.0, 5.0)
    assert interval([5.0, 6.0, 7.0], 1.0)[0] == pytest.approx(5.0, abs=0.1)


def test_mean_iou_of_one_draw_each_is_the_sets_own():
    rng = np.random.default_rng(3)
    intersect = rng.integers(0, 50, (4, 3)).astype(float)
    union = intersect + rng.integers(0, 50, (4, 3))
    intersect[:, 2] = union[:, 2] = [0, 0, 7, 0]
    counts = np.array([[1, 1, 1, 1], [2, 2, 0, 0], [0, 0, 4, 0]])
    found = mean_iou(intersect, union, counts)
    whole = intersect.sum(0) / union.sum(0)
    # In the second draw the third class does not occur, and is no part of the mean.
    half = (intersect[:2, :2].sum(0) / union[:2, :2].sum(0)).mean()
    third = (intersect[2] / union[2]).mean()
    assert found == pytest.approx([100 * whole.mean(), 100 * half, 100 * third])


def test_recovery_is_compared_draw_by_draw():
    rng = np.random.default_rng(4)
    original = 30 + rng.normal(0, 3, 1000)
    compressed = original - 10
    # Each draw recovers half, however much the draws themselves differ.
    found = recovery_interval(original, compressed, compressed + 5, 0.5)
    assert found == pytest.approx((0.5, 0.5))
    low, high = recovery_interval(original, compressed, compressed - rng.normal(1, 1, 1000), -0.1)
    assert low < -0.2 and high > 0


def test_no_interval_of_the_share_of_a_loss_that_is_not_established():
    rng = np.random.default_rng(5)
    original = 30 + rng.normal(0, 1, 1000)
    assert recovery_interval(original, original - rng.normal(1, 1, 1000), original, 1.0) is None


def test_draws_without_a_value_are_left_out():
    few = np.array([3.0, 4.0, 5.0, 7.0])
    assert interval([*few, np.nan], 4.5) == interval(few, 4.5)
    three = (few + 9, few, few + 2)
    known = recovery_interval(*three, value=2 / 9)
    assert known == pytest.approx((2 / 9, 2 / 9))
    assert recovery_interval(*([*part, np.nan] for part in three), value=2 / 9) == known
    assert np.isnan(mean_iou(np.array([[1, 0]]), np.array([[2, 0]]), np.array([[0]]))).all()
