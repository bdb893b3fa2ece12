"""What a restorer is let know of an image's quality."""

from __future__ import annotations

import numpy as np
import pytest

from jpeg_preproc.corruptions import parse_corruption
from jpeg_preproc.errors import PipelineError, UnknownRestorerError
from jpeg_preproc.evaluation.apply import as_decoded, condition_image, restored_by
from jpeg_preproc.evaluation.conditions import (
    QUALITY_SOURCES,
    Condition,
    RestorerChoice,
    choose_restorers,
)
from jpeg_preproc.jpeg import compress_jpeg, load_image
from jpeg_preproc.jpeg.tables import octaves_of
from jpeg_preproc.restorers import Restored
from jpeg_preproc.restorers.inputs import DecodedImage

JPEG = parse_corruption("jpeg:10")


class Spy:
    """A restorer that keeps what it is told."""

    def restore(self, images, qf):
        ((self.image), self.qf) = images[0], qf
        return [Restored(images[0].pixels, None, "blind")]


def told(choice, photo, through):
    """Return what a restorer of this choice is told of a photograph: its tables, file and qf."""
    spy = Spy()
    through(choice, spy, photo)
    return spy.image.qtables is not None, spy.image.data is not None, spy.qf


def directly(choice, spy, photo):
    restored_by(choice, spy, as_decoded(JPEG.apply(photo)))


def in_a_condition(choice, spy, photo):
    condition_image(load_image(compress_jpeg(photo, 95)), Condition(JPEG, choice), spy)


@pytest.mark.parametrize("through", [directly, in_a_condition])
@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("file", (True, True, "auto")),
        ("estimated", (False, False, "auto")),
        ("blind", (False, False, "blind")),
    ],
)
def test_the_choice_decides_what_a_restorer_is_told(photo, through, source, expected):
    choice = RestorerChoice("spy", "spy", "", quality_source=source)
    assert told(choice, photo, through) == expected


class DoesBestAt:
    """A restorer whose result is wrong by as much as it is told a wrong quality."""

    def __init__(self, best):
        self.best = best

    def restore(self, images, qf):
        qf = 50 if qf == "auto" else qf
        return [Restored(images[0].pixels + np.uint8(abs(qf - self.best)), qf, "given")]


@pytest.mark.parametrize("best", [3, 10, 31, 50, 83, 98])
def test_the_best_quality_is_found_within_half_an_octave(best):
    clean = np.zeros((8, 8, 3), np.uint8)
    choice = RestorerChoice("x", "x", "", quality_source="best")
    found = restored_by(choice, DoesBestAt(best), DecodedImage(clean), clean)
    assert abs(octaves_of(found.qf) - octaves_of(best)) <= 0.5


def test_the_best_quality_is_not_known_without_the_clean_image(photo):
    choice = RestorerChoice("x", "x", "", quality_source="best")
    with pytest.raises(PipelineError, match="beside the clean image"):
        condition_image(load_image(compress_jpeg(photo, 95)), Condition(JPEG, choice), Spy())


def test_what_is_no_jpeg_has_no_file_to_tell_of(photo):
    corrupted = parse_corruption("webp:30").apply(photo)
    assert corrupted.data is not None
    image = as_decoded(corrupted, "a.png")
    assert (image.data, image.qtables, image.name) == (None, None, "a.png")
    np.testing.assert_array_equal(image.pixels, corrupted.pixels)


def test_each_source_is_a_restorer_of_its_own_name(small_weights):
    names = [str(small_weights)]
    choices = choose_restorers(names, consistent=True, quality_sources=(*QUALITY_SOURCES, "file"))
    found = [(choice.label, choice.consistent, choice.quality_source) for choice in choices]
    assert found == [
        ("small", False, "file"),
        ("small+file", True, "file"),
        ("small+estimated", False, "estimated"),
        ("small+blind", False, "blind"),
        ("small+best", False, "best"),
    ]
    with pytest.raises(UnknownRestorerError):
        choose_restorers(["no_such"], quality_sources=("blind",))
