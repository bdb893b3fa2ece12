from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
from onnx_helpers import toysets
from PIL import Image

from jpeg_preproc.errors import AnnotationError, ModelError
from jpeg_preproc.evaluation.onnx.coco import CocoTruth
from jpeg_preproc.evaluation.onnx.masks import MaskTruth
from jpeg_preproc.evaluation.onnx.models import Boxes
from jpeg_preproc.evaluation.onnx.settings import CocoSettings, MaskSettings


@pytest.fixture
def coco(tmp_path):
    return toysets.write_coco(tmp_path / "coco", suffix=".jpg")


@pytest.fixture
def voc(tmp_path):
    return toysets.write_voc(tmp_path / "voc")


def boxes(root, classes=("box",), limit=None, on_check=None, **settings):
    chosen = {"ann_file": "annotations/val.json", "images": "val", **settings}
    return CocoTruth(CocoSettings(data_root=str(root), **chosen), classes, limit, on_check)


def masks(root, classes=("dark", "bright"), limit=None, values=("dark", "bright"), **settings):
    chosen = {
        "images": "JPEGImages",
        "masks": "SegmentationClass",
        "classes": values,
        "split": "ImageSets/val.txt",
        "image_suffix": ".png",
        **settings,
    }
    return MaskTruth(MaskSettings(data_root=str(root), **chosen), classes, limit)


def names(truth):
    return [path.stem for path in truth.paths]


ALL = ["000", "001", "002", "003", "004", "005"]
READERS = [(boxes, "val/{}.jpg"), (masks, "JPEGImages/{}.png")]


@pytest.fixture(params=READERS, ids=["boxes", "masks"])
def reader(request, coco, voc):
    """A test set, and what reads it and names its images."""
    read, pattern = request.param
    root = coco if read is boxes else voc
    return root, read, lambda stem: root / pattern.format(stem)


def test_a_sound_set_is_used_whole(reader):
    root, read, _ = reader
    truth = read(root)
    assert names(truth) == ALL and truth.skipped == ()


def test_a_limit_is_spread_evenly(reader):
    root, read, _ = reader
    assert names(read(root, limit=3)) == ["000", "002", "004"]


def test_progress_is_told_of_each_image_chosen(coco):
    told = []
    boxes(coco, limit=2, on_check=lambda name, total: told.append((name, total)))
    assert told == [("000.jpg", 2), ("003.jpg", 2)]


@pytest.mark.parametrize(
    "damage,words",
    [
        (Path.unlink, "does not exist, but the annotations name it"),
        (lambda path: path.write_bytes(path.read_bytes()[:-100]), "truncated"),
        (lambda path: path.write_text("no image"), "is no image"),
        (lambda path: path.write_bytes(b""), "is empty"),
    ],
)
def test_a_bad_image_is_named_and_left_out(reader, damage, words):
    root, read, path = reader
    damage(path("002"))
    truth = read(root)
    (entry,) = truth.skipped
    assert entry["file"].startswith("002") and words in entry["reason"]
    assert "002" in entry["reason"]
    assert names(truth) == ["000", "001", "003", "004", "005"]


def test_a_path_outside_the_data_root_is_left_out(coco, voc, tmp_path):
    annotations = coco / "annotations" / "val.json"
    (coco / "val" / "001.jpg").rename(tmp_path / "stray.jpg")
    annotations.write_text(annotations.read_text().replace("001.jpg", "../../stray.jpg"))
    (entry,) = boxes(coco).skipped
    assert "outside the data root" in entry["reason"] and "stray.jpg" in entry["reason"]
    (voc / "ImageSets" / "val.txt").write_text("000\n../../voc/JPEGImages/001\n/etc/passwd\n")
    truth = masks(voc)
    assert names(truth) == ["000"]
    assert all("outside the data root" in entry["reason"] for entry in truth.skipped)


def test_an_absolute_image_folder_is_a_root_of_its_own(coco, tmp_path):
    moved = (coco / "val").rename(tmp_path / "elsewhere")
    assert names(boxes(coco, images=str(moved))) == ALL


