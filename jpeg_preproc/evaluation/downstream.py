"""How much accuracy a model loses to JPEG and how much restoration gives back.

A task (a model with its test set) is measured under a list of conditions: the original images,
the images compressed at each QF, and those restored by each restorer. This module knows the
conditions, their order, what makes a finished one reusable, and what is computed from them; how a
task measures is the business of :mod:`jpeg_preproc.openmmlab` and of
:mod:`jpeg_preproc.evaluation.onnx`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Protocol

from jpeg_preproc.distributed import ALONE, Processes
from jpeg_preproc.errors import JpegPreprocError, LauncherError
from jpeg_preproc.stats.bootstrap import Interval, interval, recovery_interval
from jpeg_preproc.evaluation.conditions import JPEG, ORIGINAL, Condition, JpegSettings
from jpeg_preproc.evaluation.stages import Seconds, add_seconds
from jpeg_preproc.evaluation.store import codec_version
from jpeg_preproc.io import sha256_bytes, write_json_atomic

# Of whatever a task draws at random.
SEED = 0


@dataclass(frozen=True)
class Figure:
    """A metric's value.

    Attributes:
        metric: ``'mAP'`` or ``'mIoU'``.
        value: In percentage points.
        replicates: The same of the bootstrap's draws, see
            :mod:`~jpeg_preproc.stats.bootstrap`; ``None`` if the metric is not known there.
    """

    metric: str
    value: float
    replicates: tuple[float, ...] | None


@dataclass(frozen=True)
class Measurement:
    """What a task measured under one condition.

    Attributes:
        metric: ``'mAP'`` or ``'mIoU'``.
        value: Of the metric, in percentage points, 0-100.
        images: How many were evaluated.
        seconds: How long it took.
        all_metrics: Everything the model's own metrics reported, in their own units.
        replicates: ``value`` of the bootstrap's draws of the images, see
            :mod:`~jpeg_preproc.stats.bootstrap`; ``None`` if the metric is not known there.
        stages: What took this long, in all processes together; see
            :mod:`~jpeg_preproc.evaluation.stages`.
    """

    metric: str
    value: float
    images: int
    seconds: float
    all_metrics: dict[str, float]
    replicates: Sequence[float] | None
    stages: Seconds = field(default_factory=dict)


class Task(Protocol):
    """A model with its test set.

    :class:`jpeg_preproc.openmmlab.evaluation.task.OpenMMLabTask` is one, and
    :class:`jpeg_preproc.evaluation.onnx.OnnxTask`.

    Attributes:
        dataset: Short name of the test data.
        model: Short name of the model.
        images: How many are evaluated.
        fingerprint: What the result depends on besides the condition, as JSON values.
        stages: How long it took to get ready, in all processes together.
    """

    dataset: str
    model: str
    images: int
    fingerprint: dict[str, Any]
    stages: Seconds

    @property
    def skipped(self) -> Sequence[dict[str, str]]:
        """``{'file': ..., 'reason': ...}`` of each image that cannot be evaluated."""

    def measure(
        self,
        condition: Condition,
        settings: JpegSettings,
        name: str,
        on_image: Callable[[], None] | None = None,
    ) -> Measurement:
        """Evaluate the model on the images as a condition makes them.

        Args:
            condition: What they go through.
            settings: How it compresses and restores.
            name: Of the condition, for files that are kept.
            on_image: Called after each image, of those of the other processes too.

        Raises:
            JpegPreprocError: The condition cannot be measured.
        """

    def stages_alone(self, condition: Condition, settings: JpegSettings) -> Seconds:
        """Return how long each stage of an image's way takes where nothing else runs between.

        Args:
            condition: What the images go through.
            settings: How it compresses and restores.

        Raises:
            JpegPreprocError: The condition cannot be measured.
        """


def condition_key(
    task: Task, condition: Condition, settings: JpegSettings, version: str
) -> dict[str, Any]:
    """Return all that a condition's result depends on; equal keys, equal result.

    Args:
        task: Gives its :attr:`Task.fingerprint`.
        condition: What is measured.
        settings: How it compresses and restores.
        version: Of this package.
    """
    key: dict[str, Any] = {
        "task": {"dataset": task.dataset, "model": task.model, **task.fingerprint},
        "qf": condition.qf,
        "version": version,
    }
    if condition.qf is not None:
        key["encoder"] = codec_version()
        key["subsampling"] = settings.subsampling
    if condition.restorer is not None:
        key["restorer"] = asdict(condition.restorer)
        if not condition.restorer.consistent:  # so that results of earlier versions are still used
            del key["restorer"]["consistent"]
        key["restorer_device"] = settings.device.partition(":")[0]
        key["restorer_dtype"] = settings.dtype
        if settings.where != "pipeline":
            key["restorer_where"] = settings.where
    return key


class ConditionStore:
    """Finished conditions on disk, one JSON file each, so that a killed run goes on.

    Args:
        folder: Where they lie; made when the first one is stored.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def name(self, key: Mapping[str, Any]) -> str:
        """Return the file name, without ending, of a condition's result."""
        restorer = key.get("restorer", {}).get("label", JPEG if key["qf"] else ORIGINAL)
        parts = [key["task"]["dataset"], key["task"]["model"], restorer]
        parts += [f"qf{key['qf']}"] if key["qf"] else []
        digest = sha256_bytes(json.dumps(key, sort_keys=True).encode())[:8]
        return "-".join(re.sub(r"[^\w.]+", "_", part) for part in [*parts, digest])

    def load(self, key: Mapping[str, Any]) -> Measurement | None:
        """Return the stored result of ``key``; ``None`` if there is none or it is unreadable."""
        try:
            document = json.loads((self.folder / f"{self.name(key)}.json").read_text("utf-8"))
            return Measurement(**document["result"]) if document["key"] == key else None
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def save(self, key: Mapping[str, Any], result: Measurement) -> Path:
        """Store a result, whole or not at all."""
        document = {"key": key, "result": asdict(result)}
        return write_json_atomic(self.folder / f"{self.name(key)}.json", document)


