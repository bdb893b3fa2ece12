"""What a study's figures are made of: time against gain, classes, and sizes of objects."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence

from jpeg_preproc.evaluation.conditions import Condition
from jpeg_preproc.evaluation.judges import FINER
from jpeg_preproc.evaluation.run import TaskRun
from jpeg_preproc.evaluation.task import Measurement, Task
from jpeg_preproc.report.page import Cost, SortableTable
from jpeg_preproc.stats.agreement import Detections, matches
from jpeg_preproc.study.compare import differences
from jpeg_preproc.study.comparison_rows import ComparisonRow, ModelResults
from jpeg_preproc.study.jobs import JobsRun
from jpeg_preproc.study.parts import part_tables
from jpeg_preproc.study.sentences import worst

# COCO's: areas of a box in pixels below which it is small, and medium.
_SMALL, _MEDIUM = 32.0**2, 96.0**2
_SIZES = {"s": "small", "m": "medium", "l": "large"}
#: Number of boxes in the original, in another image, and in both, by a key.
_Counts = tuple[Counter[str], Counter[str], Counter[str]]


def costs(run: JobsRun, results: Sequence[ModelResults]) -> Iterator[Cost]:
    """Yield what each restorer takes and gives, for each model.

    The time is that of the slowest model on the same data: where restored images are kept, later
    models only read them. It is CPU time where all ran on the CPU, which other work on the machine
    does not change, and else that on the clock.

    Args:
        run: What was measured, with the seconds of each stage.
        results: What each judge says of each model; the finer judges are passed over.
    """
    devices = {run.settings.device, *(str(task.fingerprint.get("device")) for task in run.tasks)}
    on_cpu = devices == {"cpu"}
    restoring: dict[tuple[str, str], float] = {}
    own_time: dict[tuple[str, str], float] = {}
    for task, one in zip(run.tasks, run.runs, strict=True):
        for label, measured in _by_restorer(one).items():
            key = (task.dataset, label)
            restoring[key] = max(restoring.get(key, 0.0), _seconds(measured, "restore", on_cpu))
        every = [measured for _, measured in one.results]
        own_time[task.dataset, task.model] = _seconds(every, "model", on_cpu)
    for model in results:
        if model.any.metric in FINER:
            continue
        for row in _mean_gains(model):
            seconds = restoring.get((model.dataset, row.restorer), 0.0)
            if seconds > 0:
                yield Cost(
                    model=f"{model.model} on {model.dataset}",
                    restorer=row.restorer,
                    seconds=seconds,
                    model_seconds=own_time[model.dataset, model.model],
                    gain=row.value,
                    low=row.low,
                    high=row.high,
                    metric=row.metric,
                    unit="CPU seconds" if on_cpu else "seconds",
                )


def _by_restorer(run: TaskRun) -> dict[str, list[Measurement]]:
    found: dict[str, list[Measurement]] = {}
    for condition, measured in run.results:
        if condition.restorer is not None:
            found.setdefault(condition.restorer.label, []).append(measured)
    return found


def _seconds(measured: Sequence[Measurement], stage: str, of_cpu: bool) -> float:
    """Return the seconds of a stage for one image, of the CPU or the clock; 0 if none are known."""
    images = sum(one.images for one in measured)
    spent = (one.stages.get(stage, (0.0, 0.0)) for one in measured)
    return sum(cpu if of_cpu else wall for wall, cpu in spent) / max(images, 1)


def _mean_gains(model: ModelResults) -> Iterator[ComparisonRow]:
    """Yield each restorer's row over all corruptions, or over the only one."""
    rows = differences(model)
    yield from {row.restorer: row for row in rows}.values()  # that of all is the last


def classes(run: JobsRun, results: Sequence[ModelResults]) -> Iterator[SortableTable]:
    """Yield tables by class and by size of the objects, under the corruption that costs most.

    Args:
        run: What was measured.
        results: What each judge says of each model.
    """
    for task, one in zip(run.tasks, run.runs, strict=True):
        own = [
            model
            for model in results
            if (model.dataset, model.model) == (task.dataset, task.model)
            and model.any.metric not in FINER
        ]
        measured = dict(one.results)
        if not own or Condition() not in measured:
            continue
        corruption = worst(own[0])
        heading = f"{task.model} on {task.dataset}, {corruption.label}"
        columns = {
            condition.label: result
            for condition, result in measured.items()
            if condition.corruption == corruption
        }
        yield from _of_boxes(task, measured[Condition()], columns, heading)
        for model in own:
            yield from part_tables(model, corruption, heading)


def _of_boxes(
    task: Task, original: Measurement, columns: Mapping[str, Measurement], heading: str
) -> Iterator[SortableTable]:
    """Yield F1 against the original by class, and by size of the box."""
    reference = original.detections
    known = {name: one.detections for name, one in columns.items() if one.detections is not None}
    if reference is None or not any(reference) or len(known) < len(columns):
        return
    names = task.class_names

    def label(box: Sequence[float]) -> str:
        return names.get(int(box[0]), str(int(box[0])))

    for key, what in ((label, "class"), (_size, "size")):
        counts = {name: _count(reference, found, key) for name, found in known.items()}
        total = next(iter(counts.values()))[0]
        rows = [
            (name, (float(number), *(_f1(name, one) for one in counts.values())))
            for name, number in total.most_common()
        ]
        if what == "size":
            rows.sort(key=lambda row: list(_SIZES.values()).index(row[0]))
        yield SortableTable(
            f"By {what}: {heading}",
            "F1 in percent against what the model finds in the originals; boxes: how many there "
            f"are{'' if what == 'class' else ', small below 32² pixels, large from 96² on'}.",
            (what, "boxes", *known),
            tuple(rows),
        )


def _count(
    reference: Sequence[Detections],
    found: Sequence[Detections],
    key: Callable[[Sequence[float]], str],
) -> _Counts:
    """Return how many boxes there are; one that agrees counts under the key of the original's."""
    theirs, ours, both = Counter[str](), Counter[str](), Counter[str]()
    for first, second in zip(reference, found, strict=True):
        agreed = matches(first, second)
        theirs.update(map(key, first))
        both.update(key(first[index]) for index in agreed)
        ours.update(key(first[index]) for index in agreed)
        alone = set(range(len(second))) - set(agreed.values())
        ours.update(key(second[index]) for index in alone)
    return theirs, ours, both


def _f1(name: str, counts: _Counts) -> float | None:
    theirs, ours, both = (one[name] for one in counts)
    return 100 * 2 * both / (theirs + ours) if theirs + ours else None


def _size(box: Sequence[float]) -> str:
    _, _, left, top, right, bottom = box
    area = (right - left) * (bottom - top)
    return _SIZES["s" if area < _SMALL else "m" if area < _MEDIUM else "l"]
