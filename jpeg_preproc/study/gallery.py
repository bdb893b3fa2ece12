"""The images that restoring changes most, chosen by a rule and made again as they were measured."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, zip_longest

from jpeg_preproc.corruptions import Corruption, Geometry
from jpeg_preproc.evaluation.apply import ImageRestorer, as_decoded, load_restorer, restored_by
from jpeg_preproc.evaluation.conditions import Condition, RestorerChoice, RestoreSettings
from jpeg_preproc.evaluation.run import TaskRun
from jpeg_preproc.evaluation.task import SEED, LabelMap, Measurement, Task
from jpeg_preproc.jpeg import apply_orientation, load_image
from jpeg_preproc.report.page import Gallery, Picture, View
from jpeg_preproc.stats.agreement import agreement
from jpeg_preproc.study.marks import Marks, box_marks, label_marks, mask_marks
from jpeg_preproc.study.pictures import as_webp, shown_file

#: How many images that restoring helped most are shown of each model, and as many that it harmed.
PICTURES = 6
#: Bytes that the gallery's files may take together, so that a page stays below 20 MB.
MAX_BYTES = 12_000_000


@dataclass(frozen=True)
class Change:
    """What restoring changes for a model in one image under one condition.

    Attributes:
        index: Place of the image among the task's.
        corruption: What happened to it.
        restorer: What restored it.
        before: Errors, or IoU in percent, of the corrupted image.
        after: The same of the restored image.
        gain: By how much that is better.
    """

    index: int
    corruption: Corruption
    restorer: RestorerChoice
    before: float
    after: float
    gain: float


@dataclass(frozen=True)
class _Chosen:
    """The changes of a model that are shown, and how many there are."""

    task: Task
    results: dict[Condition, Measurement]
    changes: list[Change]
    helped: int
    harmed: int
    looked_at: int


def gallery(
    tasks: Sequence[Task],
    runs: Sequence[TaskRun],
    settings: RestoreSettings,
    number: int = PICTURES,
    max_bytes: int = MAX_BYTES,
    on_picture: Callable[[str], None] | None = None,
) -> Gallery:
    """Return the images that restoring changed most, of each model.

    What was found in each image is stored, but for label maps: a segmenter is run again on the few
    images that are shown. The images themselves are corrupted and restored again, which gives the
    bytes that were measured.

    Args:
        tasks: The models with their test sets.
        runs: What came of each.
        settings: How restorers ran.
        number: Most images of each model that restoring helped, and as many that it harmed.
        max_bytes: Bytes that all files may take together; what exceeds them is left out.
        on_picture: Called with the name of each image that is done.

    Raises:
        JpegPreprocError: An image cannot be read any more, or a restorer or a segmenter fails.
    """
    chosen = [_choose(task, run, number) for task, run in zip(tasks, runs, strict=True)]
    chosen = [one for one in chosen if one.looked_at]
    made = [_pictures(one, settings) for one in chosen]
    # One of each model in turn, so that the limit falls on all of them alike.
    in_turn = chain.from_iterable(zip_longest(*made))
    shown: list[Picture] = []
    left_out = taken = 0
    for picture in filter(None, in_turn):
        if on_picture:
            on_picture(picture.name)
        size = sum(len(view.data) + len(view.mask) for view in picture.views)
        if taken + size > max_bytes:
            left_out += 1
            continue
        taken += size
        shown.append(picture)
    return Gallery(_rule(chosen, number, left_out), tuple(shown))


def changes_of(results: Sequence[tuple[Condition, Measurement]]) -> list[Change]:
    """Return what each restorer changes in each image, under each corruption.

    An error of a detector is a box that it finds in the original image, with a score from 0.3 on,
    and not in this one, or the other way round. A segmenter's images are judged by their IoU with
    the ground truth; one without a pixel that counts is left out. A classifier's error is a class
    that is not the image's.

    Args:
        results: Conditions, and what was measured under each.
    """
    measured = dict(results)
    original = measured.get(Condition())
    found = []
    for condition, result in results:
        if condition.restorer is None or condition.corruption is None:
            continue
        before = measured.get(Condition(condition.corruption))
        if original is None or before is None:
            continue
        for index, (first, second, sign) in enumerate(_judged(original, before, result)):
            if first is None or second is None:
                continue
            gain = sign * (second - first)
            found.append(
                Change(index, condition.corruption, condition.restorer, first, second, gain)
            )
    return found


def _judged(
    original: Measurement, before: Measurement, after: Measurement
) -> Iterator[tuple[float | None, float | None, int]]:
    """Yield what the corrupted and the restored image come to, and which sign is better."""
    if before.image_iou is not None and after.image_iou is not None:
        for first, second in zip(before.image_iou, after.image_iou, strict=True):
            yield first, second, 1
    elif original.detections and before.detections and after.detections:
        triples = zip(original.detections, before.detections, after.detections, strict=True)
        for reference, *others in triples:
            errors = (sum(agreement(reference, one)[1:]) for one in others)
            yield next(errors), next(errors), -1
    elif before.labels is not None and after.labels is not None:
        for pair in zip(before.labels, after.labels, strict=True):
            wrong = (float(found != truth) for found, truth in pair)
            yield next(wrong), next(wrong), -1


def choose(changes: Sequence[Change], number: int) -> list[Change]:
    """Return the greatest gains and the greatest losses, in turn; no image twice among either.

    Args:
        changes: What to choose from.
        number: Most gains, and most losses.
    """
    kinds = []
    for sign in (1, -1):
        greatest: dict[int, Change] = {}
        for one in changes:
            best = greatest.get(one.index)
            if sign * one.gain > (0 if best is None else sign * best.gain):
                greatest[one.index] = one
        ordered = sorted(greatest.values(), key=lambda one: (-sign * one.gain, one.index))
        kinds.append(ordered[:number])
    return [one for one in chain.from_iterable(zip_longest(*kinds)) if one is not None]


def _choose(task: Task, run: TaskRun, number: int) -> _Chosen:
    changes = changes_of(run.results)
    return _Chosen(
        task=task,
        results=dict(run.results),
        changes=choose(changes, number),
        helped=sum(one.gain > 0 for one in changes),
        harmed=sum(one.gain < 0 for one in changes),
        looked_at=len(changes),
    )


def _pictures(chosen: _Chosen, settings: RestoreSettings) -> Iterator[Picture]:
    """Yield the chosen images of a model."""
    restorers: dict[RestorerChoice, ImageRestorer] = {}
    maps = _label_maps(chosen, settings)
    for change in chosen.changes:
        if change.restorer not in restorers:
            restorers[change.restorer] = load_restorer(change.restorer, settings)
        conditions = _conditions(change)
        labels = [chosen.results[one].labels for one in conditions]
        if all(one is not None for one in labels):
            pairs = [one[change.index] for one in labels if one is not None]
            marks = label_marks(pairs, chosen.task.class_names)
            before_after = "right → wrong" if change.gain < 0 else "wrong → right"
        elif maps:
            found = [maps[condition, change.index] for condition in conditions]
            marks = mask_marks(found, chosen.task.class_names)
            before_after = f"IoU {change.before:.0f} → {change.after:.0f}"
        else:
            boxes = [chosen.results[one].detections or () for one in conditions]
            marks = box_marks([one[change.index] for one in boxes], chosen.task.class_names)
            before_after = f"errors {change.before:.0f} → {change.after:.0f}"
        yield _picture(chosen.task, change, restorers[change.restorer], marks, before_after)


def _conditions(change: Change) -> tuple[Condition, Condition, Condition]:
    corruption = change.corruption
    return Condition(), Condition(corruption), Condition(corruption, change.restorer)


def _label_maps(
    chosen: _Chosen, settings: RestoreSettings
) -> Mapping[tuple[Condition, int], LabelMap]:
    """Return the label maps of a segmenter that are needed; none of a detector."""
    if any(one.image_iou is None for one in chosen.results.values()):
        return {}
    wanted: dict[Condition, list[int]] = {}
    for change in chosen.changes:
        for condition in _conditions(change):
            wanted.setdefault(condition, []).append(change.index)
    maps = {}
    for condition, places in wanted.items():
        indices = sorted(set(places))
        for index, found in zip(
            indices, chosen.task.label_maps(condition, settings, indices), strict=True
        ):
            maps[condition, index] = found
    return maps


def _picture(
    task: Task, change: Change, restorer: ImageRestorer, marks: Marks, before_after: str
) -> Picture:
    """Return an image as it was, as the corruption and as the restorer have left it."""
    path = task.image_paths[change.index]
    image = load_image(path)
    corrupted = change.corruption.apply(image.pixels, path.name, SEED)
    decoded = as_decoded(corrupted, path.name)
    restored = restored_by(change.restorer, restorer, decoded).image
    turn = image.orientation
    upright, seen, mended = (
        apply_orientation(pixels, turn) for pixels in (image.pixels, corrupted.pixels, restored)
    )
    file, mime, note = shown_file(corrupted.data if turn == 1 else None, seen)
    height, width = upright.shape[:2]
    place = _place(corrupted.geometry.oriented(turn))
    what = change.corruption.label
    return Picture(
        name=path.name,
        model=f"{task.model} on {task.dataset}",
        condition=f"{what}, restored by {change.restorer.label}",
        helped=change.gain > 0,
        change=before_after,
        classes=marks.classes,
        counts=marks.counts,
        size=(width, height),
        views=(
            View(
                *("original", "original", "", as_webp(upright), "image/webp"),
                (0.0, 0.0, float(width), float(height)),
                marks.boxes[0],
                marks.masks[0],
            ),
            View("corrupted", what, note, file, mime, place, marks.boxes[1], marks.masks[1]),
            View(
                *("restored", f"restored by {change.restorer.label}", "", as_webp(mended)),
                *("image/webp", place, marks.boxes[2], marks.masks[2]),
            ),
        ),
        crops=marks.crops(width, height),
    )


def _place(geometry: Geometry) -> tuple[float, float, float, float]:
    """Return left, top, width and height that a corrupted image has within its original."""
    (height, width), (scale_y, scale_x) = geometry.corrupted, geometry.scale
    return geometry.offset[1], geometry.offset[0], width / scale_x, height / scale_y


def _rule(chosen: Sequence[_Chosen], number: int, left_out: int) -> str:
    """Return how the images were chosen, for people."""
    counts = "; ".join(
        f"{one.task.model}: helped {one.helped}, harmed {one.harmed} of {one.looked_at}"
        for one in chosen
    )
    rule = (
        f"For each model, up to {number} images that restoring helped most and up to {number} that "
        "it harmed most, each under the condition that changed it most. A detector is judged by "
        "its errors: boxes that it finds in the original (score from 0.3) and not here, or here "
        "and not there. A segmenter is judged by the image’s IoU with the ground truth, a "
        "classifier by whether it finds the image’s class. Over all "
        f"images and conditions: {counts}."
    )
    if left_out:
        rule += f" {left_out} more would have made this page too large."
    return rule