def test_no_usable_image_is_an_error(reader):
    root, read, path = reader
    for stem in ALL:
        path(stem).unlink()
    with pytest.raises(AnnotationError, match="none of the 6 test images can be used"):
        read(root)


def test_the_digest_tells_images_and_annotations_apart(reader):
    root, read, path = reader
    digests = {read(root).digest, read(root, limit=3).digest}
    path("000").write_bytes(path("000").read_bytes() + b"\0")
    digests.add(read(root).digest)
    if read is boxes:
        annotations = root / "annotations" / "val.json"
        annotations.write_text(annotations.read_text().replace('"area": ', '"area": 1'))
    else:
        mask = root / "SegmentationClass" / "000.png"
        mask.write_bytes(mask.read_bytes() + b"\0")
    digests.add(read(root).digest)
    assert len(digests) == 4 and read(root).digest in digests


# --- boxes


def edit(root, change):
    path = root / "annotations" / "val.json"
    document = json.loads(path.read_text())
    change(document)
    path.write_text(json.dumps(document))


@pytest.mark.parametrize(
    "content,words",
    [
        (None, r"val\.json does not exist"),
        ("{", r"val\.json is no valid JSON"),
        ("[]", r"val\.json is not of COCO's form"),
        ('{"images": []}', r"val\.json is not of COCO's form"),
        ('{"images": [{"id": 1}], "annotations": [], "categories": []}', "KeyError: 'file_name'"),
    ],
)
def test_a_bad_annotation_file_is_named(coco, content, words):
    path = coco / "annotations" / "val.json"
    path.unlink() if content is None else path.write_text(content)
    with pytest.raises(AnnotationError, match=words):
        boxes(coco)


def test_an_id_that_stands_twice_is_refused(coco):
    edit(coco, lambda document: document["images"].append(document["images"][0]))
    with pytest.raises(AnnotationError, match="stands there twice"):
        boxes(coco)


@pytest.mark.parametrize(
    "classes,settings,words",
    [
        (("Box",), {}, r"val\.json has no category Box.*it has box, tree.*None for a class"),
        (("box",), {}, r"has the category tree, which model.classes does not name.*data.categor"),
        (("box",), {"categories": ("tree",)}, "has the category tree, which model.classes"),
        (("box",), {"categories": ("Tree",)}, "has no category Tree"),
    ],
)
def test_classes_that_are_not_the_categories_are_refused(coco, classes, settings, words):
    edit(coco, lambda document: document["categories"].append({"id": 3, "name": "tree"}))
    with pytest.raises(AnnotationError, match=words):
        boxes(coco, classes, **settings)


def perfect(truth, label=0):
    """Every box of the toy set, under a label of the model."""
    tally = truth.tally()
    for index, path in enumerate(truth.paths):
        _, box = toysets.scene(int(path.stem))
        tally.add(index, Boxes(np.array([box], float), np.array([0.9]), np.array([label])))
    return tally


def test_classes_are_found_by_name_in_any_order(coco, tmp_path):
    edit(coco, lambda document: document["categories"].append({"id": 3, "name": "tree"}))
    edit(coco, lambda document: document["annotations"][0].update(category_id=3))
    truth = boxes(coco, ("tree", None, "box"))
    figure, parts = perfect(truth, label=2).figure(tmp_path / "a")
    # All five boxes found, and one taken for a box; of the only tree, nothing.
    assert 0 < parts["bbox_mAP_50"] <= 0.5 and figure.value == pytest.approx(
        100 * parts["bbox_mAP"]
    )
    figure, _ = perfect(truth, label=1).figure(tmp_path / "b")
    assert figure.value == 0.0  # a label without a category counts as nothing


def test_only_the_categories_asked_for_count(coco, tmp_path):
    edit(coco, lambda document: document["categories"].append({"id": 3, "name": "tree"}))
    truth = boxes(coco, ("tree", "box"), categories=("box",))
    figure, _ = perfect(truth, label=1).figure(tmp_path / "a")
    assert figure.value == pytest.approx(100.0)


