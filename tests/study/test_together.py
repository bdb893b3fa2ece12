"""What a restorer gives several models in the mean, against figures worked out by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from measured_cells import CELLS, NOISE, found, measured, results

from jpeg_preproc.stats.bootstrap import interval, recovery_interval
from jpeg_preproc.stats.comparisons import holm
from jpeg_preproc.study.compare import compare_models
from jpeg_preproc.study.spec import Comparisons

SECOND = {
    (None, None): measured(40.0, NOISE[3]),
    (None, "jpeg:10"): measured(34.0, NOISE[4]),
    ("base", "jpeg:10"): measured(37.0, NOISE[5]),
    (None, "jpeg:40"): measured(39.0, NOISE[6]),
    ("base", "jpeg:40"): measured(38.0, NOISE[7]),
}


def drawn(cells, *key):
    return np.asarray(cells[key].replicates)


def means(models, wanted=None):
    rows = compare_models(models, wanted or Comparisons())
    return [row for row in rows if row.comparison in ("mean difference", "recovery")]


def test_points_are_the_mean_of_the_models_gains_draw_by_draw():
    rows = means([results(CELLS), results(SECOND, "picodet")])
    points = [row for row in rows if row.comparison == "mean difference"]
    # The second model has neither WebP nor the other restorer.
    assert [(row.restorer, row.measure) for row in points] == [
        ("base", "QF 10"),
        ("base", "QF 40"),
        ("base", "all"),
    ]
    row = found(points, measure="QF 10")
    gains = [
        drawn(cells, "base", "jpeg:10") - drawn(cells, None, "jpeg:10") for cells in (CELLS, SECOND)
    ]
    around = interval((gains[0] + gains[1]) / 2, 5.0)
    assert (row.value, row.low, row.high) == pytest.approx(((7 + 3) / 2, *around))
    assert found(points, measure="QF 40").value == pytest.approx((2 - 1) / 2)
    assert found(points, measure="all").value == pytest.approx(((7 + 2) / 2 + (3 - 1) / 2) / 2)
    assert [one.p_holm for one in points] == pytest.approx(holm([one.p for one in points]))
    assert row.table == ("coco", "mean of yolo, picodet", "mAP")
    assert "mean of these models" in row.heading and row.cell.startswith("+5.0 (+")


def test_recovery_is_of_the_models_losses_together():
    rows = means([results(CELLS), results(SECOND, "picodet")])
    row = found(rows, comparison="recovery", measure="QF 10")
    share = (7 + 3) / (10 + 6)
    parts = [
        drawn(CELLS, *key) + drawn(SECOND, *key)
        for key in ((None, None), (None, "jpeg:10"), ("base", "jpeg:10"))
    ]
    around = recovery_interval(*parts, share)
    assert around is not None
    assert (row.value, row.low, row.high) == pytest.approx(
        (100 * share, *(100 * bound for bound in around))
    )
    assert row.p is None and row.cell.startswith("62 (")


def test_there_is_no_recovery_without_a_loss_or_an_original():
    gains = {**SECOND, (None, "jpeg:10"): measured(55.0, NOISE[4])}
    rows = means([results(CELLS), results(gains, "picodet")])
    assert "QF 10" not in {row.measure for row in rows if row.comparison == "recovery"}
    without = {key: one for key, one in SECOND.items() if key != (None, None)}
    rows = means([results(CELLS), results(without, "picodet")])
    assert {row.comparison for row in rows} == {"mean difference"}


def test_points_without_draws_are_still_those_of_all_models():
    def bare(cells):
        return {key: replace(one, replicates=None) for key, one in cells.items()}

    rows = means([results(bare(CELLS)), results(bare(SECOND), "picodet")])
    row = found(rows, comparison="mean difference", measure="QF 10")
    assert (row.value, row.low, row.p) == (5.0, None, None)
    # A model with draws and one without have no mean: their images are not known to be the same.
    assert not means([results(CELLS), results(bare(SECOND), "picodet")])


def test_other_data_other_images_and_rivals_are_not_averaged():
    assert not means([results(CELLS), results(SECOND, "picodet", "voc")])
    other = {key: measured(one.value, NOISE[0], images=8) for key, one in SECOND.items()}
    assert not means([results(CELLS), results(other, "picodet")])
    rivals = Comparisons(rivals=(("picodet", "yolo"),))
    assert not means([results(CELLS), results(SECOND, "picodet")], rivals)
