"""Which files of a VOC tree are images."""

from __future__ import annotations

from pathlib import Path

import pytest

from jpeg_preproc.datasets.scan import scan_dataset
from jpeg_preproc.errors import DatasetError


@pytest.fixture
def parent(tmp_path) -> Path:
    """The folder above VOCdevkit."""
    year = tmp_path / "VOCdevkit/VOC2012"
    for name in ("JPEGImages/1.jpg", "JPEGImages/2.jpg", "JPEGImages/3.jpg", "JPEGImages/.notes"):
        (year / name).parent.mkdir(parents=True, exist_ok=True)
        (year / name).touch()
    for name in ("SegmentationClass/1.png", "Annotations/1.xml", "Annotations/1.jpg"):
        (year / name).parent.mkdir(parents=True, exist_ok=True)
        (year / name).touch()
    for name, text in {
        "Main/train.txt": "1\n",
        "Main/val.txt": "2\n3\n",
        "Main/dog_val.txt": "2  1\n3 -1\n",
        "Segmentation/val.txt": "3\n\n",
    }.items():
        path = year / "ImageSets" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return tmp_path


@pytest.mark.parametrize("below", ["", "VOCdevkit", "VOCdevkit/VOC2012"])
@pytest.mark.parametrize("layout", ["auto", "voc"])
def test_every_root_that_configs_use_works(parent, below, layout):
    tree = scan_dataset(parent / below, layout)
    assert tree.layout == "voc"
    assert [Path(name).name for name in tree.images] == ["1.jpg", "2.jpg", "3.jpg"]
    assert all("JPEGImages/" in name for name in tree.images)
    assert len(tree.carried) == 8 and not tree.problems


def test_two_years_lie_side_by_side(parent):
    other = parent / "VOCdevkit/VOC2007/JPEGImages"
    other.mkdir(parents=True)
    (other / "7.JPG").touch()
    assert len(scan_dataset(parent).images) == 4


def test_a_split_takes_its_lists_and_leaves_the_other_images_out(parent):
    tree = scan_dataset(parent, splits=["train"])
    assert [Path(name).name for name in tree.images] == ["1.jpg"]
    assert tree.left_out == 2
    assert len(scan_dataset(parent, splits=["val"]).images) == 2
    with pytest.raises(DatasetError, match="dog_val"):
        scan_dataset(parent, splits=["test"])


def test_a_missing_image_is_one_problem_however_many_lists_name_it(parent):
    lists = parent / "VOCdevkit/VOC2012/ImageSets"
    (lists / "Main/val.txt").write_text("2\n3\n4\n")
    (lists / "Main/dog_val.txt").write_text("2  1\n3 -1\n4 0\n")
    (problem,) = scan_dataset(parent).problems
    assert problem.path == "VOCdevkit/VOC2012/JPEGImages/4"
    assert "dog_val.txt" in problem.reason


@pytest.mark.parametrize("identifier", ["/etc/hostname", "../../../../hostname"])
def test_an_id_outside_the_root_is_a_problem(parent, identifier):
    path = parent / "VOCdevkit/VOC2012/ImageSets/Main/val.txt"
    path.write_text(f"2\n{identifier}\n")
    (problem,) = scan_dataset(parent).problems
    assert problem.path == identifier
    assert "outside the data root" in problem.reason


def test_an_id_may_hold_spaces_and_folders(parent):
    images = parent / "VOCdevkit/VOC2012/JPEGImages"
    (images / "my dog.jpg").touch()
    (images / "sub").mkdir()
    (images / "sub/1.jpg").touch()
    path = parent / "VOCdevkit/VOC2012/ImageSets/Main/val.txt"
    path.write_text("my dog\nsub/1\n")
    tree = scan_dataset(parent, splits=["val"])
    assert not tree.problems
    assert {Path(name).name for name in tree.images} == {"my dog.jpg", "1.jpg", "3.jpg"}


def test_a_list_that_is_no_text_is_a_problem(parent):
    path = parent / "VOCdevkit/VOC2012/ImageSets/Main/val.txt"
    path.write_bytes(b"\xff\xfe2\x00")
    (problem,) = scan_dataset(parent).problems
    assert problem.path.endswith("Main/val.txt")


def test_image_folders_are_coco_only(parent):
    with pytest.raises(DatasetError, match="JPEGImages"):
        scan_dataset(parent, img_dirs=["VOCdevkit"])
    with pytest.raises(DatasetError, match="JPEGImages"):
        scan_dataset(parent / "VOCdevkit/VOC2012/Annotations", "voc")
