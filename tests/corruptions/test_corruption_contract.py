"""What every corruption promises, walked over the registry."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import PIL
import pytest

from jpeg_preproc.corruptions import (
    CroppedJpeg,
    Geometry,
    Jpeg,
    ResizedJpeg,
    list_corruptions,
    parse_corruption,
)
from jpeg_preproc.errors import CorruptionError, ImageReadError

MODULES = {"transcoded": "av", "jpegli": "pyjpegli", "jpegxl": "pillow_jxl"}
# Spellings that reach settings other than the defaults.
FURTHER = [
    "jpeg:35,4:4:4",
    "jpeg:35,grey",
    "double_jpeg:10,95",
    "double_jpeg:95,10,shift=2:5",
    "resized_jpeg:20,0.5",
    "resized_jpeg:20,1.3,then=70,kernel=lanczos,subsampling=4:2:2",
    "cropped_jpeg:20",
    "cropped_jpeg:20,offset=0:6",
    "transcoded:60,mpeg2,4",
    "tables:canon,20",
    "tables:photoshop_web_high,subsampling=4:4:4",
    "tables:" + ":".join(str(entry) for entry in range(1, 129)),
]
SPELLINGS = [entry.example for entry in list_corruptions().values()] + FURTHER


@pytest.fixture(params=SPELLINGS, ids=lambda text: text[:40])
def corruption(request):
    found = parse_corruption(request.param)
    if found.kind in MODULES:
        pytest.importorskip(MODULES[found.kind])
    return found


def test_sizes_shapes_and_the_same_result_twice(corruption, pixels):
    first = corruption.apply(pixels, "a.png", seed=3)
    again = parse_corruption(corruption.spelling).apply(pixels.copy(), "a.png", seed=3)
    np.testing.assert_array_equal(first.pixels, again.pixels)
    assert (first.data, first.num_bytes) == (again.data, again.num_bytes)
    assert first.geometry == again.geometry
    assert first.pixels.dtype == np.uint8
    assert first.pixels.flags.c_contiguous
    assert first.pixels.shape[:2] == first.geometry.corrupted
    assert first.geometry.original == pixels.shape[:2]
    if getattr(corruption, "subsampling", None) != "grey":
        assert first.pixels.ndim == pixels.ndim


def test_the_reference_has_the_result_s_size_and_nothing_else_changed(corruption, pixels):
    reference = corruption.reference(pixels, "a.png", seed=3)
    corrupted = corruption.apply(pixels, "a.png", seed=3)
    assert reference.shape[:2] == corrupted.geometry.corrupted
    assert reference.ndim == pixels.ndim
    if corrupted.geometry.is_identity:
        np.testing.assert_array_equal(reference, pixels)


def test_pixels_that_come_in_stay_as_they_were(corruption, photo):
    before = photo.copy()
    corruption.apply(photo)
    corruption.reference(photo)
    np.testing.assert_array_equal(photo, before)


def test_a_spelling_reads_back_to_an_equal_value(corruption):
    again = parse_corruption(corruption.spelling)
    assert again == corruption
    assert hash(again) == hash(corruption)
    assert again.spelling == corruption.spelling == str(corruption)


def test_what_people_read(corruption):
    assert corruption.label.strip()
    assert corruption.axis
    assert isinstance(corruption.strength, float)
    assert (corruption.qf is not None) == (corruption.kind == "jpeg")


def test_the_key_is_json_and_holds_every_field(corruption):
    key = corruption.key()
    assert json.loads(json.dumps(key)) == key
    assert set(key["settings"]) == {field.name for field in dataclasses.fields(corruption)}
    assert key["kind"] == corruption.kind
    assert key["libraries"]["pillow"] == PIL.__version__
    assert len(key["libraries"]) > 1 or corruption.kind == "original"


def test_a_changed_setting_changes_the_key(corruption):
    others = [parse_corruption(text) for text in SPELLINGS if text != corruption.spelling]
    settings = [(other.kind, str(other.settings())) for other in others if other != corruption]
    assert (corruption.kind, str(corruption.settings())) not in settings


def test_another_encoder_changes_the_key(monkeypatch):
    before = Jpeg(10).key()
    monkeypatch.setattr(PIL, "__version__", "0.0")
    assert Jpeg(10).key() != before


def test_a_raised_revision_changes_the_key(monkeypatch):
    before = Jpeg(10).key()
    monkeypatch.setattr(Jpeg, "revision", Jpeg.revision + 1)
    assert Jpeg(10).key() != before


def test_settings_are_frozen(corruption):
    names = [field.name for field in dataclasses.fields(corruption)] or ["kind"]
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(corruption, names[0], 3)


def test_numpy_numbers_make_the_same_value():
    assert Jpeg(np.int64(10)) == Jpeg(10)
    assert Jpeg(np.int64(10)).key() == Jpeg(10).key()
    assert ResizedJpeg(20, np.float32(0.5)).spelling == "resized_jpeg:20,0.5"


def test_draws_depend_on_name_and_seed_and_not_on_the_strength(photo):
    def offsets(corruption, seed=0):
        names = [f"{index}.png" for index in range(30)]
        return [corruption.apply(photo, name, seed).geometry.offset for name in names]

    drawn = offsets(CroppedJpeg(20))
    assert drawn == offsets(CroppedJpeg(20))
    # Paired over strengths, so that a curve's points differ by the strength alone.
    assert drawn == offsets(CroppedJpeg(60))
    assert drawn != offsets(CroppedJpeg(20), seed=1)
    assert {value for pair in drawn for value in pair} == set(range(1, 8))


def test_a_lossless_end_leaves_the_cost_of_the_last_file(photo):
    kept = parse_corruption("cropped_jpeg:20,offset=3").apply(photo)
    assert kept.data is None
    assert kept.qtables is None
    assert kept.num_bytes == Jpeg(20).apply(photo).num_bytes
    assert parse_corruption("original").apply(photo).num_bytes == photo.nbytes


@pytest.mark.parametrize(
    "wrong", [np.zeros((4, 4)), np.zeros((4, 4, 4), np.uint8), np.zeros((0, 4), np.uint8)]
)
@pytest.mark.parametrize("spelling", ["original", "jpeg:10", "webp:10", "cropped_jpeg:10"])
def test_arrays_of_another_kind_are_refused(spelling, wrong):
    with pytest.raises(ImageReadError, match="Image"):
        parse_corruption(spelling).apply(wrong)
    with pytest.raises(ImageReadError):
        parse_corruption(spelling).reference(wrong)


def test_an_image_too_large_for_the_codec_names_the_codec():
    with pytest.raises(CorruptionError, match="16384x1 pixels cannot be written as WebP"):
        parse_corruption("webp:10").apply(np.zeros((1, 16384, 3), np.uint8))


def test_nothing_moves_by_itself(photo):
    assert Jpeg(10).apply(photo).geometry == Geometry.unchanged((60, 84))
