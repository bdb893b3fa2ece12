"""Trainings one after another in a given time, in calls that may each be short.

A large GPU may be lent for half an hour, in commands of ten minutes, with nothing but what is
carried to it. Steps are timed at the start of each training, so that its learning rate falls to
nothing just when its share of the time is over.
"""

from __future__ import annotations

import io
import os
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmengine.hooks import Hook
from PIL import Image

from jpeg_preproc.errors import TrainingError
from jpeg_preproc.io import write_bytes_atomic, write_json_atomic
from jpeg_preproc.jpeg import load_image
from jpeg_preproc.training.data import ImageFolder
from jpeg_preproc.training.run import build_runner

# Steps that are timed, of which the first half, in which kernels are chosen, does not count.
_TIMED = 40
#: Where a taught restorer's config finds its teacher, and all of them the images.
TEACHER_VARIABLE, PACKED_VARIABLE = "JPEG_PREPROC_TEACHER", "JPEG_PREPROC_PACKED"


@dataclass(frozen=True)
class Stage:
    """One training of several.

    Attributes:
        config: Its config.
        share: Its share of the time, 0-1.
        weights: Name of the weights that it leaves in its work directory, as its config says.
    """

    config: Path
    share: float
    weights: str

    def folder(self, work_dir: Path) -> Path:
        """Return its work directory below that of all."""
        return work_dir / self.config.stem


def pack(
    train: Sequence[ImageFolder],
    val: ImageFolder,
    out: Path,
    most_bytes: int,
    on_image: Callable[[int], None] | None = None,
) -> dict[str, int]:
    """Write clean images as small files, for a machine that nothing can be fetched from.

    What is not reduced is copied; what is reduced becomes WebP of quality 97. Folders take turns,
    so that each gets about the same room.

    Args:
        train: Where the training images are.
        val: Where the images for validation are; all of them are taken.
        out: Folder, with ``train`` and ``val`` in it.
        most_bytes: How much all may take.
        on_image: Called with the bytes written so far after each image.

    Returns:
        How many images and bytes there are, by ``'images'`` and ``'bytes'``.

    Raises:
        ImageReadError: A folder without images, or an image that cannot be read.
        TrainingError: The images for validation alone take more.
    """
    written = [_write(path, val, out / "val") for path in val.paths()]
    total = sum(written)
    if total > most_bytes:
        raise TrainingError(
            f"the images of {val.folder} alone take {total} bytes of {most_bytes}; allow more"
        )
    waiting = [(folder, iter(folder.paths())) for folder in train]
    while waiting:
        folder, paths = waiting.pop(0)
        path = next(paths, None)
        if path is None:
            continue
        size = _write(path, folder, out / "train")
        if total + size > most_bytes:
            _packed(path, folder, out / "train").unlink()
            break
        written.append(size)
        total += size
        if on_image:
            on_image(total)
        waiting.append((folder, paths))
    return {"images": len(written), "bytes": total}


def train_stages(
    stages: Sequence[Stage],
    work_dir: Path,
    seconds: float,
    deadline: float = float("inf"),
    steps: int | None = None,
    cfg_options: Mapping[str, Any] | None = None,
    on_stage: Callable[[Stage, int], None] | None = None,
) -> list[Path]:
    """Train one after another, and go on where an earlier call stopped.

    The first is the teacher of the others.

    Args:
        stages: What to train.
        work_dir: Each has a folder in it.
        seconds: How long all may take, over all calls.
        deadline: When this call has to end, as of ``time.monotonic()``; it ends at the last
            checkpoint before, and what came after that is done again.
        steps: Train each for so many steps instead.
        cfg_options: Dotted keys of the configs and their new values.
        on_stage: Called with each stage and its steps before it runs.

    Returns:
        The weights that are finished; of fewer stages than there are if the time was over.

    Raises:
        TrainingError: A config cannot be read, or there is time for no more than its first steps.
    """
    finished: list[Path] = []
    for stage in stages:
        folder = stage.folder(work_dir)
        weights = folder / f"{stage.weights}.safetensors"
        done = folder / "done"
        if finished:
            os.environ[TEACHER_VARIABLE] = str(finished[0].resolve())
        if not done.exists():
            count = steps or _steps_in(stage, folder, stage.share * seconds, cfg_options)
            if on_stage:
                on_stage(stage, count)
            options = {**_schedule(count), **(cfg_options or {})}
            runner = build_runner(
                str(stage.config), str(folder), resume=True, bf16=True, cfg_options=options
            )
            runner.register_hook(_StopHook(deadline), priority="LOWEST")
            try:
                runner.train()
            except _OutOfTime:
                break
            done.touch()
        finished.append(weights)
    return finished


def _steps_in(
    stage: Stage, folder: Path, seconds: float, cfg_options: Mapping[str, Any] | None
) -> int:
    """Return how many steps a stage has in its time: as noted, or by timing a few."""
    note = folder / "steps.json"
    if note.exists():
        return int(note.read_text())
    options = {
        **_schedule(_TIMED),
        "train_cfg.val_interval": 10 * _TIMED,
        "default_hooks.checkpoint": None,
        **(cfg_options or {}),
    }
    runner = build_runner(str(stage.config), str(folder / "timing"), bf16=True, cfg_options=options)
    clock = _ClockHook()
    runner.register_hook(clock)
    runner.train()
    each = statistics.median(clock.seconds[_TIMED // 2 :])
    steps = int(seconds / each)
    if steps <= _TIMED:
        raise TrainingError(
            f"{stage.config}: a step takes {each:.2f} s, so that {seconds:.0f} s are over after "
            f"{steps}; give more minutes, or a smaller batch"
        )
    write_json_atomic(note, steps)
    return steps


def _schedule(steps: int) -> dict[str, Any]:
    """Return what to set so that a training takes so many steps."""
    warm = max(min(200, steps // 10), 1)
    return {
        "train_cfg.max_iters": steps,
        "train_cfg.val_interval": max(steps // 4, 1),
        "param_scheduler.0.end": warm,
        "param_scheduler.1.begin": max(steps // 3, warm),
        "param_scheduler.1.end": steps,
    }


class _ClockHook(Hook):
    """Time the steps."""

    def __init__(self) -> None:
        self.seconds: list[float] = []
        self._last = time.perf_counter()

    def after_train_iter(self, runner: Any, *args: Any, **settings: Any) -> None:
        float(settings["outputs"]["loss"])  # waits for what the GPU has to do
        now = time.perf_counter()
        self.seconds.append(now - self._last)
        self._last = now


class _OutOfTime(Exception):  # noqa: N818 - no error
    """The deadline has come."""


class _StopHook(Hook):
    """Stop at the deadline."""

    def __init__(self, deadline: float) -> None:
        self._deadline = deadline

    def after_train_iter(self, runner: Any, *args: Any, **settings: Any) -> None:
        if time.monotonic() > self._deadline:
            raise _OutOfTime


def _packed(path: Path, folder: ImageFolder, out: Path) -> Path:
    """Return where an image is written to; images of two folders may have one name."""
    suffix = path.suffix if folder.shrink == 1 else ".webp"
    return out / f"{Path(folder.folder).name}_{path.stem}{suffix}"


def _write(path: Path, folder: ImageFolder, out: Path) -> int:
    """Write one image and return its bytes."""
    if folder.shrink == 1:
        data = path.read_bytes()
    else:
        stream = io.BytesIO()
        reduced = Image.fromarray(load_image(path).pixels).reduce(folder.shrink)
        reduced.save(stream, "WEBP", quality=97)
        data = stream.getvalue()
    write_bytes_atomic(_packed(path, folder, out), data)
    return len(data)
