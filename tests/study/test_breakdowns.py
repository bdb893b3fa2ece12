"""Time against gain, classes and sizes, from measurements that are made up."""

from __future__ import annotations

import math
from collections import namedtuple
from dataclasses import replace

import numpy as np
import pytest

from jpeg_preproc.corruptions import Jpeg
from jpeg_preproc.evaluation.conditions import Condition, RestorerChoice, RestoreSettings
from jpeg_preproc.evaluation.task import Figure, Measurement
from jpeg_preproc.study.breakdowns import classes, costs
from jpeg_preproc.study.comparison_rows import ModelResults

CHOICE = RestorerChoice("base", "base", "ab")
CONDITIONS = (Condition(), Condition(Jpeg(10)), Condition(Jpeg(10), CHOICE))
Run = namedtuple("Run", "results")
Runs = namedtuple("Runs", "tasks runs settings")
Named = namedtuple("Named", "dataset model class_names fingerprint")


def measured(value, restore=0.0, **others):
    stages = {"restore": (restore, restore / 2), "model": (2.0, 1.0)}  # on the clock, of the CPU
    drawn = [value - 1, value, value + 1]
    metrics = others.pop("all_metrics", {})
    return Measurement("mAP", value, 10, 1.0, metrics, drawn, stages, **others)


def results(name, measurements):
    original, corrupted, restored = measurements
    heads = {Jpeg(10): ("QF 10", ("QF", 10.0))}
    return ModelResults(
        *("coco", name, original, {Jpeg(10): corrupted}, {"base": {Jpeg(10): restored}}, heads)
    )


def runs(*of_models, device="cpu"):
    """What came of models that are called a, b, …"""
    names = "abc"[: len(of_models)]
    tasks = [Named("coco", name, {3: "ant", 5: "bee"}, {"device": device}) for name in names]
    done = [Run(list(zip(CONDITIONS, one, strict=True))) for one in of_models]
    judged = [results(task.model, one) for task, one in zip(tasks, of_models, strict=True)]
    return Runs(tasks, done, RestoreSettings()), judged


def test_a_restorers_time_is_that_of_the_model_it_was_not_kept_for():
    first = (measured(30.0), measured(20.0), measured(27.0, restore=8.0))
    kept = (measured(31.0), measured(21.0), measured(26.0, restore=0.1))
    one, other = costs(*runs(first, kept, device="cuda"))
    assert (one.model, one.restorer, one.metric) == ("a on coco", "base", "mAP")
    assert one.seconds == other.seconds == pytest.approx(0.8)
    assert one.model_seconds == pytest.approx(0.2)
    assert (one.gain, other.gain) == (7.0, 5.0)
    assert one.low <= one.gain <= one.high and one.unit == "seconds"
    of_cpu = next(costs(*runs(first, kept)))
    assert (of_cpu.seconds, of_cpu.unit) == (pytest.approx(0.4), "CPU seconds")
    assert of_cpu.model_seconds == pytest.approx(0.1)


def test_without_a_time_there_is_no_cost():
    assert list(costs(*runs((measured(30.0), measured(20.0), measured(27.0))))) == []


def box(label, left, size):
    return [label, 0.9, left, 0.0, left + size, size]


def test_boxes_are_counted_by_class_and_by_size():
    reference = [[box(3, 0, 20), box(3, 500, 50), box(5, 200, 150)], []]
    corrupted = [[box(3, 0, 20)], [box(5, 0, 20)]]
    restored = [[box(3, 0, 20), box(3, 500, 50), box(5, 200, 150)], []]
    done, judged = runs(
        tuple(
            measured(value, detections=found)
            for value, found in ((30.0, reference), (20.0, corrupted), (27.0, restored))
        )
    )
    by_class, by_size = classes(done, judged)
    assert by_class.columns == ("class", "boxes", "jpeg", "base")
    # F1 = 2 TP / (reference + found): ants 2 · 1 / (2 + 1), bees 0 / (1 + 1).
    assert dict(by_class.rows) == {
        "ant": (2.0, pytest.approx(200 / 3), 100.0),
        "bee": (1.0, 0.0, 100.0),
    }
    assert [name for name, _ in by_size.rows] == ["small", "medium", "large"]
    assert dict(by_size.rows)["small"] == (1.0, pytest.approx(200 / 3), 100.0)
    assert "JPEG at QF 10" in by_class.heading


