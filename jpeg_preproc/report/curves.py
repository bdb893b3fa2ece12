"""A training's curves, from the scalars that mmengine's log leaves in the work directory."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

from jpeg_preproc.errors import JpegPreprocError
from jpeg_preproc.report.plots import COLOURS, new_figure, save_figure, tidy

#: Step -> name -> value, ascending.
Scalars = dict[int, dict[str, float]]


def read_scalars(work_dir: str | os.PathLike[str]) -> Scalars:
    """Return what a training logged, over all its runs.

    A resumed run goes on from its checkpoint: what an earlier one logged beyond it is dropped.

    Raises:
        JpegPreprocError: There is no log, or a line of it is no record.
    """
    logs = sorted(Path(work_dir).glob("*/vis_data/scalars.json"))
    if not logs:
        raise JpegPreprocError(
            f"{work_dir}: no */vis_data/scalars.json; give the --work-dir of a training"
        )
    scalars: Scalars = {}
    for log in logs:
        run: Scalars = {}
        for number, line in enumerate(log.read_text().splitlines(), start=1):
            try:
                record = json.loads(line)
                step = int(record["step"])
            except (ValueError, TypeError, KeyError) as error:
                raise JpegPreprocError(
                    f"{log}, line {number}: no record of mmengine's log ({error}); "
                    "mend or remove the line"
                ) from error
            run.setdefault(step, {}).update(record)
        if run:
            kept = {step: values for step, values in scalars.items() if step < min(run)}
            scalars = {**kept, **dict(sorted(run.items()))}
    return scalars


def plot_training(
    work_dir: str | os.PathLike[str], path: str | os.PathLike[str], title: str
) -> Path:
    """Draw losses over steps, and the validation's PSNR gain where there is one, and write it.

    Args:
        work_dir: Work directory of the training, as ``jpeg-preproc train`` leaves it.
        path: File to write; ends in ``.png``, ``.svg`` or ``.pdf``.
        title: Text above both panels.

    Raises:
        JpegPreprocError: There is no log, nothing in it to draw, or matplotlib is not installed.
    """
    scalars = read_scalars(work_dir)
    names = dict.fromkeys(name for values in scalars.values() for name in values)
    losses = [name for name in names if name.startswith("loss") or name.endswith("loss")]
    gains = [name for name in names if re.fullmatch(r"psnr/qf\d+_gain", name)]
    if not losses:
        raise JpegPreprocError(f"{work_dir}: no loss in the log to draw in {path}")
    panels = [("loss, mean of the last 50 steps", losses, "log")]
    if gains:
        panels.append(("validation: PSNR over the JPEG input, dB", gains, "linear"))
    figure, axes = new_figure(len(panels), title)
    for axis, (heading, lines, scale) in zip(axes, panels, strict=True):
        for index, name in enumerate(lines):
            points = [(step, values[name]) for step, values in scalars.items() if name in values]
            colour = COLOURS[index % len(COLOURS)]
            marker = "o" if lines is gains else None
            axis.plot(*zip(*points, strict=True), color=colour, marker=marker, label=_label(name))
        axis.set_yscale(scale)
        axis.set_xlabel("step", fontsize=11)
        axis.set_title(heading, fontsize=11, loc="left")
        axis.legend(frameon=False, fontsize=9)
        tidy(axis)
    return save_figure(figure, path)


def _label(name: str) -> str:
    """Return a scalar's name as the legend has it."""
    gain = re.fullmatch(r"psnr/qf(\d+)_gain", name)
    return f"QF {gain[1]}" if gain else name.removeprefix("loss_").replace("_", " ")
