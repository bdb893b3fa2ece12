"""What a study measured, as the page shows it."""

from __future__ import annotations

import math
import platform
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from jpeg_preproc.corruptions import Corruption
from jpeg_preproc.demo import WHAT_IT_SHOWS
from jpeg_preproc.evaluation.conditions import CORRUPTED, JPEG, ORIGINAL
from jpeg_preproc.evaluation.task import Measurement, Task
from jpeg_preproc.report import result_tables
from jpeg_preproc.report.citation import bibtex, sentence
from jpeg_preproc.report.page import (
    Axis,
    Cell,
    Chart,
    Facts,
    Figures,
    FigureTable,
    Gallery,
    Line,
    Page,
)
from jpeg_preproc.stats.bootstrap import LEVEL, interval
from jpeg_preproc.stats.paired import Difference, paired_difference
from jpeg_preproc.study.breakdowns import classes, costs
from jpeg_preproc.study.comparison_rows import ALL, DIFFERENCE, ComparisonRow, ModelResults
from jpeg_preproc.study.jobs import JobsRun
from jpeg_preproc.study.sentences import around, loss, sentences, signed, tone_of

_BITS = "bits per pixel"
_TABLE_NOTE = (
    "In smaller print, in points: what {0} costs against the original; what restoring changes "
    "against {0} (95 % interval over images, paired; coloured where it is on one side of 0; "
    "* where p < 0.05 after Holm’s correction over the table)."
)


def study_page(
    title: str,
    run: JobsRun,
    results: Sequence[ModelResults],
    comparisons: Sequence[ComparisonRow],
    pictures: Gallery,
    record: Mapping[str, Any],
    plot: str = "",
) -> Page:
    """Return the page of a study.

    Args:
        title: What the study asks.
        run: What came of its cells.
        results: What each judge says of each model.
        comparisons: What the study makes of them.
        pictures: The images that changed most.
        record: What is known of the run beside its figures; see
            :func:`~jpeg_preproc.study.results.record`.
        plot: An SVG of the curves, for readers without scripts.
    """
    stars = {
        (*row.table, row.restorer, row.measure)
        for row in comparisons
        if row.comparison == DIFFERENCE and row.p_holm is not None and row.p_holm < 1 - LEVEL
    }
    others = [row for row in comparisons if row.comparison != DIFFERENCE or row.measure == ALL]
    is_demo = record.get("is_demo", False)
    return Page(
        title=title,
        sentences=sentences(results, comparisons),
        caveat=WHAT_IT_SHOWS if is_demo else "",
        figures=tuple(_figures(one, stars) for one in _in_order(results)),
        costs=tuple(costs(run, results)),
        classes=tuple(classes(run, results)),
        comparisons=tuple(result_tables(others)) if others else (),
        gallery=pictures,
        facts=tuple(_facts(record, run)),
        citation=(sentence(), bibtex()),
        plot=plot,
    )


def _in_order(results: Sequence[ModelResults]) -> list[ModelResults]:
    """Return the models' own metrics first; :meth:`ModelResults.of` has them before the finer."""
    places: dict[tuple[str, str], int] = {}
    keyed = []
    for one in results:
        place = places[one.dataset, one.model] = places.get((one.dataset, one.model), -1) + 1
        keyed.append((place > 0, one))
    return [one for _, one in sorted(keyed, key=lambda pair: pair[0])]


def _figures(model: ModelResults, stars: set[tuple[str, ...]]) -> Figures:
    """Return the table and the chart of what one judge says of one model."""
    corruptions = sorted(model.corrupted, key=lambda one: _place_of_axis(model, one))
    is_jpeg = all(one.kind == "jpeg" for one in corruptions)
    reference = JPEG if is_jpeg else CORRUPTED
    lines: list[tuple[str, tuple[Cell, ...]]] = []
    if model.original is not None:
        cell = Cell(f"{model.original.value:.1f}")
        lines.append((ORIGINAL, (cell,) * len(corruptions)))
    before = tuple(_cell(model.corrupted[one], loss(model, one)) for one in corruptions)
    lines.append((reference, before))
    for label, restored in model.restored.items():
        cells = []
        for one in corruptions:
            if one not in restored:
                cells.append(Cell("–"))
                continue
            after, given = restored[one], model.corrupted[one]
            change = paired_difference(after.value, given.value, after.replicates, given.replicates)
            key = (model.dataset, model.model, model.any.metric, label, model.heads[one][0])
            cells.append(_cell(after, change, "*" if key in stars else ""))
        lines.append((label, tuple(cells)))
    columns = tuple(model.heads[one][0] for one in corruptions)
    return Figures(
        heading=f"{model.model} on {model.dataset}",
        subheading=f"{model.any.metric} in points, {model.any.images} images.",
        table=FigureTable(columns, tuple(lines), _TABLE_NOTE.format("JPEG" if is_jpeg else "it")),
        chart=_chart(model, corruptions, reference),
    )


