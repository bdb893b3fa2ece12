"""Result files and tables."""

from __future__ import annotations

import csv
import json
import math
from dataclasses import asdict

import pytest

from jpeg_preproc.evaluation.rows import DownstreamRow, RestorationRow
from jpeg_preproc.report import Table, markdown_table, result_tables, write_results


def restoration(restorer, qf, psnr=25.6925, dataset="live1", protocol="fbcnn", images=29):
    return RestorationRow(
        dataset=dataset,
        qf=qf,
        restorer=restorer,
        protocol=protocol,
        psnr=psnr,
        ssim=0.7433,
        psnr_b=24.2006,
        images=images,
        corruption=f"jpeg:{qf}",
        strength=float(qf),
        bytes_per_pixel=0.5,
    )


def downstream(restorer, qf, value, recovery=None, **others):
    return DownstreamRow(
        dataset="coco",
        model="yolox",
        metric="mAP",
        qf=qf,
        restorer=restorer,
        value=value,
        recovery=recovery,
        images=188,
        seconds=1.0,
        **{"corruption": None if qf is None else f"jpeg:{qf}", **others},
    )


def test_restorers_are_lines_and_qfs_columns():
    rows = [
        *(restoration("jpeg", 20, 28.0607), restoration("base", 20, 30.0)),
        *(restoration("jpeg", 5, 23.0), restoration("jpeg", 100, math.inf)),
    ]
    (table,) = result_tables(rows)
    assert table.title == "live1 · fbcnn · PSNR dB / SSIM / PSNR-B dB · 29 images"
    assert table.columns == ("restorer", "QF 5", "QF 20", "QF 100")
    assert table.rows == (
        ("jpeg", "23.00 / 0.743 / 24.20", "28.06 / 0.743 / 24.20", "inf / 0.743 / 24.20"),
        ("base", "–", "30.00 / 0.743 / 24.20", "–"),
    )


def test_data_sets_and_protocols_have_tables_of_their_own():
    rows = [
        restoration("jpeg", 10),
        restoration("jpeg", 10, dataset="classic5", images=1),
        restoration("jpeg", 10, protocol="qgac"),
    ]
    titles = [table.title for table in result_tables(rows)]
    assert [title.split(" · ")[:2] for title in titles] == [
        ["live1", "fbcnn"],
        ["classic5", "fbcnn"],
        ["live1", "qgac"],
    ]
    assert titles[1].endswith(" 1 image")


def test_recovery_is_shown_unclipped_and_the_original_holds_at_every_qf():
    rows = [
        downstream("original", None, 28.31),
        *(downstream("jpeg", 10, 19.6), downstream("base", 10, 25.94, 0.728)),
        *(downstream("jpeg", 40, 28.0), downstream("base", 40, 27.9, -0.32)),
        downstream("odd", 40, 28.0, math.nan),
    ]
    (table,) = result_tables(rows)
    assert table.rows == (
        ("original", "28.3", "28.3"),
        ("jpeg", "19.6", "28.0"),
        ("base", "25.9 (73 %)", "27.9 (-32 %)"),
        ("odd", "–", "28.0 (–)"),
    )


@pytest.mark.parametrize(
    ("recovery", "low", "high", "cell"),
    [
        (None, None, None, "25.9"),
        (0.728, None, None, "25.9 (73 %)"),
        (0.728, 0.603, 0.849, "25.9 (73 %; 60 to 85)"),
        (-0.32, -0.804, 0.113, "25.9 (-32 %; -80 to 11)"),
        (1.04, 0.9, 1.2, "25.9 (104 %; 90 to 120)"),
    ],
)
def test_the_interval_stands_behind_the_recovery(recovery, low, high, cell):
    row = downstream("base", 10, 25.94, recovery, recovery_low=low, recovery_high=high)
    assert row.cell == cell
    (table,) = result_tables([row])
    assert table.rows == (("base", cell),)
    assert "value (recovered share of the loss; 95 % interval)" in table.title


