"""The page: what is in it, that nothing breaks out of it, and that it asks for nothing."""

from __future__ import annotations

import hashlib
import json
import re
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest

pytest.importorskip("jinja2", reason="needs jinja2: pip install '.[report]'")
sys.path.insert(0, str(Path(__file__).resolve().parent))
from planted_page import EVIL, picture, planted_page

from jpeg_preproc.errors import JpegPreprocError
from jpeg_preproc.report.page import Cost, Gallery, part_rows, render_markdown, render_page
from jpeg_preproc.report.page import render as render_module
from jpeg_preproc.report.page.render import VENDOR, vendor_table
from jpeg_preproc.report.page.scatter import scatter


class Reader(HTMLParser):
    """Takes a page apart as browsers do."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: list[str] = []
        self.text: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag == "script":
            self.scripts.append("")

    def handle_data(self, data):
        if self.tags and self.tags[-1][0] == "script":
            self.scripts[-1] += data
        self.text.append(data)


def test_a_figure_of_a_class_is_sorted_by_its_value_and_has_its_interval(photo):
    page = planted_page(photo, 1)
    cells = [attrs for tag, attrs in Reader(render_page(page)).tags if tag == "td"]
    assert {"data-value": "20.0", "class": "loss"} in cells
    assert "<small>−30.0 (−41.0 to −8.0)</small>" in render_page(page)
    assert "20.0 −30.0 −41.0 to −8.0" in render_markdown(page, {})


def test_vendored_files_are_those_of_the_table_and_each_has_its_licence():
    table = vendor_table()
    assert {row["file"] for row in table} == {
        path.name for path in VENDOR.iterdir() if path.name != "vendor.csv"
    }
    for row in table:
        assert hashlib.sha256((VENDOR / row["file"]).read_bytes()).hexdigest() == row["sha256"]
        assert row["version"] and row["licence"] == "MIT"
        licences = [one["file"] for one in table if one["package"] == row["package"]]
        assert any(name.endswith("LICENSE") for name in licences)
        assert (
            f"/{row['version']}" in row["source"]
            or f"-{row['version']}" in row["source"]
            or (row["file"].endswith("LICENSE"))
        )


def test_a_vendored_file_that_was_changed_is_refused(tmp_path, monkeypatch, photo):
    for path in VENDOR.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    with (tmp_path / "uPlot.min.css").open("a") as stream:
        stream.write("a{}")
    monkeypatch.setattr(render_module, "VENDOR", tmp_path)
    render_module._read.cache_clear()
    with pytest.raises(JpegPreprocError, match="another SHA-256"):
        render_page(planted_page(photo))
    render_module._read.cache_clear()


def test_a_page_holds_all_that_it_needs(photo):
    html = render_page(planted_page(photo))
    read = Reader(html)
    for tag, attributes in read.tags:
        assert tag not in ("link", "iframe", "object") or attributes.get("rel") == "icon"
        for name in ("src", "href", "srcset", "data", "action"):
            value = attributes.get(name) or ""
            assert not value or value.startswith(("#", "data:")), (tag, name, value)
    (styles,) = re.findall(r"<style>(.*?)</style>", html, re.DOTALL)
    assert "url(" not in styles and len(styles) > 5000
    assert "sourceMappingURL" not in html and "@import" not in html
    assert "default-src 'none'" in html
    for row in vendor_table():
        assert row["version"] in html
    assert "Copyright (c) 2022 Leon Sorokin" in html
    assert "Copyright (c) 2019 Dmitry Snisarenko" in html


def test_no_name_breaks_out_of_the_page(photo):
    harmless, evil = (Reader(render_page(planted_page(photo, name=name))) for name in ("a", EVIL))
    # The same elements in the same order, whatever things are called.
    assert [tag for tag, _ in evil.tags] == [tag for tag, _ in harmless.tags]
    assert len(evil.scripts) == 3
    data = json.loads(evil.scripts[0])
    assert data["charts"][0]["axes"][0]["lines"][1]["name"] == EVIL
    assert data["gallery"][0]["views"][1]["boxes"][0]["label"] == EVIL
    assert EVIL in "".join(evil.text)


def test_bytes_of_names_that_are_no_text_are_written_out(photo):
    read = Reader(render_page(planted_page(photo, name="a\udcff\u202eb")))
    assert "a\\udcff\\u202eb" in "".join(read.text)


def test_the_block_of_data_has_each_file_once(photo):
    page = planted_page(photo, pictures=0)
    twice = Gallery("", (picture(0, True, ("ant",), photo),) * 2)
    data = json.loads(
        Reader(render_page(page.__class__(**{**vars(page), "gallery": twice}))).scripts[0]
    )
    assert len(data["gallery"]) == 2 and len(data["blobs"]) == 4
    kinds = sorted(blob["mime"] for blob in data["blobs"].values())
    assert kinds == ["image/jpeg", "image/png", "image/webp", "image/webp"]


def test_markdown_has_the_words_and_tables_and_escapes_them(photo):
    text = render_markdown(planted_page(photo, name="a|b <i> [x](y)"), {"curves": "accuracy.svg"})
    assert "# A planted study of a|b &lt;i> \\[x\\](y)" in text
    assert "| original" in text and "30.4 +7.0* +4.8 to +10.3" in text
    assert "](accuracy.svg)" in text and "Chosen by hand." in text and "@software{x," in text
    assert "<i>" not in text and "a\\|b" in text


def test_figures_of_parts_have_a_row_each(photo):
    rows = list(part_rows(planted_page(photo, name="a")))
    assert len(rows) == 9
    assert rows[2] == {
        "table": "By class",
        "by": "class",
        "part": "ant",
        "column": "restored",
        "value": "20.0",
        "difference": "−30.0",
        "interval": "−41.0 to −8.0",
    }
    assert [row["value"] for row in rows] == ["3", "50", "20.0", "9", "10", "", "5", "30", "60"]


def test_time_against_gain_has_a_point_for_each_and_escapes_names():
    costs = [
        Cost(EVIL, "small", 0.2, 0.1, 7.0, 5.0, 9.0, "mAP"),
        Cost("b", "nano", 0.05, 0.1, -1.0, None, None, "mAP"),
    ]
    drawn = scatter(costs)
    read = Reader(drawn)
    circles = [attributes for tag, attributes in read.tags if tag == "circle"]
    assert len(circles) == 2
    assert float(circles[1]["cx"]) < float(circles[0]["cx"])  # less time, further left
    assert float(circles[1]["cy"]) > float(circles[0]["cy"])  # less gain, further down
    assert "script" not in [tag for tag, _ in read.tags]
    assert scatter([Cost("a", "b", 0.0, 0.1, 7.0, None, None, "mAP")]) == ""