@dataclass(frozen=True)
class Outcome:
    """What came of the conditions of one task.

    Attributes:
        rows: One per finished condition: ``dataset, model, metric, qf, restorer, value, recovery,
            images, seconds``, and the 95 % bootstrap intervals ``value_low, value_high,
            recovery_low, recovery_high``, ``None`` where there is none.
        failed: ``{'file': condition, 'reason': ...}`` of each that could not be measured.
        reused: How many were there from an earlier run.
        stages: How long the others took, by stage.
    """

    rows: list[dict[str, Any]]
    failed: list[dict[str, str]]
    reused: int
    stages: Seconds


def run_task(
    task: Task,
    conditions: Sequence[Condition],
    store: ConditionStore,
    settings: JpegSettings,
    version: str,
    on_image: Callable[[str], None] | None = None,
    processes: Processes = ALONE,
) -> Outcome:
    """Measure what is not stored yet and return the rows of all conditions.

    A condition that fails with one of this package's errors is recorded, and the rest goes on.
    Several processes make the same call; what is stored is read and written by the first.

    Args:
        task: The model with its test set.
        conditions: As :func:`plan` gives them.
        store: Where finished ones lie.
        settings: How to compress and restore.
        version: Of this package.
        on_image: Called with the condition's title after each image measured, and as often for
            one that was reused.
        processes: Those that share the images; the task knows them too.

    Raises:
        LauncherError: Another process has ended.
    """
    results: list[tuple[Condition, Measurement]] = []
    failed: list[dict[str, str]] = []
    reused = 0
    spent: list[Seconds] = []
    for condition in conditions:
        key = condition_key(task, condition, settings, version)
        title = f"{task.model}: {condition.title}"

        def advance(title: str = title) -> None:
            if on_image:
                on_image(title)

        measured = processes.first(lambda key=key: store.load(key))  # type: ignore[misc]
        if measured is not None:
            reused += 1
            for _ in range(measured.images):
                advance()
        else:
            try:
                measured = task.measure(condition, settings, store.name(key), advance)
            except LauncherError:
                raise
            except JpegPreprocError as error:
                failed.append({"file": title, "reason": str(error)})
                continue
            if processes.is_first:
                store.save(key, measured)
            spent.append(measured.stages)
        results.append((condition, measured))
    return Outcome(_rows(task, results), failed, reused, add_seconds(spent))


def advance(
    on_image: Callable[[], None] | None, position: int, images: int, processes: Processes
) -> None:
    """Call ``on_image`` for one image of a process's share, and for those of the others beside it.

    Args:
        on_image: What counts them.
        position: Of the image in the share, from 0.
        images: How many all have.
        processes: Those that share them.
    """
    if on_image:
        for _ in range(min(processes.size, images - position * processes.size)):
            on_image()


def recovery(original: float, compressed: float, restored: float) -> float | None:
    """Return the share of the loss that restoration gives back: 1 is all of it.

    Not clipped: negative where restoration harms, above 1 where it beats the original. ``None``
    where compression costs nothing, or on these images happens to help: there is nothing to give
    back, and the quotient would praise harm.

    >>> recovery(28.0, 20.0, 26.0)
    0.75
    """
    loss = original - compressed
    return (restored - compressed) / loss if loss > 0 else None


def _rows(task: Task, results: Sequence[tuple[Condition, Measurement]]) -> list[dict[str, Any]]:
    """Return the rows in the order of the table: original, JPEG, then each restorer."""
    by_condition = {(done.label, done.qf): result for done, result in results}
    original = by_condition.get((ORIGINAL, None))
    rows = []
    for condition, result in results:
        compressed = by_condition.get((JPEG, condition.qf))
        share = None
        around_value = interval(result.replicates, result.value) if result.replicates else None
        around_share = None
        if condition.restorer is not None and original is not None and compressed is not None:
            share = recovery(original.value, compressed.value, result.value)
            drawn = (original.replicates, compressed.replicates, result.replicates)
            if share is not None and drawn[0] and drawn[1] and drawn[2]:
                around_share = recovery_interval(drawn[0], drawn[1], drawn[2], share)
        rows.append(
            {
                "dataset": task.dataset,
                "model": task.model,
                "metric": result.metric,
                "qf": condition.qf,
                "restorer": condition.label,
                "value": result.value,
                "recovery": share,
                "images": result.images,
                "seconds": result.seconds,
                **_bounds("value", around_value),
                **_bounds("recovery", around_share),
            }
        )
    labels = list(dict.fromkeys(row["restorer"] for row in rows))
    return sorted(rows, key=lambda row: (labels.index(row["restorer"]), row["qf"] or 0))


def _bounds(name: str, around: Interval | None) -> dict[str, float | None]:
    """Return the columns of an interval."""
    low, high = around or (None, None)
    return {f"{name}_low": low, f"{name}_high": high}