def test_two_kinds_of_corruption_stand_side_by_side():
    rows = [
        downstream("original", None, 28.31),
        downstream("jpeg", 10, 19.6),
        *(downstream("corrupted", None, 22.5, corruption=f"webp:{q}") for q in (40, 20)),
        downstream("base", 10, 25.94, 0.728),
        downstream("base", None, 23.0, 0.1, corruption="webp:20"),
    ]
    (table,) = result_tables(rows)
    assert table.columns == ("restorer", "QF 10", "webp:20", "webp:40")
    assert table.rows == (
        ("original", "28.3", "28.3", "28.3"),
        ("jpeg", "19.6", "–", "–"),
        ("corrupted", "–", "22.5", "22.5"),
        ("base", "25.9 (73 %)", "23.0 (10 %)", "–"),
    )


def test_original_alone_makes_a_table():
    (table,) = result_tables([downstream("original", None, 28.31)])
    assert (table.columns, table.rows) == (("restorer", "all"), (("original", "28.3"),))


def test_rows_of_another_kind_make_a_flat_table():
    (table,) = result_tables([{"name": "a", "seconds": 1 / 3}, {"name": "b", "note": None}])
    assert table.columns == ("name", "seconds", "note")
    assert table.rows == (("a", "0.333333", ""), ("b", "", ""))


def test_no_rows_make_no_table():
    assert result_tables([]) == []


def test_markdown_escapes_what_would_end_a_cell():
    table = Table("", ("name", "n"), (("a|b\nc", "1"),))
    assert markdown_table(table).splitlines()[2] == r"| a\|b c |   1 |"


def test_files_hold_the_rows(tmp_path):
    rows = [restoration("jpeg", 10), restoration("base", 10, math.inf)]
    paths = write_results(tmp_path / "new" / "out", {"tool": "test", "limit": None}, rows)
    document = json.loads(paths["json"].read_text())
    assert document["meta"] == {"tool": "test", "limit": None}
    assert document["rows"] == [asdict(rows[0]), {**asdict(rows[1]), "psnr": None}]
    with paths["csv"].open(newline="") as stream:
        read = list(csv.DictReader(stream))
    assert [row["psnr"] for row in read] == ["25.6925", "inf"]
    assert list(read[0]) == list(asdict(rows[0]))
    text = paths["md"].read_text()
    assert "## live1 · fbcnn" in text
    assert "- tool: test" in text
    assert sorted(path.name for path in paths["md"].parent.iterdir()) == [
        *("results.csv", "results.json", "results.md")
    ]


def test_json_has_no_infinity_anywhere(tmp_path):
    meta = {"nested": {"list": [1.5, -math.inf, math.nan]}}
    paths = write_results(tmp_path, meta, [])

    def refuse(constant: str) -> None:
        pytest.fail(f"not JSON: {constant}")

    document = json.loads(paths["json"].read_text(), parse_constant=refuse)
    assert document == {"meta": {"nested": {"list": [1.5, None, None]}}, "rows": []}


def test_a_second_write_replaces_the_first(tmp_path):
    write_results(tmp_path, {}, [restoration("jpeg", qf) for qf in range(1, 50)])
    paths = write_results(tmp_path, {}, [restoration("jpeg", 10)])
    assert len(paths["csv"].read_text().splitlines()) == 2


def test_comparisons_have_their_own_csv_and_stand_behind_the_tables(tmp_path):
    rows = [downstream("original", None, 28.31)]
    compared = [downstream("base", 10, 25.94, 0.728)]
    plain = write_results(tmp_path / "plain", {}, rows)
    assert "comparisons" not in plain
    assert "comparisons" not in json.loads(plain["json"].read_text())
    written = write_results(tmp_path / "both", {}, rows, compared)
    assert written["csv"].read_text() == plain["csv"].read_text()
    with written["comparisons"].open() as stream:
        assert [row["restorer"] for row in csv.DictReader(stream)] == ["base"]
    (entry,) = json.loads(written["json"].read_text())["comparisons"]
    assert entry["value"] == 25.94
    text = written["md"].read_text()
    assert text.index("28.3") < text.index("25.9 (73 %)")
