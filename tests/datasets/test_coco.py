"""Which files of a COCO tree are images."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from jpeg_preproc.datasets.coco import select_coco_images
from jpeg_preproc.datasets.scan import scan_dataset
from jpeg_preproc.datasets.tree import FileSelection, walk_tree
from jpeg_preproc.errors import DatasetError


def touch(root: Path, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()


def annotate(root: Path, name: str, *file_names: object) -> None:
    images = [{"id": index, "file_name": file} for index, file in enumerate(file_names)]
    (root / name).parent.mkdir(parents=True, exist_ok=True)
    (root / name).write_text(json.dumps({"images": images, "annotations": []}))


def select(root: Path, **options) -> FileSelection:
    return select_coco_images(walk_tree(root), **options)


@pytest.fixture
def root(tmp_path) -> Path:
    touch(tmp_path, "train2017/1.jpg", "train2017/2.jpg", "val2017/3.jpg", "val2017/5.jpg")
    touch(tmp_path, "annotations/panoptic_val2017/3.png", "stuffthingmaps/val2017/3.png")
    annotate(tmp_path, "annotations/instances_train2017.json", "1.jpg", "2.jpg")
    annotate(tmp_path, "annotations/instances_val2017.json", "3.jpg")
    return tmp_path


def test_the_official_layout(root):
    selection = select(root)
    # 5.jpg is in no annotation, and would be an uncompressed image in a compressed tree.
    assert selection.images == {
        "train2017/1.jpg",
        "train2017/2.jpg",
        "val2017/3.jpg",
        "val2017/5.jpg",
    }
    assert not selection.problems and not selection.left_out


def test_label_maps_and_annotations_are_carried(root):
    tree = scan_dataset(root)
    assert tree.carried == (
        "annotations/instances_train2017.json",
        "annotations/instances_val2017.json",
        "annotations/panoptic_val2017/3.png",
        "stuffthingmaps/val2017/3.png",
    )


def test_a_split_takes_what_its_annotations_name(root):
    selection = select(root, splits=["val2017"])
    assert selection.images == {"val2017/3.jpg"}
    assert selection.left_out == {"train2017/1.jpg", "train2017/2.jpg", "val2017/5.jpg"}
    with pytest.raises(DatasetError, match="instances_val2017"):
        select(root, splits=["val2014"])


def test_images_of_other_splits_are_left_out_and_label_maps_are_not(root):
    touch(root, "train2017/7.png")
    annotate(root, "annotations/instances_train2017.json", "1.jpg", "7.png", "gone.png")
    selection = select(root, splits=["val2017"])
    assert "train2017/7.png" in selection.left_out
    assert not selection.problems  # what is wrong with a split that was not asked for
    tree = scan_dataset(root, splits=["val2017"])
    assert "stuffthingmaps/val2017/3.png" in tree.carried
    assert "train2017/7.png" not in tree.carried


@pytest.mark.parametrize(
    ("annotation", "folder"),
    [
        ("annotations/person_keypoints_val2017.json", "val2017"),
        ("annotations/instances_val2017.json", "images/val2017"),
        ("annotations/instances_default.json", "images"),
        ("annotations/train.json", "."),
        ("train/_annotations.coco.json", "train"),
        ("annotations/instances_minival2014.json", "val2014"),
        ("annotations/image_info_test-dev2017.json", "test2017"),
    ],
)
def test_images_that_are_no_jpeg_are_found_by_their_annotation(tmp_path, annotation, folder):
    touch(tmp_path, f"{folder}/1.png", f"{folder}/2.png", "masks/1.png")
    annotate(tmp_path, annotation, "1.png", "2.png")
    selection = select(tmp_path)
    assert selection.images == {str(Path(folder, "1.png")), str(Path(folder, "2.png"))}
    assert not selection.problems


def test_image_folders_can_be_given(tmp_path):
    touch(tmp_path, "a/1.png", "val/1.png")
    annotate(tmp_path, "annotations/instances_val.json", "1.png")
    assert select(tmp_path).images == {"val/1.png"}
    assert select(tmp_path, img_dirs=["a/"]).images == {"a/1.png"}
    with pytest.raises(DatasetError, match="nowhere"):
        select(tmp_path, img_dirs=["nowhere"])


@pytest.mark.parametrize("name", ["/etc/hostname", "../../hostname", "../../data/val2017/3.jpg"])
def test_a_name_outside_the_root_is_a_problem_and_the_rest_goes_on(root, name):
    annotate(root, "annotations/instances_val2017.json", "3.jpg", name)
    selection = select(root)
    (problem,) = selection.problems
    assert problem.path == name
    assert "outside the data root" in problem.reason
    assert "instances_val2017.json" in problem.reason
    assert "val2017/3.jpg" in selection.images


def test_a_missing_file_is_a_problem(root):
    annotate(root, "annotations/instances_val2017.json", "3.jpg", "4.jpg")
    (problem,) = select(root).problems
    assert problem.path == "val2017/4.jpg"
    assert "instances_val2017.json" in problem.reason


def test_a_split_whose_images_are_absent_is_one_problem(root):
    annotate(root, "annotations/captions_test2017.json", *(f"{n}.png" for n in range(100, 200)))
    (problem,) = select(root).problems
    assert problem.path == "annotations/captions_test2017.json"


def test_a_refused_link_is_not_reported_as_missing_too(root, tmp_path_factory):
    outside = tmp_path_factory.mktemp("outside")
    touch(outside, "9.jpg")
    (root / "val2017/9.jpg").symlink_to(outside / "9.jpg")
    annotate(root, "annotations/instances_val2017.json", "3.jpg", "9.jpg")
    (problem,) = scan_dataset(root).problems
    assert problem.path == "val2017/9.jpg"
    assert "symbolic link" in problem.reason


@pytest.mark.parametrize(
    "content",
    [b'{"images": [{"file_name": "3.jpg"', b"\xff\xfe\x00", b"[" * 200_000, b'{"images": [{}, 1'],
)
def test_damaged_json_is_a_problem(root, content):
    (root / "annotations/instances_val2017.json").write_bytes(content)
    selection = select(root)
    (problem,) = selection.problems
    assert problem.path == "annotations/instances_val2017.json"
    assert "val2017/3.jpg" in selection.images


@pytest.mark.parametrize("file_name", [None, "", 7])
def test_images_without_a_name_are_a_problem(root, file_name):
    annotate(root, "annotations/instances_val2017.json", "3.jpg", file_name)
    (problem,) = select(root).problems
    assert "images[1]" in problem.reason


def test_json_that_lists_no_images_is_only_carried(root):
    (root / "annotations/config.json").write_text('{"lr": 0.1}')
    (root / "annotations/list.json").write_text("[1, 2]")
    (root / "annotations/lvis.json").write_text('{"images": [{"coco_url": "http://x/1.jpg"}]}')
    assert not select(root).problems


def test_what_macos_and_archives_leave_behind_is_no_image(root):
    touch(root, "val2017/._3.jpg", "train2017.zip")
    tree = scan_dataset(root)
    assert "val2017/._3.jpg" in tree.carried
    assert "train2017.zip" not in tree.carried and tree.left_out == 1


def test_a_folder_that_is_no_dataset_is_refused_unless_said_to_be(tmp_path):
    touch(tmp_path, "holiday/1.jpg", "notes.txt")
    with pytest.raises(DatasetError, match="--format coco"):
        scan_dataset(tmp_path)
    assert scan_dataset(tmp_path, "coco").images == ("holiday/1.jpg",)


@pytest.mark.parametrize("layout", ["coco", "voc", "yolo"])
def test_nothing_to_do_is_an_error(tmp_path, layout):
    touch(tmp_path, "notes.txt")
    with pytest.raises(DatasetError):
        scan_dataset(tmp_path, layout)
    with pytest.raises(DatasetError, match="not a folder"):
        scan_dataset(tmp_path / "gone", layout if layout != "yolo" else "auto")
