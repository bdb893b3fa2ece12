"""Rates at equal accuracy against curves whose answer is known, and the package itself."""

from __future__ import annotations

import math
import sys

import numpy as np
import pytest
from scipy.integrate import trapezoid
from scipy.interpolate import PchipInterpolator

from jpeg_preproc.errors import JpegPreprocError
from jpeg_preproc.stats.rate import (
    RateCurve,
    accuracy_at,
    bd_rate,
    bits_at_equal_accuracy,
    monotone_curve,
)

RATES = np.array([0.05, 0.1, 0.2, 0.4])
VALUES = np.array([10.0, 20.0, 26.0, 28.0])


def curve(rates, values, replicates=None):
    drawn = [None] * len(rates) if replicates is None else replicates
    return RateCurve.of(list(zip(rates, values, drawn, strict=True)))


@pytest.fixture
def bjontegaard():
    return pytest.importorskip("bjontegaard", reason="needs bjontegaard: pip install '.[report]'")


def test_the_same_at_two_thirds_of_the_bits_saves_a_third(bjontegaard):
    anchor, test = curve(RATES, VALUES), curve(RATES * 2 / 3, VALUES)
    assert bd_rate(anchor, test).value == pytest.approx(-100 / 3)
    assert bd_rate(test, anchor).value == pytest.approx(50)
    saved = [found.value for found in bits_at_equal_accuracy(anchor, test)]
    assert saved == pytest.approx([-100 / 3] * 4)


def test_bd_rate_of_a_published_example(bjontegaard):
    # The example in the README of the package, bd_rate of its method "akima"; and what VCEG-M33
    # defines: the integral of the difference of log rates over the shared accuracies.
    rate_1, psnr_1 = [9487.76, 4593.60, 2486.44, 1358.24], [40.037, 38.615, 36.845, 34.851]
    rate_2, psnr_2 = [9787.80, 4469.00, 2451.52, 1356.24], [40.121, 38.651, 36.970, 34.987]
    low, high = 34.987, 40.037
    at = np.linspace(low, high, 100001)
    logs = [
        PchipInterpolator(psnr[::-1], np.log10(rate[::-1]))(at)
        for rate, psnr in ((rate_1, psnr_1), (rate_2, psnr_2))
    ]
    expected = 100 * (10 ** trapezoid(logs[1] - logs[0], at / (high - low)) - 1)
    found = bd_rate(curve(rate_1, psnr_1), curve(rate_2, psnr_2)).value
    assert found == pytest.approx(expected, abs=1e-6)
    assert found == pytest.approx(
        bjontegaard.bd_rate(rate_1, psnr_1, rate_2, psnr_2, method="pchip"), abs=1e-9
    )


def test_points_out_of_order_are_pooled():
    # Pool adjacent violators by hand: 5 and 3 become 4, 4.
    found = monotone_curve([1.0, math.e, math.e**2, math.e**3], [1.0, 5.0, 3.0, 9.0])
    assert found.values == pytest.approx([1.0, 4.0, 4.0, 9.0], abs=1e-6)
    assert (np.diff(found.values) > 0).all()
    assert found.log_rates == pytest.approx([0.0, 1.0, 2.0, 3.0])


def test_a_level_stretch_costs_what_it_costs():
    # Restored images are at 30 whatever the bits, and JPEG as it is climbs past that.
    anchor = curve(RATES, [10.0, 20.0, 29.0, 40.0])
    test = curve(RATES, [30.0, 31.0, 29.0, 30.0])
    saved = [found.value for found in bits_at_equal_accuracy(anchor, test)]
    assert saved[:3] == pytest.approx([0, -50, -75]) and math.isnan(saved[3])


def test_bits_for_an_accuracy_between_points():
    # Accuracy that grows by 10 with each doubling: at 25 the rate is 0.1 * 2 ** 0.5.
    anchor = curve([0.1, 0.2, 0.4], [15.0, 25.0, 35.0])
    test = curve([0.1, 0.2, 0.4], [20.0, 30.0, 40.0])
    below, between, above = (found.value for found in bits_at_equal_accuracy(anchor, test))
    assert [between, above] == pytest.approx([100 * (2**-0.5 - 1)] * 2)
    assert below == pytest.approx(0)  # nothing is known of fewer bits than were measured
    *_, beyond = (found.value for found in bits_at_equal_accuracy(test, anchor))
    assert math.isnan(beyond)


def test_what_beats_all_at_its_fewest_bits_saves_at_least_the_rest():
    saved = bits_at_equal_accuracy(curve(RATES, VALUES), curve(RATES, VALUES + 50))
    assert [one.value for one in saved] == pytest.approx([0, -50, -75, -87.5])


def test_accuracy_between_points_and_beyond():
    found = accuracy_at(curve([0.1, 0.2, 0.4], [15.0, 25.0, 35.0]), [0.1, 0.1 * 2**0.5, 0.5])
    assert [one.value for one in found[:2]] == pytest.approx([15.0, 20.0])
    assert math.isnan(found[2].value) and found[2].low is None


def test_curves_that_share_no_accuracy_have_no_bd_rate(bjontegaard):
    assert math.isnan(bd_rate(curve(RATES, VALUES), curve(RATES, VALUES + 50)).value)


def test_every_draw_is_compared_with_itself(bjontegaard):
    """Accuracies that differ from draw to draw alike leave the rate between them alone."""
    rng = np.random.default_rng(0)
    shift = rng.normal(0, 3, 60)
    anchor = curve(RATES, VALUES, [value + shift for value in VALUES])
    test = curve(RATES / 2, VALUES, [value + shift for value in VALUES])
    assert bd_rate(anchor, test) == pytest.approx((-50, -50, -50))
    noise = rng.normal(0, 0.5, 60)
    test = curve(RATES / 2, VALUES, [value + shift + noise for value in VALUES])
    value, low, high = bd_rate(anchor, test)
    assert value == pytest.approx(-50) and low < value < high


def test_a_draw_without_accuracy_is_left_out(bjontegaard):
    drawn = [np.array([value + 0.1, *[value] * 59]) for value in VALUES]
    anchor, test = curve(RATES, VALUES, drawn), curve(RATES / 2, VALUES, drawn)
    assert bd_rate(anchor, test).low is not None
    drawn[0] = np.array([math.nan, *[VALUES[0]] * 59])
    assert bd_rate(anchor, curve(RATES / 2, VALUES, drawn)).low == pytest.approx(-50)
    drawn[0] = np.full(60, math.nan)
    assert bd_rate(anchor, curve(RATES / 2, VALUES, drawn)).low is None


def test_without_the_package_it_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "bjontegaard", None)
    with pytest.raises(JpegPreprocError, match=r"jpeg_preproc\[report\]"):
        bd_rate(curve(RATES, VALUES), curve(RATES, VALUES))
