"""What a run leaves: its files, and what is printed of it."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jpeg_preproc.errors import JpegPreprocError
from jpeg_preproc.evaluation.stages import breakdown
from jpeg_preproc.evaluation.task import SEED
from jpeg_preproc.evaluation.versions import versions
from jpeg_preproc.report import console, print_tables, result_tables, write_results
from jpeg_preproc.report.plots import plot_metric
from jpeg_preproc.report.timing import breakdown_table
from jpeg_preproc.study.jobs import JobsRun, RunOptions

_PROTOCOL = (
    "load, corrupt in memory as stored, restore by what is then known of the image (the last "
    "file's tables, else its pixels), turn upright, then the config's own pipeline; batch size 1; "
    "predictions are mapped back to the original's coordinates; mAP is COCO's at IoU 0.50:0.95 or "
    "VOC's at 0.50, mIoU is of the whole set; value in percentage points"
)


def write_run(run: JobsRun, options: RunOptions, about: Mapping[str, Any]) -> list[Path]:
    """Write a run as JSON, CSV, Markdown and a plot; return the files.

    Without matplotlib there is no plot, which is said.

    Args:
        run: What came of it.
        options: How it was measured; the files go to ``options.out``.
        about: What else the record is to hold, such as the command.
    """
    written = list(write_results(options.out, record(run, options, about), run.rows).values())
    try:
        plot = options.out / "accuracy.png"
        title = "Accuracy over the strength of corruption"
        written.append(plot_metric(run.rows, "value", plot, title, "mAP or mIoU (%)"))
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


def print_run(run: JobsRun, alone: Mapping[str, tuple[float, float]] | None = None) -> None:
    """Print the tables of a run, what took the time, and what was stored already.

    Args:
        run: What came of it.
        alone: Seconds of each stage measured alone, to compare with.
    """
    tables = result_tables(run.rows)
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