def test_annotations_without_area_and_from_id_0_count(coco, tmp_path):
    def strip(document):
        for number, entry in enumerate(document["annotations"]):
            entry["id"] = number
            del entry["area"], entry["iscrowd"]

    edit(coco, strip)
    figure, _ = perfect(boxes(coco)).figure(tmp_path / "a")
    assert figure.value == pytest.approx(100.0)


def test_a_set_without_ground_truth_is_refused(coco, tmp_path):
    edit(coco, lambda document: document["annotations"].clear())
    with pytest.raises(AnnotationError, match="no ground truth"):
        perfect(boxes(coco)).figure(tmp_path / "a")


# --- masks


@pytest.mark.parametrize(
    "damage,words",
    [
        (Path.unlink, "does not exist"),
        (lambda path: path.write_bytes(path.read_bytes()[:-60]), "mask cannot be decoded"),
        (lambda path: Image.new("L", (5, 5)).save(path), r"mask is \(5, 5\), its image \(64, 40\)"),
        (lambda path: Image.new("L", (40, 64), 2).save(path), "value 2, and data.classes has 2"),
        (lambda path: Image.new("RGB", (40, 64)).save(path), "grey or palette"),
        (lambda path: Image.new("I;16", (40, 64), 999).save(path), "values up to 999"),
    ],
)
def test_a_bad_mask_leaves_its_image_out(voc, damage, words):
    damage(voc / "SegmentationClass" / "002.png")
    truth = masks(voc)
    (entry,) = truth.skipped
    assert entry["file"] == "002.png"
    assert re.search(words, entry["reason"])
    assert names(truth) == ["000", "001", "003", "004", "005"]


def test_without_a_list_the_folder_is_the_list(voc):
    (voc / "JPEGImages" / "notes.txt").write_text("no image")
    assert names(masks(voc, split=None)) == ALL
    with pytest.raises(AnnotationError, match=r"holds no \.tif images"):
        masks(voc, split=None, image_suffix=".tif")
    with pytest.raises(AnnotationError, match="Absent is no folder"):
        masks(voc, split=None, images="Absent")


def test_a_missing_list_is_named(voc):
    with pytest.raises(AnnotationError, match=r"absent\.txt cannot be read.*data.split"):
        masks(voc, split="absent.txt")


@pytest.mark.parametrize(
    "classes,words",
    [
        (("dark", "light"), "only the model has light, only the masks have bright"),
        (("dark",), "only the model has none, only the masks have bright"),
    ],
)
def test_classes_of_model_and_masks_must_be_the_same(voc, classes, words):
    with pytest.raises(ModelError, match=words):
        masks(voc, classes)


def test_areas_are_counted_by_name_and_what_is_ignored_is_not(voc):
    image = voc / "JPEGImages" / "000.png"
    Image.new("RGB", (4, 2)).save(image)
    values = np.array([[0, 1, 2, 255], [0, 1, 2, 3]], np.uint8)
    Image.fromarray(values).save(voc / "SegmentationClass" / "000.png")
    (voc / "ImageSets" / "val.txt").write_text("000\n")
    # The model's labels: 0 c, 1 a, 2 without a category. The masks': 0 a, 1 none, 2 c, 3 b.
    truth = masks(voc, ("c", "a", None, "b"), values=("a", None, "c", "b"))
    found = np.array([[1, 0, 0, 0], [2, 0, 1, 3]])
    hit, union, area = truth.areas(0, found)
    assert truth.names == ["a", "c", "b"]
    # a: one of two found, one elsewhere; c: one of two, none elsewhere that counts; b: all.
    assert hit.tolist() == [1, 1, 1] and union.tolist() == [3, 2, 1]
    assert area.tolist() == [2, 2, 1]


def test_masks_of_the_ignored_value_alone_are_no_ground_truth(voc, tmp_path):
    for path in (voc / "SegmentationClass").iterdir():
        with Image.open(path) as mask:
            size = mask.size
        Image.new("L", size, 255).save(path)
    truth = masks(voc)
    tally = truth.tally()
    for index, path in enumerate(truth.paths):
        with Image.open(path) as picture:
            tally.add(index, np.zeros(picture.size[::-1], int))
    with pytest.raises(AnnotationError, match="no pixel of any class"):
        tally.figure(tmp_path / "a")
