"""Comparisons of a study, against figures worked out by hand."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from measured_cells import CELLS, CHOICES, NOISE, Named, found, measured, results

from jpeg_preproc.corruptions import Jpeg, parse_corruption
from jpeg_preproc.errors import StudyError
from jpeg_preproc.evaluation.conditions import Condition
from jpeg_preproc.evaluation.rows import downstream_rows
from jpeg_preproc.evaluation.run import TaskRun
from jpeg_preproc.report import result_tables
from jpeg_preproc.stats.bootstrap import interval, recovery_interval
from jpeg_preproc.stats.comparisons import holm
from jpeg_preproc.study.compare import compare_models, differences
from jpeg_preproc.study.comparison_rows import ModelResults, check_one_protocol
from jpeg_preproc.study.spec import Comparisons


def test_differences_have_paired_intervals_and_holms_correction():
    rows = compare_models([results(CELLS)], Comparisons())
    assert {row.comparison for row in rows} == {"difference"} and len(rows) == 2 * 4
    row = found(rows, restorer="base", measure="QF 10")
    drawn = (27 + NOISE[2]) - (20 + NOISE[1])
    assert (row.value, row.low, row.high) == pytest.approx((7.0, *interval(drawn, 7.0)))
    # The mean over kinds of the mean over strengths: ((7 + 2) / 2 + 0.5) / 2.
    assert found(rows, restorer="base", measure="all").value == pytest.approx(2.5)
    assert found(rows, restorer="other", measure="all").value == pytest.approx(0.25)
    assert [row.p_holm for row in rows] == pytest.approx(holm([row.p for row in rows]))
    assert row.cell.startswith("+7.0 (+") and row.cell.endswith("*")
    assert found(rows, restorer="other", measure="QF 40").cell.startswith("−1.0 (−")
    (table,) = result_tables(rows)
    assert table.columns == ("restorer", "QF 10", "QF 40", "webp:30", "all")
    assert table.title.startswith("coco · yolo · mAP · points gained") and "9 images" in table.title


def test_robustness_as_the_benchmark_defines_it():
    rows = compare_models([results(CELLS)], Comparisons(robustness=True))
    clean = found(rows, comparison="robustness", measure="P")
    assert clean.value == 30.0 and clean.restorer == "original"
    # mPC: ((20 + 26) / 2 + 24) / 2 of images as they are, ((27 + 28) / 2 + 24.5) / 2 of restored.
    expected = {"corrupted": 23.5, "base": 26.0, "other": 23.75}
    for label, value in expected.items():
        mean = found(rows, restorer=label, measure="mPC")
        share = found(rows, restorer=label, measure="rPC")
        assert mean.value == pytest.approx(value)
        assert share.value == pytest.approx(100 * value / 30)
        assert mean.low < mean.value < mean.high and share.low < share.value < share.high


def test_who_was_not_measured_everywhere_has_no_mpc():
    cells = {key: one for key, one in CELLS.items() if key != ("other", "webp:30")}
    rows = compare_models([results(cells)], Comparisons(robustness=True))
    labels = [row.restorer for row in rows if row.measure == "mPC"]
    assert labels == ["corrupted", "base"]


def test_ratios_are_of_gains():
    rows = compare_models([results(CELLS)], Comparisons(baseline="other"))
    row = found(rows, comparison="ratio", measure="QF 10")
    drawn = [part.replicates for part in (CELLS["other", "jpeg:10"], CELLS[None, "jpeg:10"])]
    around = recovery_interval(*drawn, CELLS["base", "jpeg:10"].replicates, 3.5)
    assert around is None  # the baseline's gain of 2 ± 1.4 is not established
    assert (row.value, row.low, row.against) == (3.5, None, "other")
    assert math.isnan(found(rows, comparison="ratio", measure="QF 40").value)  # it loses
    rows = compare_models([results(CELLS)], Comparisons(baseline="base"))
    row = found(rows, comparison="ratio", measure="QF 10")
    drawn = [part.replicates for part in (CELLS["base", "jpeg:10"], CELLS[None, "jpeg:10"])]
    around = recovery_interval(*drawn, CELLS["other", "jpeg:10"].replicates, 2 / 7)
    assert (row.value, row.low, row.high) == pytest.approx((2 / 7, *around))
    assert found(rows, comparison="ratio", measure="all").value == pytest.approx(0.25 / 2.5)


def test_ratios_over_the_models_of_a_data_set_are_of_their_gains_together():
    second = {key: measured(one.value - 1, NOISE[2]) for key, one in CELLS.items()}
    second["base", "jpeg:10"] = measured(22.0, NOISE[2])
    models = [
        results(CELLS),
        results(second, "second"),
        results(second, "third", "voc"),
    ]
    rows = compare_models(models, Comparisons(baseline="base"))
    together = [row for row in rows if row.comparison == "ratio" and row.model == "all"]
    assert {row.dataset for row in together} == {"coco"}
    row = found(together, measure="QF 10")
    assert row.value == pytest.approx((2 + 2) / (7 + 3))
    alone = compare_models(models[:1], Comparisons(baseline="base"))
    assert "all" not in {row.model for row in alone}


def test_bits_at_equal_accuracy_and_accuracy_at_equal_bits():
    pytest.importorskip("bjontegaard", reason="needs bjontegaard: pip install '.[report]'")
    shift = np.zeros(20)
    rates, values = (0.05, 0.1, 0.2, 0.4), (10.0, 20.0, 26.0, 28.0)
    cells = {(None, None): measured(30.0, shift)}
    for qf, rate, value in zip((5, 10, 40, 80), rates, values, strict=True):
        cells[None, f"jpeg:{qf}"] = measured(value, shift, rate)
        cells["base", f"jpeg:{qf}"] = measured(value + 1, shift, rate)
        # The same accuracy in half of the bits.
        cells[None, f"webp:{qf}"] = measured(value, shift, rate / 2)
    rows = compare_models([results(cells)], Comparisons(rate="jpeg"))
    bits = [row for row in rows if row.comparison == "bits"]
    assert {row.restorer for row in bits} == {"webp", "base on jpeg"}
    saved = [row.value for row in bits if row.restorer == "webp"]
    assert saved == pytest.approx([-50.0] * 5)
    assert [row.measure for row in bits[:5]] == ["BD-rate", "QF 5", "QF 10", "QF 40", "QF 80"]
    assert -50 < found(bits, restorer="base on jpeg", measure="BD-rate").value < 0
    accuracy = [row for row in rows if row.comparison == "accuracy"]
    assert {row.restorer for row in accuracy} == {"jpeg", "webp", "base on jpeg"}
    assert found(accuracy, restorer="webp", measure="0.80 bit/px").value == pytest.approx(26.0)
    assert found(accuracy, restorer="jpeg", measure="0.80 bit/px").value == pytest.approx(20.0)
    assert found(accuracy, restorer="webp", measure="3.20 bit/px").cell == "–"


@pytest.mark.parametrize(
    "other,words",
    [
        (dict(metric="F1"), "mAP, 9 images, 400 draws, but .* as F1, 9 images, 400 draws"),
        (dict(images=8), "9 images.* 8 images"),
        (dict(draws=NOISE[0][:100]), "400 draws.* 100 draws"),
    ],
)
def test_rows_of_different_protocols_do_not_stand_in_one_table(other, words):
    settings = {"draws": NOISE[0], **other}
    done = [(Condition(), CELLS[None, None]), (Condition(Jpeg(10)), measured(24.5, **settings))]
    with pytest.raises(StudyError, match=words):
        check_one_protocol(done, "yolo on coco")
    check_one_protocol(done[:1] * 2, "yolo on coco")


def test_finer_judges_have_comparisons_of_their_own():
    ious = {
        None: (80.0, 60.0, 70.0),
        "corrupted": (50.0, 40.0, 60.0),
        "restored": (62.0, 44.0, 71.0),
    }
    jpeg = parse_corruption("jpeg:10")
    done = [
        (
            condition,
            replace(measured(value, NOISE[0], metric="mIoU", images=3), image_iou=of_images),
        )
        for condition, value, of_images in (
            (Condition(), 30.0, ious[None]),
            (Condition(jpeg), 20.0, ious["corrupted"]),
            (Condition(jpeg, CHOICES["base"]), 27.0, ious["restored"]),
        )
    ]
    rows = downstream_rows(Named("deeplab", "voc"), done)
    found = ModelResults.of(TaskRun(rows, [], 0, [], {}, done))
    (coarse,), (fine,) = (differences(one) for one in found)
    assert (coarse.metric, coarse.value) == ("mIoU", 7.0)
    assert (fine.metric, fine.value) == ("IoU per image", pytest.approx((12 + 4 + 11) / 3))
    assert fine.low <= fine.value <= fine.high
