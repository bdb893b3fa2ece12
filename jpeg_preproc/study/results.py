"""What a run leaves: its files, and what is printed of it."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from jpeg_preproc.errors import JpegPreprocError
from jpeg_preproc.evaluation.stages import breakdown
from jpeg_preproc.evaluation.task import SEED
from jpeg_preproc.evaluation.versions import versions
from jpeg_preproc.report import Table, console, print_tables, result_tables, write_results
from jpeg_preproc.report.plots import plot_metric
from jpeg_preproc.report.timing import breakdown_table
from jpeg_preproc.study.comparison_rows import ComparisonRow
from jpeg_preproc.study.jobs import JobsRun
from jpeg_preproc.study.prepare import RunOptions
from jpeg_preproc.study.run import Cell

_PROTOCOL = (
    "load, corrupt in memory as stored, restore by what is then known of the image (the last "
    "file's tables, else its pixels), turn upright, then the config's own pipeline; batch size 1; "
    "predictions are mapped back to the original's coordinates; mAP is COCO's at IoU 0.50:0.95 or "
    "VOC's at 0.50, mask mAP the same of instance masks, mIoU is of the whole set, top-1 the share "
    "of images whose class is found; IoU per image is the mean over images of each one's "
    "mean over the classes of its ground truth; F1 is with the model's own detections on the "
    "original (score from 0.3, IoU from 0.5, same class, one to one), counted over all images; "
    "value and difference (restored - corrupted) in percentage points; intervals of 95 % from 1000 "
    "draws of the images, the same in every condition"
)


def write_run(
    run: JobsRun,
    options: RunOptions,
    about: Mapping[str, Any],
    comparisons: Sequence[ComparisonRow] = (),
    folder: Path | None = None,
) -> list[Path]:
    """Write a run as JSON, CSV, Markdown and a plot; return the files.

    Without matplotlib there is no plot, which is said.

    Args:
        run: What came of it.
        options: How it was measured.
        about: What else the record is to hold, such as the command.
        comparisons: What a study makes of it.
        folder: Folder of the files; ``options.out`` if not given.
    """
    folder = folder or options.out
    files = write_results(folder, record(run, options, about), run.rows, comparisons)
    written = list(files.values())
    try:
        plot = folder / "accuracy.png"
        title = "Accuracy over the strength of corruption"
        rows = [row for row in run.rows if not row.is_finer]
        written.append(plot_metric(rows, "value", plot, title, "mAP, mIoU or top-1 (%)"))
    except JpegPreprocError as error:
        console(stderr=True).print_line(f"no plot: {error}")
    return written


def record(run: JobsRun, options: RunOptions, about: Mapping[str, Any]) -> dict[str, Any]:
    """Return all that one needs to know of a run beside its rows, as JSON values."""
    corruptions = dict.fromkeys(condition.corruption for condition in run.conditions)
    restorers = dict.fromkeys(condition.restorer for condition in run.conditions)
    return {
        **about,
        "started": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(run.started)),
        "protocol": _PROTOCOL,
        "corruptions": [corruption.key() for corruption in corruptions if corruption is not None],
        "restorers": [restorer.label for restorer in restorers if restorer is not None],
        "device": options.device,
        "dtype": options.dtype,
        "where": options.where,
        "seed": SEED,
        "limit": options.limit,
        "models": [
            {"dataset": task.dataset, "model": task.model, **task.fingerprint} for task in run.tasks
        ],
        "skipped": run.skipped,
        "failed": run.failed,
        "outdated": run.outdated,
        "versions": versions(),
        "breakdown": breakdown(run.stages, run.seconds),
    }


def print_run(
    run: JobsRun,
    alone: Mapping[str, tuple[float, float]] | None = None,
    comparisons: Sequence[ComparisonRow] = (),
) -> None:
    """Print the tables of a run, what took the time, and what was stored already.

    Args:
        run: What came of it.
        alone: Seconds of each stage measured alone, to compare with.
        comparisons: What a study makes of it.
    """
    tables = [*result_tables(run.rows), *result_tables(comparisons)]
    print_tables([*tables, breakdown_table(breakdown(run.stages, run.seconds), alone)])
    if run.reused:
        console().print(f"{run.reused} condition(s) were there from an earlier run")
    notes = console(stderr=True)
    if run.outdated:
        notes.print(f"Measured {len(run.outdated)} condition(s) again, because of what changed:")
    for line in run.outdated:
        notes.print_line(f"  {line}")


def print_left_out(run: JobsRun) -> bool:
    """Print which images and conditions no row includes, and tell whether there are any."""
    notes = console(stderr=True)
    lists = ((run.skipped, "image(s), in every condition"), (run.failed, "condition(s)"))
    for entries, what in lists:
        if entries:
            notes.print(f"Left out {len(entries)} {what}:")
        for entry in entries:
            named = entry["file"] in entry["reason"]
            text = entry["reason"] if named else f"{entry['file']}: {entry['reason']}"
            notes.print_line(f"  {text}")
    return bool(run.skipped or run.failed)


def cell_table(cells: Sequence[Cell]) -> Table:
    """Return the table of a dry run: the cells, and what all of them will take."""
    missing = [cell for cell in cells if not cell.stored]
    lines = [
        (
            f"{cell.dataset}: {cell.model}",
            cell.condition,
            "stored" if cell.stored else _duration(cell.seconds),
            cell.note,
        )
        for cell in cells
    ]
    known = sum(cell.seconds for cell in missing if not math.isnan(cell.seconds))
    total = (f"{len(cells)} cells", f"{len(missing)} to measure", _duration(known), "")
    return Table("What is to be done", ("model", "condition", "time", "note"), (*lines, total))


def _duration(seconds: float) -> str:
    """Return a time as people say it."""
    if math.isnan(seconds):
        return "not known"
    if seconds < 60:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes // 60} h {minutes % 60:02d} min" if minutes >= 60 else f"{minutes} min"
