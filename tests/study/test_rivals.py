"""A model, a rival that was trained to bear JPEG, each restored: points worked out by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from fake_task import BASE

from jpeg_preproc.corruptions import parse_corruption
from jpeg_preproc.evaluation.conditions import Condition
from jpeg_preproc.evaluation.judges import F1
from jpeg_preproc.evaluation.rows import downstream_rows
from jpeg_preproc.evaluation.run import TaskRun
from jpeg_preproc.evaluation.task import Measurement
from jpeg_preproc.report import result_tables
from jpeg_preproc.stats.bootstrap import interval
from jpeg_preproc.stats.comparisons import holm
from jpeg_preproc.study.compare import compare_models
from jpeg_preproc.study.comparison_rows import ModelResults
from jpeg_preproc.study.spec import Comparisons

NOISE = np.random.default_rng(0).normal(0, 1, (10, 400))
JPEGS = ("jpeg:10", "jpeg:40")
#: mAP on originals, then at each quality on JPEG and restored.
POINTS = {"plain": (30.0, (20.0, 27.0), (26.0, 28.0)), "tuned": (29.0, (25.0, 28.0), (27.0, 28.5))}
RIVALS = Comparisons(rivals=(("tuned", "plain"),))


class Named:
    """What rows are made of beside measurements."""

    def __init__(self, model, dataset):
        self.model, self.dataset = model, dataset


def model_results(model, noise, dataset="coco", detections=None):
    """ModelResults of a model of POINTS, whose draws are noise around these."""
    original, *pairs = POINTS[model]
    done = [(Condition(), original)]
    for spelling, (jpeg, restored) in zip(JPEGS, pairs, strict=True):
        corruption = parse_corruption(spelling)
        done += [(Condition(corruption), jpeg), (Condition(corruption, BASE), restored)]
    results = [
        (
            condition,
            Measurement(
                "mAP",
                value,
                1,
                1.0,
                {},
                tuple((value + row).tolist()),
                detections=detections,
            ),
        )
        for (condition, value), row in zip(done, noise, strict=True)
    ]
    rows = downstream_rows(Named(model, dataset), results)
    return ModelResults.of(TaskRun(rows, [], 0, [], {}, results))


def compared(**settings):
    plain = model_results("plain", NOISE[:5], **settings)
    tuned = model_results("tuned", NOISE[5:], **settings)
    return [row for row in compare_models([*plain, *tuned], RIVALS) if row.comparison == "rival"]


def cell(rows, against, line, column):
    (row,) = [row for row in rows if (row.against, row.line, row.column) == (against, line, column)]
    return row


def test_trained_restored_and_both_stand_in_one_table():
    over_plain, over_tuned = result_tables(compared())
    assert over_plain.columns == ("restorer", "original", "QF 10", "QF 40", "all")
    assert [line[0] for line in over_plain.rows] == ["tuned", "plain + base", "tuned + base"]
    assert over_plain.title.startswith("coco · plain · mAP · points over plain")
    assert [line[0] for line in over_tuned.rows] == ["plain + base", "tuned + base"]
    assert over_tuned.columns == ("restorer", "QF 10", "QF 40", "all")
    assert over_tuned.title.startswith("coco · tuned · mAP · points over tuned")
    (restored,) = [line for line in over_plain.rows if line[0] == "plain + base"]
    assert restored[1] == "–"  # nobody restored the originals


def test_points_and_intervals_are_paired():
    rows = compared()
    expected = {
        ("plain", "tuned", "original"): -1.0,
        ("plain", "tuned", "QF 10"): 5.0,
        ("plain", "tuned", "QF 40"): 1.0,
        ("plain", "tuned", "all"): 3.0,
        ("plain", "plain + base", "QF 10"): 7.0,
        ("plain", "tuned + base", "QF 10"): 8.0,
        ("plain", "tuned + base", "all"): 5.25,
        ("tuned", "plain + base", "QF 10"): 2.0,
        ("tuned", "tuned + base", "QF 40"): 1.5,
    }
    for place, value in expected.items():
        assert cell(rows, *place).value == pytest.approx(value), place
    row = cell(rows, "plain", "tuned", "QF 10")
    drawn = (25 + NOISE[6]) - (20 + NOISE[1])
    assert (row.low, row.high) == pytest.approx(interval(drawn, 5.0))
    for against in ("plain", "tuned"):
        table = [row for row in rows if row.against == against]
        assert [row.p_holm for row in table] == pytest.approx(holm([row.p for row in table]))
    assert row.cell.startswith("+5.0 (+") and row.cell.endswith("*")
    assert cell(rows, "plain", "tuned", "original").cell.startswith("−1.0 (−")


def test_agreement_with_a_models_own_detections_does_not_compare_models():
    box = (0, 0.9, 0.0, 0.0, 4.0, 4.0)
    found = model_results("plain", NOISE[:5], detections=((box,),))
    if {one.any.metric for one in found} != {"mAP", F1}:
        pytest.fail("the planted detections have no F1, so that this tests nothing")
    assert {row.metric for row in compared(detections=((box,),))} == {"mAP"}


def test_models_on_other_data_are_not_compared():
    plain = model_results("plain", NOISE[:5])
    tuned = model_results("tuned", NOISE[5:], "voc")
    rows = compare_models([*plain, *tuned], RIVALS)
    assert "rival" not in {row.comparison for row in rows}


def test_without_draws_there_are_points_alone():
    plain, tuned = (
        replace(
            one,
            original=replace(one.original, replicates=None),
            corrupted={key: replace(m, replicates=None) for key, m in one.corrupted.items()},
            restored={},
        )
        for name in POINTS
        for one in model_results(name, NOISE[:5])
    )
    rows = [row for row in compare_models([plain, tuned], RIVALS) if row.comparison == "rival"]
    row = cell(rows, "plain", "tuned", "QF 10")
    assert (row.value, row.low, row.p, row.cell) == (5.0, None, None, "+5.0")
