"""A task under a list of conditions: what is stored is used again, the rest is measured."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from jpeg_preproc.distributed import ALONE, Processes
from jpeg_preproc.errors import JpegPreprocError, LauncherError
from jpeg_preproc.evaluation.condition_store import ConditionStore, Stored, condition_key
from jpeg_preproc.evaluation.conditions import Condition, RestoreSettings
from jpeg_preproc.evaluation.rows import DownstreamRow, downstream_rows
from jpeg_preproc.evaluation.stages import Seconds, add_seconds
from jpeg_preproc.evaluation.task import Measurement, Task


@dataclass(frozen=True)
class TaskRun:
    """What came of the conditions of one task.

    Attributes:
        rows: One for each finished condition.
        failed: ``{'file': condition, 'reason': ...}`` of each that could not be measured.
        reused: How many were there from an earlier run.
        outdated: A line for each that was there, but had to be measured again, with the reason.
        stages: How long those measured took, by stage.
        results: The finished conditions and what came of each, in the order of the conditions.
    """

    rows: list[DownstreamRow]
    failed: list[dict[str, str]]
    reused: int
    outdated: list[str]
    stages: Seconds
    results: list[tuple[Condition, Measurement]]


def run_task(
    task: Task,
    conditions: Sequence[Condition],
    store: ConditionStore,
    settings: RestoreSettings,
    on_image: Callable[[str], None] | None = None,
    processes: Processes = ALONE,
) -> TaskRun:
    """Measure what is not stored yet and return the rows of all conditions.

    A condition that fails with one of this package's errors is recorded, and the rest goes on.
    Several processes make the same call; what is stored is read and written by the first.

    Args:
        task: The model with its test set.
        conditions: Conditions in the order of :func:`~.conditions.plan`.
        store: Where finished ones lie.
        settings: How restorers run.
        on_image: Called with the condition's title after each image measured, and as often for
            one that was reused.
        processes: Those that share the images; the task knows them too.

    Raises:
        LauncherError: Another process has ended.
    """
    results: list[tuple[Condition, Measurement]] = []
    failed: list[dict[str, str]] = []
    outdated: list[str] = []
    reused = 0
    spent: list[Seconds] = []
    for condition in conditions:
        key = condition_key(task, condition, settings)
        title = f"{task.model}: {condition.title}"

        def count(title: str = title) -> None:
            if on_image:
                on_image(title)

        def load(condition: Condition = condition, key: dict = key) -> Stored:
            return store.load(task, condition, key)

        stored = processes.first(load)
        if stored.changed:
            outdated.append(f"{title}: {'; '.join(stored.changed)}")
        measured = stored.result
        if measured is not None:
            reused += 1
            for _ in range(measured.images):
                count()
        else:
            try:
                measured = task.measure(
                    condition, settings, store.name(task, condition, key), count
                )
            except LauncherError:
                raise
            except JpegPreprocError as error:
                failed.append({"file": title, "reason": str(error)})
                continue
            if processes.is_first:
                store.save(task, condition, key, measured)
            spent.append(measured.stages)
        results.append((condition, measured))
    rows = downstream_rows(task, results)
    return TaskRun(rows, failed, reused, outdated, add_seconds(spent), results)