def _place_of_axis(model: ModelResults, corruption: Corruption) -> tuple[int, float]:
    axes = list(dict.fromkeys(place[0] for _, place in model.heads.values()))
    axis, place = model.heads[corruption][1]
    return axes.index(axis), place


def _cell(measured: Measurement, change: Difference, star: str = "") -> Cell:
    text = f"{measured.value:.1f}"
    if math.isnan(change.value):
        return Cell(text)
    tone = tone_of(change.low, change.high)
    bounds = around(change.low, change.high).strip(" ()")
    return Cell(text, signed(change.value) + star, bounds, tone)


def _chart(model: ModelResults, corruptions: Sequence[Corruption], reference: str) -> Chart | None:
    """Return the chart over each axis with two places, and over bits where they are known."""
    named = {reference: model.corrupted, **model.restored}
    axes: list[Axis] = []
    for axis in dict.fromkeys(model.heads[one][1][0] for one in corruptions):
        own = [one for one in corruptions if model.heads[one][1][0] == axis]
        places = {one: model.heads[one][1][1] for one in own}
        if len(set(places.values())) > 1:
            axes.append(Axis(axis, False, tuple(_lines(named, places))))
    rates = {one: 8 * (model.corrupted[one].bytes_per_pixel or 0.0) for one in corruptions}
    rates = {one: rate for one, rate in rates.items() if rate > 0}
    kinds = list(dict.fromkeys(model.heads[one][1][0] for one in rates))
    lines: list[Line] = []
    for kind in kinds:
        own_rates = {one: rate for one, rate in rates.items() if model.heads[one][1][0] == kind}
        if len(set(own_rates.values())) > 1:
            short = "" if len(kinds) == 1 else kind.partition(":")[0]
            for line in _lines(named, own_rates):
                lines.append(Line(" ".join(filter(None, (line.name, short))), line.points))
    if lines:
        axes.append(Axis(_BITS, True, tuple(lines)))
    if not axes:
        return None
    level = None if model.original is None else model.original.value
    return Chart(f"{model.any.metric} in points", level, tuple(axes))


def _lines(
    named: Mapping[str, Mapping[Corruption, Measurement]], places: Mapping[Corruption, float]
) -> Iterator[Line]:
    """Yield a line through what was measured at each place."""
    for name, measured in named.items():
        points = []
        for corruption, place in sorted(places.items(), key=lambda pair: pair[1]):
            if corruption in measured:
                one = measured[corruption]
                low, high = interval(one.replicates, one.value) if one.replicates else (None, None)
                points.append((place, one.value, low, high))
        if points:
            yield Line(name, tuple(points))


def _facts(record: Mapping[str, Any], run: JobsRun) -> Iterator[Facts]:
    """Yield how it was measured, what with, and what was left out."""
    yield Facts(
        "The run",
        (
            ("command", str(record["command"])),
            ("started", str(record["started"])),
            ("page made", time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())),
            ("protocol", str(record["protocol"])),
            ("seed", str(record["seed"])),
            (
                "device, precision, place",
                f"{record['device']}, {record['dtype']}, {record['where']}",
            ),
            ("limit", "all images" if record["limit"] is None else f"{record['limit']} images"),
            ("cells from earlier runs", f"{run.reused} of {len(run.tasks) * len(run.conditions)}"),
        ),
    )
    yield Facts("Models and data (SHA-256)", tuple(_fingerprints(run.tasks)))
    restorers = dict.fromkeys(one.restorer for one in run.conditions if one.restorer is not None)
    yield Facts(
        "Restorers (SHA-256 of the weights)",
        tuple(
            (one.label, f"{one.sha256}, quality from {one.quality_source}")
            for one in restorers
            if one is not None
        ),
    )
    yield Facts(
        "Versions",
        (*record["versions"].items(), ("system", platform.platform()), ("processor", _processor())),
    )
    left_out = [*run.skipped, *run.failed]
    if left_out:
        yield Facts("Left out", tuple((one["file"], one["reason"]) for one in left_out))


def _fingerprints(tasks: Sequence[Task]) -> Iterator[tuple[str, str]]:
    for task in tasks:
        for name, value in task.fingerprint.items():
            yield f"{task.model} on {task.dataset}: {name}", str(value)


def _processor() -> str:
    """Return what Linux says the processor is, else what Python does."""
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8", "replace").splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return f"{names[0]}, {len(names)} threads" if names else platform.processor()