def texts(rows):
    return {name: [cell.text for cell in cells] for name, cells in rows}


def test_parts_that_an_earlier_version_has_stored_are_told():
    parts = {"coco/bbox_mAP": 0.3, "coco/bbox_mAP_s": 0.1, "coco/bbox_mAP_m": -1.0}
    done, judged = runs(
        tuple(
            measured(value, all_metrics={**parts, "IoU/cat": 10 * value})
            for value in (3.0, 2.0, 2.5)
        )
    )
    by_class, by_size = classes(done, judged)
    assert texts(by_size.rows) == {"small": ["10.0", "10.0", "10.0"]}
    assert texts(by_class.rows) == {"cat": ["30.0", "20.0", "25.0"]}
    assert [cell.change for cell in by_class.rows[0][1]] == ["", "−10.0", "+5.0"]
    assert all(cell.bounds == cell.tone == "" for _, cells in by_class.rows for cell in cells)
    assert by_class.columns == ("class", "original", "jpeg", "base")
    assert by_size.columns[0] == "size"


def parts(rng, **values):
    """Each part's value, and draws around it that vary alike under every condition."""
    return {
        name.replace("_", "/", 1): [value, *(value + shared + rng.normal(0, 0.1, 1000))]
        for (name, value), shared in zip(
            values.items(), np.random.default_rng(0).normal(0, 3, (9, 1000)), strict=False
        )
    }


def test_parts_have_intervals_of_the_same_draws():
    rng = np.random.default_rng(1)
    values = ({"class_ant": 40.0, "class_bee": 20.0, "size_small": 9.0, "class_rare": 50.0},)
    values += ({"class_ant": 30.0, "class_bee": 20.0, "size_small": 8.0, "class_rare": 0.0},)
    values += ({"class_ant": 36.0, "class_bee": 19.0, "size_small": 8.0, "class_rare": 50.0},)
    of_parts = [parts(rng, **one) for one in values]
    for one in of_parts:
        one["class/rare"][1:60] = [math.nan] * 59  # of what no image in the draw has
    done, judged = runs(
        tuple(
            measured(value, parts=one)
            for value, one in zip((30.0, 20.0, 27.0), of_parts, strict=True)
        )
    )
    by_class, by_size = classes(done, judged)
    assert by_class.heading.startswith("AP by class: a on coco, JPEG at QF 10")
    assert by_size.heading.startswith("mAP by size")
    assert [name for name, _ in by_class.rows] == ["ant", "bee", "rare"]
    ant, bee, rare = (cells for _, cells in by_class.rows)
    assert [cell.text for cell in ant] == ["40.0", "30.0", "36.0"]
    low, high = map(float, ant[0].bounds.split(" to "))
    assert (low, high) == pytest.approx((40 - 5.9, 40 + 5.9), abs=1.5)
    assert [(cell.change, cell.tone) for cell in ant[1:]] == [("−10.0", "loss"), ("+6.0", "gain")]
    # Paired, so that the interval is of the 0.1 in which the conditions differ.
    drawn = np.subtract(of_parts[2]["class/ant"], of_parts[1]["class/ant"])[1:]
    found = tuple(map(float, ant[2].bounds.split(" to ")))
    assert found == pytest.approx(np.percentile(drawn, (2.5, 97.5)), abs=0.11)
    assert (bee[1].change, bee[1].tone) == ("0.0", "")
    assert all(cell.bounds == "" for cell in rare) and rare[1].change == "−50.0"


def test_boxes_and_masks_have_tables_of_their_own():
    rng = np.random.default_rng(2)
    done, judged = runs(
        tuple(
            measured(
                value,
                parts=parts(rng, class_ant=value),
                beside=[Figure("mask mAP", value, None, parts(rng, class_ant=value / 2))],
            )
            for value in (30.0, 20.0, 27.0)
        )
    )
    masks = results(
        "a",
        [replace(one, **vars(figure)) for _, one in done.runs[0].results for figure in one.beside],
    )
    boxes, segments = classes(done, [*judged, masks])
    assert (boxes.heading[:11], segments.heading[:16]) == ("AP by class", "mask AP by class")
    assert texts(segments.rows) == {"ant": ["15.0", "10.0", "13.5"]}
