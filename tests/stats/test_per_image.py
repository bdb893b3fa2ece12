"""IoU per image against masks counted pixel by pixel, and means of draws against scipy."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import bootstrap

from jpeg_preproc.stats.bootstrap import interval, resample_counts
from jpeg_preproc.stats.per_image import image_iou, mean_of_draws

CLASSES = 4


def labelled(rng, images):
    """Ground truth without one class or another, and labels that are wrong in a third."""
    truths = rng.integers(0, CLASSES, (images, 12, 9))
    absent = (np.arange(images) % CLASSES)[:, None, None]
    truths = np.where(truths == absent, (absent + 1) % CLASSES, truths)
    wrong = rng.random(truths.shape) < 1 / 3
    return truths, np.where(wrong, rng.integers(0, CLASSES, truths.shape), truths)


def areas(truth, found):
    """Intersection, union and truth of each class, by NumPy's histogram of pairs."""
    edges = np.arange(CLASSES + 1)
    pairs, *_ = np.histogram2d(truth.ravel(), found.ravel(), bins=(edges, edges))
    hit = np.diag(pairs)
    return hit, pairs.sum(0) + pairs.sum(1) - hit, pairs.sum(1)


def test_it_is_the_mean_over_the_classes_of_the_truth():
    truths, founds = labelled(np.random.default_rng(0), 6)
    expected = []
    for truth, found in zip(truths, founds, strict=True):
        ious = []
        for label in set(truth.ravel().tolist()):
            here, there = truth == label, found == label
            ious.append((here & there).sum() / (here | there).sum())
        assert len(ious) < CLASSES <= len(set(found.ravel().tolist()))
        expected.append(100 * np.mean(ious))
    parts = zip(*(areas(*pair) for pair in zip(truths, founds, strict=True)), strict=True)
    assert image_iou(*map(np.stack, parts)) == pytest.approx(expected)


def test_an_image_where_nothing_counts_has_none_and_is_left_out():
    hit, union, truth = np.array([[3, 0], [0, 0]]), np.array([[6, 2], [0, 0]]), [[5, 0], [0, 0]]
    assert image_iou(hit, union, np.array(truth)) == [50.0, None]
    values = np.array([50.0, np.nan, 80.0])
    found = mean_of_draws(values, np.array([[1, 1, 1], [0, 2, 1], [2, 0, 1], [0, 3, 0]]))
    assert found == pytest.approx([65.0, 80.0, 60.0, np.nan], nan_ok=True)


def test_its_interval_is_scipys():
    values = np.random.default_rng(1).beta(6, 2, 60) * 100
    expected = bootstrap((values,), np.mean, method="percentile", n_resamples=20_000, rng=2)
    drawn = mean_of_draws(values, resample_counts(60))
    assert interval(drawn, values.mean()) == pytest.approx(
        tuple(expected.confidence_interval), abs=0.35
    )
