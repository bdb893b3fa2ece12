"""What is drawn over an image: what a model lost, regained, and found where nothing is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from jpeg_preproc.evaluation.task import LabelMap
from jpeg_preproc.report.page import Box, Crop
from jpeg_preproc.report.page.content import State
from jpeg_preproc.stats.agreement import Detections, matches
from jpeg_preproc.study.pictures import as_mask

_NO_BOXES: tuple[tuple[Box, ...], ...] = ((), (), ())
_NO_MASKS = (b"", b"", b"")
# A crop shows some of what is around a box, and is no smaller than this, in pixels.
_AROUND, _SMALLEST, _CROPS = 1.35, 64.0, 2
_BACKGROUND = "background"
_KEPT, _LOST, _REGAINED, _ADDED = range(1, 5)
# Red, green, blue, opacity; the first is of pixels without a mark.
_COLOURS = np.array(
    [
        (0, 0, 0, 0),
        (92, 192, 255, 70),
        (255, 138, 60, 165),
        (62, 232, 176, 165),
        (255, 90, 190, 165),
    ],
    np.uint8,
)
# Of the pixels that change, a class has to have this share to be named.
_NAMED_SHARE = 0.05


@dataclass(frozen=True)
class Marks:
    """What is drawn over the original, the corrupted and the restored image.

    Attributes:
        boxes: Boxes over each.
        masks: PNG over each; ``b""`` for none.
        classes: Names of the classes of what restoring changes.
        counts: What there is of each state, for people.
        changed: What restoring changes, by a label: left, top, right, bottom in pixels.
    """

    boxes: tuple[tuple[Box, ...], ...]
    masks: tuple[bytes, ...]
    classes: tuple[str, ...]
    counts: str
    changed: tuple[tuple[str, tuple[float, float, float, float]], ...]

    def crops(self, width: int, height: int) -> tuple[Crop, ...]:
        """Return squares around what restoring changes, at most two that lie apart.

        Args:
            width: Width of the original.
            height: Height of the original.
        """
        crops: list[Crop] = []
        for label, (left, top, right, bottom) in self.changed:
            side = max(_AROUND * max(right - left, bottom - top), _SMALLEST)
            side = min(side, float(width), float(height))
            crop = Crop(
                label,
                _within((left + right - side) / 2, width - side),
                _within((top + bottom - side) / 2, height - side),
                side,
            )
            apart = (
                max(abs(crop.left - one.left), abs(crop.top - one.top)) > max(side, one.side) / 2
                for one in crops
            )
            if all(apart):
                crops.append(crop)
        return tuple(crops[:_CROPS])


def box_marks(found: Sequence[Detections], names: Mapping[int, str]) -> Marks:
    """Return the marks of a detector.

    Args:
        found: Boxes in the original, the corrupted and the restored image.
        names: Name of each class.
    """
    original, corrupted, restored = found
    before, after = matches(original, corrupted), matches(original, restored)

    def box(state: State, one: Sequence[float], with_score: bool = True) -> Box:
        label, score, *place = one
        left, top, right, bottom = map(float, place)
        name = names.get(int(label), str(int(label)))
        return Box(state, name, float(score) if with_score else None, (left, top, right, bottom))

    def others(all_found: Detections, agreed: Mapping[int, int]) -> list[Box]:
        known = set(agreed.values())
        return [box("added", one) for index, one in enumerate(all_found) if index not in known]

    lost_before, lost_after = (
        [box("lost", one, False) for index, one in enumerate(original) if index not in agreed]
        for agreed in (before, after)
    )
    added_before, added_after = others(corrupted, before), others(restored, after)
    regained = [box("regained", restored[at]) for index, at in after.items() if index not in before]
    newly_lost = [box("lost", original[index], False) for index in before if index not in after]
    kept = [box("kept", restored[at]) for index, at in after.items() if index in before]
    boxes = (
        tuple(box("kept", one) for one in original),
        (*(box("kept", corrupted[at]) for at in before.values()), *lost_before, *added_before),
        (*kept, *lost_after, *added_after, *regained),
    )
    gone, new = _only_in(added_before, added_after), _only_in(added_after, added_before)
    changed = [
        *((f"regained: {one.label}", one) for one in regained),
        *((f"lost by restoring: {one.label}", one) for one in newly_lost),
        *((f"falsely added by restoring: {one.label}", one) for one in new),
        *((f"falsely found on the corrupted image alone: {one.label}", one) for one in gone),
    ]
    return Marks(
        boxes=boxes,
        masks=_NO_MASKS,
        classes=tuple(sorted({one.label for _, one in changed})),
        counts=(
            f"Of {len(original)} objects found in the original, {len(before)} are found in the "
            f"corrupted image and {len(after)} in the restored one: {len(regained)} regained, "
            f"{len(newly_lost)} lost by restoring. Falsely added: {len(added_before)} and "
            f"{len(added_after)}."
        ),
        changed=tuple((label, one.place) for label, one in changed),
    )


def label_marks(found: Sequence[Sequence[int]], names: Mapping[int, str]) -> Marks:
    """Return what a classifier made of an image, of which nothing is drawn.

    Args:
        found: Class found in the original, the corrupted and the restored image, and its own.
        names: Name of each class.
    """
    original, corrupted, restored = (names.get(one[0], str(one[0])) for one in found)
    truth = names.get(found[0][1], str(found[0][1]))
    return Marks(
        boxes=_NO_BOXES,
        masks=_NO_MASKS,
        classes=(truth,),
        counts=(
            f"It is of the class {truth}. The original is taken for {original}, the corrupted "
            f"image for {corrupted}, the restored one for {restored}."
        ),
        changed=(),
    )


def _only_in(first: Sequence[Box], second: Sequence[Box]) -> list[Box]:
    """Return the boxes of the first list that agree with none of the second."""
    labels = sorted({one.label for one in (*first, *second)})
    ours, theirs = (
        [[labels.index(one.label), one.score or 0.0, *one.place] for one in boxes]
        for boxes in (first, second)
    )
    agreed = matches(ours, theirs)
    return [one for index, one in enumerate(first) if index not in agreed]


def mask_marks(found: Sequence[LabelMap], names: Mapping[int, str]) -> Marks:
    """Return the marks of a segmenter: pixels of objects that are right on the original.

    Where the first class is called ``background``, a pixel is falsely added that is none in the
    truth and on the original, and is taken for an object here.

    Args:
        found: Label maps of the original, the corrupted and the restored image.
        names: Name of each class.
    """
    truth = found[0].truth
    has_background = names.get(0) == _BACKGROUND
    is_object = (truth > 0) if has_background else (truth >= 0)
    right = [is_object & (one.found == truth) for one in found]
    on_background = (truth == 0) & (found[0].found == 0) & has_background
    states = []
    for index, one in enumerate(found):
        state = np.zeros(truth.shape, np.uint8)
        state[right[index]] = _KEPT
        state[right[0] & ~right[index]] = _LOST
        state[on_background & (one.found != 0)] = _ADDED
        states.append(state)
    states[2][right[0] & ~right[1] & right[2]] = _REGAINED
    changed = right[1] != right[2]
    changed |= (states[1] == _ADDED) != (states[2] == _ADDED)
    total = max(int(right[0].sum()), 1)
    parts = [100 * int((state == _LOST).sum()) / total for state in states[1:]]
    regained = 100 * int((states[2] == _REGAINED).sum()) / total
    return Marks(
        boxes=_NO_BOXES,
        masks=tuple(as_mask(state, _COLOURS) for state in states),
        classes=_classes(changed, found, names),
        counts=(
            f"Of the pixels of objects that are right on the original, {parts[0]:.0f} % are lost "
            f"on the corrupted image and {parts[1]:.0f} % on the restored one; {regained:.0f} % "
            "are regained."
        ),
        changed=_most_changed(changed),
    )


def _classes(
    changed: npt.NDArray[np.bool_], found: Sequence[LabelMap], names: Mapping[int, str]
) -> tuple[str, ...]:
    """Return the names of classes that a good part of the changed pixels have, or are taken for."""
    of_pixels = np.where(
        found[0].truth > 0, found[0].truth, np.maximum(*(one.found for one in found[1:]))
    )
    numbers, counts = np.unique(of_pixels[changed], return_counts=True)
    return tuple(
        sorted(
            names.get(int(number), str(number))
            for number, count in zip(numbers, counts, strict=True)
            if count >= _NAMED_SHARE * counts.sum() and names.get(int(number)) != _BACKGROUND
        )
    )


def _most_changed(
    changed: npt.NDArray[np.bool_],
) -> tuple[tuple[str, tuple[float, float, float, float]], ...]:
    """Return the square of a quarter of the image's shorter side in which most pixels change."""
    height, width = changed.shape
    side = max(min(height, width) // 4, 1)
    sums = np.pad(changed.astype(np.int64).cumsum(0).cumsum(1), ((1, 0), (1, 0)))
    inside = sums[side:, side:] - sums[:-side, side:] - sums[side:, :-side] + sums[:-side, :-side]
    if not inside.max():
        return ()
    top, left = np.unravel_index(int(inside.argmax()), inside.shape)
    place = (float(left), float(top), float(left + side), float(top + side))
    return (("where most pixels change", place),)


def _within(value: float, most: float) -> float:
    return min(max(value, 0.0), max(most, 0.0))
