"""The three sentences, from figures that are made up."""

from __future__ import annotations

from dataclasses import replace

import pytest

from jpeg_preproc.corruptions import Jpeg
from jpeg_preproc.evaluation.task import Measurement
from jpeg_preproc.study.comparison_rows import (
    BITS,
    DIFFERENCE,
    MEAN_DIFFERENCE,
    ComparisonRow,
    ModelResults,
)
from jpeg_preproc.study.sentences import sentences


def measured(value, spread=1.0, metric="mAP"):
    # A tenth on each side, so that the bounds of 95 % are the outermost.
    drawn = [value - spread] * 10 + [value] * 80 + [value + spread] * 10
    return Measurement(metric, value, 40, 1.0, {}, drawn)


def model(name="yolo", restored=27.0, metric="mAP", jitter=None):
    corrupted = {Jpeg(10): measured(20.0, 2.0, metric), Jpeg(40): measured(29.0, 1.0, metric)}
    after = {Jpeg(10): jitter or measured(restored, 2.5, metric), Jpeg(40): measured(29.5)}
    heads = {Jpeg(qf): (f"QF {qf}", ("QF", float(qf))) for qf in (10, 40)}
    weak = {Jpeg(10): measured(restored - 3.0, 2.0, metric)}
    return ModelResults(
        "coco", name, measured(30.0, 1.0, metric), corrupted, {"weak": weak, "base": after}, heads
    )


def row(
    comparison, measure, value, p_holm=None, bounds=(None, None), restorer="base", metric="mAP"
):
    return ComparisonRow(
        *(comparison, "coco", "yolo", metric, restorer, "", measure, value),
        *(*bounds, p_holm, p_holm, 40),
    )


def test_what_is_lost_and_given_back_where_most_is_lost():
    rows = [
        row(DIFFERENCE, "QF 10", 7.0, 0.001),
        row(DIFFERENCE, "QF 40", 0.5, 0.4),
        row(DIFFERENCE, "all", -0.5, 0.04, restorer="weak"),
        row(BITS, "BD-rate", -34.2, bounds=(-41.0, -25.0)),
    ]
    lost, restored, established = sentences([model()], rows)
    assert lost == (
        "JPEG at QF 10 costs yolo 10.0 of 30.0 points of mAP (95 % interval 9.0 to 11.0)."
    )
    assert restored == (
        "There, restoring with base gives yolo +7.0 points (+6.5 to +7.5), and over all qualities "
        "stores 34 % fewer bits at equal mAP (25 to 41)."
    )
    assert established == (
        "Of 3 comparisons of restored with corrupted images, 1 is a gain and 1 a loss after Holm’s "
        "correction (p < 0.05); the other 1 cannot be told from chance on 40 images."
    )


def test_losses_that_the_finer_judges_establish_are_told_too():
    finer = "F1 against the original"
    rows = [
        row(DIFFERENCE, "QF 10", 7.0, 0.001),
        row(DIFFERENCE, "QF 10", 9.0, 0.001, metric=finer),
        row(DIFFERENCE, "QF 40", -3.0, 0.01, metric=finer),
        row(DIFFERENCE, "all", -1.0, 0.3, metric=finer),
    ]
    assert sentences([model()], rows)[-1] == (
        "Of 1 comparisons of restored with corrupted images, 1 is a gain and 0 losses after Holm’s "
        "correction (p < 0.05); the other 0 cannot be told from chance on 40 images. By F1 against "
        "the original 1 is a gain and 1 a loss, of 3."
    )


@pytest.mark.parametrize(
    "restored,words",
    [
        (measured(20.5, 4.0), "what base gives yolo, +0.5 points (−1.5 to +2.5), cannot be told"),
        (measured(19.0, 1.9), "even the best restorer, base, changes yolo by −1.0 points"),
    ],
)
def test_what_is_no_gain_is_not_called_one(restored, words):
    one = model(jitter=restored)
    del one.restored["weak"]
    assert words in sentences([one], [])[1]


def test_without_draws_there_are_no_intervals():
    plain = Measurement("mAP", 20.0, 40, 1.0, {}, None)
    heads = {Jpeg(10): ("QF 10", ("QF", 10.0))}
    original = Measurement("mAP", 30.0, 40, 1.0, {}, None)
    one = ModelResults("coco", "yolo", original, {Jpeg(10): plain}, {}, heads)
    assert sentences([one], []) == ("JPEG at QF 10 costs yolo 10.0 of 30.0 points of mAP.",)


def test_finer_judges_and_models_without_originals_are_passed_over():
    assert sentences([model(metric="F1 against the original")], []) == ()
    one = model()
    without = ModelResults("coco", "yolo", None, one.corrupted, one.restored, one.heads)
    assert sentences([without], []) == ()


def test_of_a_model_with_boxes_and_masks_the_first_metric_is_told():
    both = sentences([model(), model(metric="mask mAP")], [])
    assert both == sentences([model()], [])
    assert "points of mask mAP" in sentences([model(metric="mask mAP")], [])[0]


def test_of_many_models_the_first_are_named():
    (lost, *_) = sentences([model(name) for name in "abcde"], [])
    assert lost == (
        "JPEG at QF 10 costs a 10.0 of 30.0 points of mAP (95 % interval 9.0 to 11.0); b 10.0 of "
        "30.0 points of mAP (9.0 to 11.0); c 10.0 of 30.0 points of mAP (9.0 to 11.0); and 2 more "
        "models what the tables say."
    )


def test_what_the_mean_of_a_data_sets_models_gains_is_told_with_theirs():
    def mean(measure, value, bounds, restorer="base"):
        one = row(MEAN_DIFFERENCE, measure, value, bounds=bounds, restorer=restorer)
        return replace(one, model="mean of yolo, picodet")

    sure = [mean("QF 10", 6.0, (4.0, 8.0)), mean("QF 10", 5.0, (3.0, 7.0), "weak")]
    elsewhere = mean("QF 40", 9.0, (8.0, 10.0))
    told = sentences([model(), model("picodet")], [*sure, elsewhere])[1]
    assert told.endswith(
        "; base gives the mean of yolo, picodet +6.0 points of mAP (+4.0 to +8.0)."
    )
    told = sentences([model(), model("picodet")], [mean("QF 10", 0.5, (-1.0, 2.0))])[1]
    assert told.endswith("+0.5 points of mAP (−1.0 to +2.0), which cannot be told from chance.")
