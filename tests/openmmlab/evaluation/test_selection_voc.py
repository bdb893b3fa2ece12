"""What is found wrong in sets of VOC, masks and boxes, before a run."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
import toysets
from PIL import Image
from selecting import drop, select, truncate

from jpeg_preproc.errors import AnnotationError
from jpeg_preproc.openmmlab.config import leaf_datasets

pytest.importorskip("mmdet")
pytest.importorskip("mmseg")


# --- segmentation


@pytest.mark.parametrize(
    "damage,words",
    [
        (lambda root: drop(root / "SegmentationClass" / "001.png"), "mask does not exist"),
        (lambda root: truncate(root / "SegmentationClass" / "001.png"), "cannot be decoded"),
        (
            lambda root: Image.fromarray(np.zeros((5, 5), np.uint8)).save(
                root / "SegmentationClass" / "001.png"
            ),
            r"mask is \(5, 5\)",
        ),
        (lambda root: drop(root / "JPEGImages" / "001.png"), "does not exist"),
    ],
)
def test_a_bad_mask_or_image_of_a_segmentation_set_is_left_out(tmp_path, voc, damage, words):
    damage(voc)
    config, selection = select(toysets.segmenter_config(tmp_path, voc), tmp_path)
    (entry,) = selection.skipped
    assert entry["file"].endswith("JPEGImages/001.png")
    assert re.search(words, entry["reason"])
    assert leaf_datasets(config)[0].indices == [0, 2, 3, 4, 5]


def test_a_missing_list_is_named(tmp_path, voc):
    (voc / "ImageSets" / "val.txt").unlink()
    with pytest.raises(AnnotationError, match=r"ImageSets/val\.txt"):
        select(toysets.segmenter_config(tmp_path, voc), tmp_path)


# --- VOC boxes


def test_ids_without_a_readable_xml_are_named_and_left_out(tmp_path):
    voc = toysets.write_voc(tmp_path / "VOC2007")
    path = toysets.voc_boxes(tmp_path, voc)
    (voc / "Annotations" / "002.xml").unlink()
    (voc / "Annotations" / "004.xml").write_text("<annotation>")
    config, selection = select(path, tmp_path)
    assert selection.images == 4
    reasons = [entry["reason"] for entry in selection.skipped]
    assert "002.xml does not exist" in reasons[0] and "004.xml cannot be parsed" in reasons[1]
    kept = Path(leaf_datasets(config)[0].ann_file).read_text().split()
    assert kept == ["000", "001", "003", "005"]


@pytest.mark.parametrize(
    "change,words",
    [
        (lambda mask: np.dstack([mask] * 3), "has 3 channels"),
        (lambda mask: mask + np.uint8(7), r"has the values \[7, 8\], and the data set 2 classes"),
    ],
)
def test_a_mask_that_is_none_leaves_its_image_out(tmp_path, voc, change, words):
    mask = voc / "SegmentationClass" / "002.png"
    Image.fromarray(change(np.array(Image.open(mask)))).save(mask)
    _, selection = select(toysets.segmenter_config(tmp_path, voc), tmp_path)
    (entry,) = selection.skipped
    assert re.search(words, entry["reason"]) and str(mask) in entry["reason"]


def test_values_of_a_mask_mean_what_mmseg_makes_of_them(tmp_path, voc):
    mask = voc / "SegmentationClass" / "002.png"
    labels = np.array(Image.open(mask))
    labels[0, 0] = 255
    Image.fromarray(labels).save(mask)
    path = toysets.segmenter_config(tmp_path, voc)
    assert select(path, tmp_path)[1].skipped == ()
    # With reduce_zero_label 0 is ignored and the classes stand at 1 and 2.
    labels[0, 1] = 2
    Image.fromarray(labels).save(mask)
    assert len(select(path, tmp_path)[1].skipped) == 1
    path.write_text(path.read_text().replace("img_suffix", "reduce_zero_label=True, img_suffix"))
    assert select(path, tmp_path)[1].skipped == ()


@pytest.mark.parametrize(
    "old,new,words",
    [
        ("bndbox>", "polygon>", "lacks the number <bndbox><xmin>"),
        ("<name>box</name>", "", "has an <object> without <name>"),
        ("<width>64</width>", "", "lacks the number <size><width>"),
        ("<ymax>", "<ymax>x", r"has 'x\d+' as the number <bndbox><ymax>"),
        ("<difficult>0", "<difficult>no", "has 'no' as the number <difficult>"),
    ],
)
def test_xml_that_lacks_what_mmdet_reads_is_named_and_left_out(tmp_path, voc, old, new, words):
    path = toysets.voc_boxes(tmp_path, voc)
    annotation = voc / "Annotations" / "001.xml"
    annotation.write_text(annotation.read_text().replace(old, new))
    _, selection = select(path, tmp_path)
    (entry,) = selection.skipped
    assert selection.images == 5
    assert re.search(words, entry["reason"]) and str(annotation) in entry["reason"]


def test_objects_of_other_classes_need_no_box_and_files_no_size(tmp_path, voc):
    path = toysets.voc_boxes(tmp_path, voc)
    annotation = voc / "Annotations" / "001.xml"
    text = annotation.read_text().replace(
        "<annotation>", "<annotation><object><name>o</name></object>"
    )
    annotation.write_text(re.sub("<size>.*</size>", "", text))
    assert select(path, tmp_path)[1].skipped == ()


def test_a_voc_list_with_blank_lines_is_read_and_one_without_xml_refused(tmp_path, voc):
    path = toysets.voc_boxes(tmp_path, voc)
    names = voc / "ImageSets" / "val.txt"
    names.write_text(names.read_text().replace("002", "\n  \n002") + "\n")
    _, selection = select(path, tmp_path)
    assert (selection.images, selection.skipped) == (6, ())
    for annotation in (voc / "Annotations").iterdir():
        annotation.unlink()
    with pytest.raises(
        AnnotationError, match=r"none of the 6 test images.*000\.xml does not exist"
    ):
        select(path, tmp_path)
