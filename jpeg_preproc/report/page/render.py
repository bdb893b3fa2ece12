"""A page as HTML and as Markdown."""

from __future__ import annotations

import base64
import csv
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from jpeg_preproc.errors import JpegPreprocError
from jpeg_preproc.io import sha256_bytes
from jpeg_preproc.report.page.content import Cell, Chart, Gallery, Page, Picture
from jpeg_preproc.report.page.scatter import scatter
from jpeg_preproc.report.rows import FlatRow
from jpeg_preproc.report.tables import Table, markdown_table, printable

_FILES = Path(__file__).resolve().parent / "files"
VENDOR = Path(__file__).resolve().parents[1] / "vendor"
#: In this order they become the page's scripts and styles.
_SCRIPTS = ("theme.js", "tables.js", "charts.js", "gallery.js")


def check_packages() -> None:
    """Check that what renders a page is installed.

    Raises:
        JpegPreprocError: It is not.
    """
    try:
        import jinja2  # noqa: F401
    except ImportError as error:
        raise JpegPreprocError(
            f"a page needs jinja2 ({error}); pip install 'jpeg_preproc[report]', or --no-report"
        ) from error


def vendor_table() -> list[dict[str, str]]:
    """Return the vendored files: ``file, package, version, licence, source, sha256`` of each."""
    with (VENDOR / "vendor.csv").open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def render_page(page: Page) -> str:
    """Return the page as one HTML file that requests nothing.

    Args:
        page: What it shows. Every text is escaped, in the markup and in the block of JSON.

    Raises:
        JpegPreprocError: jinja2 is not installed.
    """
    check_packages()
    from jinja2 import Environment, FileSystemLoader, StrictUndefined
    from markupsafe import Markup

    environment = Environment(
        loader=FileSystemLoader(_FILES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["printable"] = printable
    template = environment.get_template("page.html.jinja")
    licences = [row for row in vendor_table() if row["file"].endswith("LICENSE")]
    return template.render(
        page=page,
        data=_data(page),
        scatter=Markup(scatter(page.costs)) if len(page.costs) > 1 else "",
        plot=base64.b64encode(page.plot.encode()).decode(),
        styles=Markup("\n").join(
            Markup(_read(name)) for name in ("uPlot.min.css", "img-comparison-slider.css")
        )
        + Markup((_FILES / "page.css").read_text("utf-8")),
        vendor=Markup("\n").join(
            Markup(_read(name)) for name in ("uPlot.iife.min.js", "img-comparison-slider.js")
        ),
        scripts=Markup("\n").join(Markup((_FILES / name).read_text("utf-8")) for name in _SCRIPTS),
        vendored=licences,
        licences=Markup("\n").join(
            Markup("<!-- {}: {} -->").format(
                row["package"], (VENDOR / row["file"]).read_text("utf-8")
            )
            for row in licences
        ),
    )


@cache
def _read(name: str) -> str:
    """Return a vendored file as it is put into a page, without the note where its source lies.

    Raises:
        JpegPreprocError: It is not the file that was vendored.
    """
    data = (VENDOR / name).read_bytes()
    (expected,) = (row["sha256"] for row in vendor_table() if row["file"] == name)
    if sha256_bytes(data) != expected:
        raise JpegPreprocError(
            f"{VENDOR / name} has another SHA-256 than vendor.csv says; install jpeg_preproc anew"
        )
    text, _, _ = data.decode("utf-8").partition("//# sourceMappingURL=")
    return text


def _data(page: Page) -> dict[str, Any]:
    """Return what the page's scripts need, as JSON values."""
    blobs: dict[str, dict[str, str]] = {}
    return {
        "charts": [None if one.chart is None else _chart(one.chart) for one in page.figures],
        "gallery": [_picture(one, blobs) for one in page.gallery.pictures],
        "blobs": blobs,
    }


def _chart(chart: Chart) -> dict[str, Any]:
    return {
        "unit": chart.unit,
        "level": chart.level,
        "axes": [
            {
                "name": axis.name,
                "log": axis.is_log,
                "lines": [{"name": line.name, "points": line.points} for line in axis.lines],
            }
            for axis in chart.axes
        ],
    }


def _picture(picture: Picture, blobs: dict[str, dict[str, str]]) -> dict[str, Any]:
    """Return an image of the gallery; its files are put among the ``blobs``, equal ones once."""

    def kept(data: bytes, mime: str) -> str | None:
        if not data:
            return None
        name = sha256_bytes(data)[:16]
        blobs.setdefault(name, {"mime": mime, "base64": base64.b64encode(data).decode()})
        return name

    return {
        "name": printable(picture.name),
        "model": picture.model,
        "condition": picture.condition,
        "helped": picture.helped,
        "change": picture.change,
        "classes": picture.classes,
        "counts": picture.counts,
        "size": picture.size,
        "views": [
            {
                "side": view.side,
                "title": view.title,
                "note": view.note,
                "blob": kept(view.data, view.mime),
                "mask": kept(view.mask, "image/png"),
                "place": view.place,
                "boxes": [
                    {
                        "state": box.state,
                        "label": printable(box.label),
                        "score": box.score,
                        "place": box.place,
                    }
                    for box in view.boxes
                ],
            }
            for view in picture.views
        ],
        "crops": [
            {"label": printable(crop.label), "at": [crop.left, crop.top, crop.side]}
            for crop in picture.crops
        ],
    }


def render_markdown(page: Page, files: Mapping[str, str]) -> str:
    """Return the page's words and tables as Markdown.

    Args:
        page: What it shows.
        files: Names of files beside it that are linked to, by what they are.
    """
    parts = [f"# {_text(page.title)}", *map(_text, page.sentences)]
    if page.caveat:
        parts.append(f"> {_text(page.caveat)}")
    parts += [f"![{_text(what)}]({name})" for what, name in files.items() if name.endswith(".svg")]
    for figures in page.figures:
        lines = tuple(
            (
                name,
                *map(_cell, cells),
            )
            for name, cells in figures.table.lines
        )
        table = Table("", ("", *figures.table.columns), lines)
        parts += [
            f"## {_text(figures.heading)}",
            f"{_text(figures.subheading)} {_text(figures.table.note)}",
            markdown_table(table).rstrip(),
        ]
    for table in page.comparisons:
        parts += [f"## {_text(table.title)}", markdown_table(table).rstrip()]
    for by_class in page.classes:
        rows = tuple((name, *map(_number, values)) for name, values in by_class.rows)
        parts += [
            f"## {_text(by_class.heading)}",
            _text(by_class.note),
            markdown_table(Table("", by_class.columns, rows)).rstrip(),
        ]
    parts += _gallery_list(page.gallery)
    for facts in page.facts:
        parts += [
            f"## {_text(facts.heading)}",
            "\n".join(f"- {_text(name)}: {_text(value)}" for name, value in facts.entries),
        ]
    sentence, bibtex = page.citation
    parts += ["## How to cite", _text(sentence), f"```bibtex\n{bibtex}\n```"]
    parts.append("\n".join(f"- {_text(what)}: [{name}]({name})" for what, name in files.items()))
    return "\n\n".join(parts) + "\n"


def part_rows(page: Page) -> Iterator[FlatRow]:
    """Yield the figures of the tables by class and by size, one to a row."""
    for table in page.classes:
        for part, values in table.rows:
            for column, value in zip(table.columns[1:], values, strict=True):
                cell = (
                    value
                    if isinstance(value, Cell)
                    else Cell("" if value is None else f"{value:.6g}")
                )
                yield {
                    "table": table.heading,
                    "by": table.columns[0],
                    "part": part,
                    "column": column,
                    "value": cell.text,
                    "difference": cell.change,
                    "interval": cell.bounds,
                }


def _gallery_list(gallery: Gallery) -> list[str]:
    if not gallery.pictures:
        return []
    lines = [
        f"- {_text(one.name)}, {_text(one.model)}, {_text(one.condition)}: {_text(one.change)}"
        for one in gallery.pictures
    ]
    return ["## Images that changed most", _text(gallery.rule), "\n".join(lines)]


def _text(text: str) -> str:
    """Return text on one line, without anything that Markdown or HTML would act on."""
    escaped = printable(text)
    for sign in "\\`*_[]":
        escaped = escaped.replace(sign, f"\\{sign}")
    return escaped.replace("&", "&amp;").replace("<", "&lt;")


def _cell(cell: Cell) -> str:
    return " ".join(filter(None, (cell.text, cell.change, cell.bounds)))


def _number(value: float | Cell | None) -> str:
    if isinstance(value, Cell):
        return _cell(value)
    return "–" if value is None else f"{value:g}" if value == int(value) else f"{value:.1f}"
