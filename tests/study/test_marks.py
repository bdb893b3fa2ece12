"""What is drawn over an image, of boxes and of label maps that are made up."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image

from jpeg_preproc.evaluation.task import LabelMap
from jpeg_preproc.study.marks import box_marks, label_marks, mask_marks

NAMES = {0: "ant", 1: "bee"}


def box(label, left, size=20.0, score=0.9):
    return [label, score, left, 10.0, left + size, 10.0 + size]


def states(boxes):
    return sorted((one.state, one.label, one.place[0]) for one in boxes)


def test_boxes_are_kept_lost_regained_or_added():
    original = [box(0, 0), box(0, 100), box(1, 200), box(1, 300)]
    corrupted = [box(0, 1), box(1, 200), box(1, 400, score=0.4)]  # one is where nothing was
    restored = [box(0, 2), box(0, 101), box(1, 300), box(0, 500)]
    marks = box_marks([original, corrupted, restored], NAMES)
    assert states(marks.boxes[0]) == [
        *(("kept", "ant", 0.0), ("kept", "ant", 100.0)),
        *(("kept", "bee", 200.0), ("kept", "bee", 300.0)),
    ]
    assert states(marks.boxes[1]) == [
        *(("added", "bee", 400.0), ("kept", "ant", 1.0), ("kept", "bee", 200.0)),
        *(("lost", "ant", 100.0), ("lost", "bee", 300.0)),
    ]
    assert states(marks.boxes[2]) == [
        *(("added", "ant", 500.0), ("kept", "ant", 2.0), ("lost", "bee", 200.0)),
        *(("regained", "ant", 101.0), ("regained", "bee", 300.0)),
    ]
    assert marks.counts == (
        "Of 4 objects found in the original, 2 are found in the corrupted image and 3 in the "
        "restored one: 2 regained, 1 lost by restoring. Falsely added: 1 and 1."
    )
    assert marks.classes == ("ant", "bee")
    assert marks.masks == (b"", b"", b"")
    lost = next(one for one in marks.boxes[2] if one.state == "lost")
    assert lost.score is None  # it has no score where it is not found


def test_what_both_images_have_is_no_change():
    false = box(1, 300, score=0.4)
    marks = box_marks([[box(0, 0)], [box(0, 0), false], [box(0, 0), false]], NAMES)
    assert marks.classes == () and marks.changed == () and marks.crops(500, 400) == ()


def test_crops_lie_in_the_image_and_apart():
    original = [box(0, 0), box(0, 4), box(0, 300), box(0, 350)]
    marks = box_marks([original, [], original], NAMES)
    crops = marks.crops(400, 90)
    assert len(crops) == 2
    for crop in crops:
        assert 0 <= crop.left <= 400 - crop.side and 0 <= crop.top <= 90 - crop.side
        assert 64 <= crop.side <= 90
    assert abs(crops[0].left - crops[1].left) > 32


def read(mask):
    """The mask's colours with their opacity, (H, W, 4)."""
    return np.asarray(Image.open(io.BytesIO(mask)).convert("RGBA"))


def test_pixels_are_kept_lost_regained_or_added():
    truth = np.zeros((40, 60), int)
    truth[:20] = 1
    truth[:, -10:] = -1  # does not count
    original, corrupted, restored = (truth.clip(0).copy() for _ in range(3))
    corrupted[:10, :20] = 0  # two lost pieces, of which one is regained
    restored[:10, 10:20] = 0
    restored[30:, :5] = 1  # where nothing is
    found = [LabelMap(one, truth) for one in (original, corrupted, restored)]
    marks = mask_marks(found, {0: "background", 1: "cat"})
    first, second, third = map(read, marks.masks)
    assert set(np.unique(first[..., 3])) == {0, 70}
    kept = first[..., 3] > 0
    assert np.array_equal(kept, truth == 1)
    lost = (second[..., :3] == (255, 138, 60)).all(-1)
    assert lost[:10, :20].all() and lost.sum() == 200
    regained = (third[..., :3] == (62, 232, 176)).all(-1)
    assert regained[:10, :10].all() and regained.sum() == 100
    added = (third[..., :3] == (255, 90, 190)).all(-1)
    assert added[30:, :5].all() and added.sum() == 50
    assert not third[:, -10:, 3].any()  # nothing is said of what does not count
    assert marks.classes == ("cat",)
    assert marks.counts == (
        "Of the pixels of objects that are right on the original, 20 % are lost on the corrupted "
        "image and 10 % on the restored one; 10 % are regained."
    )
    (crop,) = marks.crops(60, 40)
    assert crop.side == 40 and crop.left == 0


def test_without_a_background_no_pixel_is_added():
    truth = np.zeros((8, 8), int)
    wrong = np.ones((8, 8), int)
    found = [LabelMap(one, truth) for one in (truth, wrong, truth)]
    marks = mask_marks(found, {0: "road", 1: "car"})
    assert (read(marks.masks[1])[..., :3] == (255, 138, 60)).all()
    assert (read(marks.masks[2])[..., :3] == (62, 232, 176)).all()


def test_of_a_classifier_it_is_told_what_it_took_the_image_for():
    marks = label_marks([(0, 0), (1, 0), (7, 0)], NAMES)
    assert marks.classes == ("ant",)
    assert marks.counts == (
        "It is of the class ant. The original is taken for ant, the corrupted image for bee, the "
        "restored one for 7."
    )
    assert marks.boxes == ((), (), ()) and marks.crops(100, 80) == ()
