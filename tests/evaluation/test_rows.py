from __future__ import annotations

import dataclasses

import pytest
from fake_task import BASE, FakeTask

from jpeg_preproc.evaluation.conditions import RestoreSettings, plan
from jpeg_preproc.evaluation.rows import (
    DownstreamRow,
    RestorationRow,
    downstream_rows,
    recovery,
)
from jpeg_preproc.report import result_tables


def measured(corruptions, restorers=(BASE,), fails=()):
    """Return the rows of a task whose every condition that does not fail was measured."""
    task = FakeTask()
    results = [
        (condition, task.measure(condition, RestoreSettings(), "x"))
        for condition in plan(corruptions, list(restorers))
        if condition.title not in fails
    ]
    return downstream_rows(task, results)


@pytest.mark.parametrize(
    "values,expected",
    [
        ((28.3, 19.6, 25.9), 6.3 / 8.7),
        ((30.0, 20.0, 15.0), -0.5),
        ((30.0, 20.0, 35.0), 1.5),
        ((30.0, 31.0, 30.5), None),
        ((30.0, 31.0, 28.0), None),
        ((30.0, 30.0, 29.0), None),
    ],
)
def test_recovery_is_the_share_of_the_loss_and_never_clipped(values, expected):
    assert recovery(*values) == (None if expected is None else pytest.approx(expected))


def test_rows_stand_in_the_tables_order_with_recovery():
    rows = measured(["jpeg:90", "jpeg:10"])
    found = [(row.restorer, row.qf, row.value, row.recovery) for row in rows]
    assert found == [
        ("original", None, 30.0, None),
        ("jpeg", 10, 20.0, None),
        ("jpeg", 90, 30.0, None),
        ("base", 10, 27.0, pytest.approx(0.7)),
        ("base", 90, 29.0, None),
    ]
    # The draws differ by as much in every condition, so the shares of the loss are all the same.
    bounds = [(row.recovery_low, row.recovery_high) for row in rows[3:]]
    assert bounds == [(pytest.approx(0.7), pytest.approx(0.7)), (None, None)]
    assert rows[0].value_low == pytest.approx(29.05)
    assert {(row.dataset, row.model, row.metric, row.images) for row in rows} == {
        ("coco", "yolo/x", "mAP", 2)
    }


def test_rows_say_what_happened_and_what_it_takes_to_store():
    rows = measured(["jpeg:10", "webp:30", "cropped_jpeg:10,offset=4"])
    found = [(row.restorer, row.qf, row.corruption, row.strength) for row in rows]
    assert found == [
        ("original", None, None, None),
        ("jpeg", 10, "jpeg:10", 10.0),
        ("corrupted", None, "webp:30", 30.0),
        ("corrupted", None, "cropped_jpeg:10,offset=4", 10.0),
        ("base", 10, "jpeg:10", 10.0),
        ("base", None, "webp:30", 30.0),
        ("base", None, "cropped_jpeg:10,offset=4", 10.0),
    ]
    assert [row.bytes_per_pixel for row in rows] == [None, *[0.25] * 6]
    assert rows[6].recovery == pytest.approx(4 / 6)


def test_without_the_original_there_is_no_recovery():
    assert {row.recovery for row in measured(["jpeg:10"], fails=["original"])} == {None}


def test_each_kind_of_corruption_has_its_columns_and_its_axis():
    rows = measured(["jpeg:90", "jpeg:10", "webp:30"])
    (table,) = result_tables(rows)
    assert table.columns == ("restorer", "QF 10", "QF 90", "webp:30")
    assert table.rows[0] == ("original", "30.0", "30.0", "30.0")
    assert [line[0] for line in table.rows] == ["original", "jpeg", "corrupted", "base"]
    assert table.rows[2] == ("corrupted", "–", "–", "25.0")
    places = {row.corruption: row.place for row in rows}
    assert places["jpeg:10"] == ("JPEG quality factor", 10.0)
    assert places["webp:30"][1] == 30.0 and places["webp:30"][0].startswith("webp: ")
    assert places[None] is None


def test_a_subsampling_that_is_not_the_usual_one_stands_in_the_head():
    row = DownstreamRow("coco", "x", "mAP", 10, "jpeg", 1.0, None, 1, 0.0, corruption="jpeg:10")
    other = dataclasses.replace(row, corruption="jpeg:10,4:4:4")
    assert (row.column, other.column) == ("QF 10", "QF 10, 4:4:4")
    assert row.place != other.place


@pytest.mark.parametrize(
    "first,second,shared",
    [
        ("jpeg:10", "jpeg:40", True),
        ("jpeg:10", "jpeg:40,4:4:4", False),
        ("double_jpeg:10,95", "double_jpeg:20,95", True),
        ("double_jpeg:10,95", "double_jpeg:10,75", False),
        ("double_jpeg:10,95", "double_jpeg:10,95,shift=4", False),
        ("resized_jpeg:10,0.75", "resized_jpeg:10,0.5", False),
    ],
)
def test_what_differs_in_more_than_strength_lies_on_another_axis(first, second, shared):
    row = DownstreamRow("coco", "x", "mAP", None, "base", 1.0, None, 1, 0.0, corruption=first)
    other = dataclasses.replace(row, corruption=second)
    assert (row.place[0] == other.place[0]) is shared


@pytest.mark.parametrize(
    "bounds,cell",
    [
        ((None, None, None), "25.4"),
        ((0.736, None, None), "25.4 (74 %)"),
        ((0.736, 0.571, 0.914), "25.4 (74 %; 57 to 91)"),
        ((-1.41, -9.76, 0.86), "25.4 (-141 %; -976 to 86)"),
    ],
)
def test_the_cell_of_a_downstream_table(bounds, cell):
    share, low, high = bounds
    row = DownstreamRow(
        *("coco", "x", "mAP", 10, "base", 25.36, share, 188, 1.0),
        recovery_low=low,
        recovery_high=high,
        corruption="jpeg:10",
    )
    assert row.cell == cell


@pytest.mark.parametrize(
    "row",
    [
        DownstreamRow("coco", "x", "mAP", 10, "jpeg", 1.0, None, 1, 0.0),
        RestorationRow("live1", 10, "jpeg", "fbcnn", 25.0, 0.7, 24.0, 29),
    ],
)
def test_columns_are_the_fields_in_their_order(row):
    names = [field.name for field in dataclasses.fields(row)]
    assert list(row.columns()) == names
    assert "bytes_per_pixel" in names
    assert row.columns()["dataset"] == row.dataset
