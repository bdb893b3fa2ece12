"""Spellings, and what the registry says where one is wrong."""

from __future__ import annotations

import dataclasses
import subprocess
import sys

import pytest

import jpeg_preproc.corruptions
from jpeg_preproc.corruptions import (
    CroppedJpeg,
    DoubleJpeg,
    Jpeg,
    ResizedJpeg,
    TableJpeg,
    Transcoded,
    WebP,
    list_corruptions,
    parse_corruption,
    register_corruption,
)
from jpeg_preproc.errors import CorruptionError, JpegPreprocError


@pytest.mark.parametrize(
    ("spelling", "expected"),
    [
        ("jpeg:10", Jpeg(10)),
        ("jpeg:10,4:4:4", Jpeg(10, "4:4:4")),
        (" jpeg : 10 , subsampling = grey ", Jpeg(10, "grey")),
        ("jpeg:qf=10", Jpeg(10)),
        ("double_jpeg:10,95,shift=4", DoubleJpeg(10, 95, 4)),
        ("double_jpeg:10,95,2:5", DoubleJpeg(10, 95, (2, 5))),
        ("resized_jpeg:20,0.75", ResizedJpeg(20, 0.75)),
        ("resized_jpeg:20,2,then=90", ResizedJpeg(20, 2.0, 90)),
        ("cropped_jpeg:20,offset=3", CroppedJpeg(20, 3)),
        ("transcoded:10,h264,30", Transcoded(10, "h264", 30)),
        ("tables:annex_k,20", TableJpeg("annex_k", 20)),
        ("webp:30", WebP(30)),
    ],
)
def test_spellings(spelling, expected):
    assert parse_corruption(spelling) == expected


@pytest.mark.parametrize(
    "spelling",
    [
        "original",
        "jpeg:10",
        "jpeg:10,4:4:4",
        "double_jpeg:10,95,shift=4",
        "resized_jpeg:20,0.75",
        "resized_jpeg:20,0.75,then=90",
        "cropped_jpeg:20,offset=3",
        "webp:30",
        "avif:40",
        "transcoded:10,h264,30",
    ],
)
def test_documented_spellings_are_the_canonical_ones(spelling):
    assert parse_corruption(spelling).spelling == spelling


def test_a_corruption_passes_through():
    corruption = Jpeg(10)
    assert parse_corruption(corruption) is corruption


def test_a_misspelt_kind_lists_what_there_is():
    with pytest.raises(CorruptionError) as caught:
        parse_corruption("duoble_jpeg:10,95")
    assert isinstance(caught.value, JpegPreprocError)
    assert "did you mean 'double_jpeg'?" in str(caught.value)
    assert all(kind in str(caught.value) for kind in list_corruptions())


@pytest.mark.parametrize(
    ("spelling", "message"),
    [
        ("", "'' is unknown"),
        ("jpeg", "'jpeg' lacks qf"),
        ("jpeg:", "lacks qf"),
        ("jpeg:101", "qf=101; give a whole number from 1 to 100"),
        ("jpeg:ten", "qf='ten'"),
        ("jpeg:10.5", "qf=10.5"),
        ("jpeg:10,5:5:5", "subsampling='5:5:5'; give one of"),
        ("jpeg:10,4:4:4,3", "3 settings or more.*its settings are"),
        ("jpeg:quality=10", "no setting 'quality'; its settings are .qf, subsampling=4:2:0."),
        ("jpeg:10,qf=5", "given 'qf' twice"),
        ("jpeg:subsampling=grey,10", "'10' behind a setting with a name"),
        ("original:3", "1 settings or more"),
        ("transcoded:10,h264", "lacks quality"),
    ],
)
def test_wrong_settings(spelling, message):
    with pytest.raises(CorruptionError, match=message):
        parse_corruption(spelling)


def test_what_is_no_text_is_refused():
    with pytest.raises(CorruptionError, match="given as int"):
        parse_corruption(10)


def test_the_list_tells_settings_and_a_spelling_that_works():
    for kind, entry in list_corruptions().items():
        corruption = parse_corruption(entry.example)
        assert corruption.kind == kind
        assert (*entry.required, *entry.optional) == tuple(
            field.name for field in dataclasses.fields(corruption)
        )
        assert entry.description.endswith(".")
        assert "\n" not in entry.description


def test_a_duplicate_raises_and_leaves_the_registry_as_it_was():
    before = list_corruptions()

    class Other(Jpeg):
        """Another one."""

    with pytest.raises(ValueError, match="'jpeg' is registered already"):
        register_corruption(Other)
    assert list_corruptions() == before
    assert type(parse_corruption("jpeg:10")) is Jpeg


def test_importing_the_package_imports_no_heavy_one():
    code = (
        "import sys, jpeg_preproc.corruptions as c\n"
        "c.parse_corruption('transcoded:10,h264,30'); c.parse_corruption('jpegli:10')\n"
        "heavy = 'torch', 'cv2', 'av', 'pyjpegli', 'pillow_jxl', 'mmcv', 'mmengine'\n"
        "print([name for name in heavy if name in sys.modules])\n"
        "print('jpeg_preproc.restorers' in sys.modules)"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.stdout.split("\n")[:2] == ["[]", "False"], result.stderr


def test_every_public_name_is_there():
    for name in jpeg_preproc.corruptions.__all__:
        assert getattr(jpeg_preproc.corruptions, name) is not None
