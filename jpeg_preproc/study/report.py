"""A study's page, and what stands beside it: Markdown, figures for print, and parts as CSV."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from jpeg_preproc.distributed import ALONE
from jpeg_preproc.errors import JpegPreprocError
from jpeg_preproc.io import write_text_atomic
from jpeg_preproc.report import console
from jpeg_preproc.report.page import part_rows, render_markdown, render_page
from jpeg_preproc.report.page.render import check_packages
from jpeg_preproc.report.plots import plot_metric
from jpeg_preproc.report.tables import csv_text
from jpeg_preproc.study.comparison_rows import ComparisonRow, ModelResults
from jpeg_preproc.study.gallery import gallery
from jpeg_preproc.study.jobs import JobsRun
from jpeg_preproc.study.page import study_page
from jpeg_preproc.study.prepare import RunOptions, bar_of_first

_FILES = {
    "all rows": "results.csv",
    "all comparisons": "comparisons.csv",
    "classes and sizes": "parts.csv",
    "all rows and how they were measured": "results.json",
}


def write_report(
    title: str,
    run: JobsRun,
    options: RunOptions,
    comparisons: Sequence[ComparisonRow],
    record: Mapping[str, Any],
    folder: Path,
) -> list[Path]:
    """Write ``report.html``, ``report.md``, ``parts.csv`` and the curves as SVG and PDF.

    Returned are the files; what has neither classes nor sizes leaves no ``parts.csv``.

    Args:
        title: What the study asks.
        run: What came of its cells.
        options: How it was measured.
        comparisons: What the study makes of it.
        record: What is known of the run beside its figures; see
            :func:`~jpeg_preproc.study.results.record`.
        folder: Folder of the files.

    Raises:
        JpegPreprocError: jinja2 is not installed, an image cannot be read any more, or a model
            fails on one.
    """
    check_packages()
    results = [result for one in run.runs if one.rows for result in ModelResults.of(one)]
    with bar_of_first("making the page", options, ALONE) as bar:
        step = bar.add_task("", total=None)
        pictures = gallery(
            run.tasks,
            run.runs,
            run.settings,
            on_picture=lambda name: bar.update(step, advance=1, description=name),
        )
    plots = _plots(run, folder)
    drawn = next((path.read_text("utf-8") for path in plots if path.suffix == ".svg"), "")
    page = study_page(title, run, results, comparisons, pictures, record, drawn)
    parts = [*part_rows(page)]
    tables = [write_text_atomic(folder / "parts.csv", csv_text(parts))] if parts else []
    beside = {
        **{f"curves, {path.suffix[1:].upper()}": path.name for path in plots},
        **{what: name for what, name in _FILES.items() if (folder / name).is_file()},
    }
    return [
        write_text_atomic(folder / "report.html", render_page(page)),
        write_text_atomic(folder / "report.md", render_markdown(page, beside)),
        *tables,
        *plots,
    ]


def _plots(run: JobsRun, folder: Path) -> list[Path]:
    """Write the curves for print; without matplotlib, or without a curve, there are none."""
    rows = [row for row in run.rows if not row.is_finer]
    try:
        return [
            plot_metric(
                *(rows, "value", folder / f"accuracy.{kind}"),
                *("Accuracy over the strength of corruption", "mAP, mIoU or top-1 (%)"),
            )
            for kind in ("svg", "pdf")
        ]
    except JpegPreprocError as error:
        console(stderr=True).print_line(f"no figures for print: {error}")
        return []
