from __future__ import annotations

import json
import os
import time
from pathlib import Path

import pytest
import toysets
from mmengine.registry import init_default_scope
from PIL import Image
from selecting import drop, select, truncate

from jpeg_preproc.errors import AnnotationError, JpegPreprocError
from jpeg_preproc.openmmlab.config import leaf_datasets, load_config, metric_configs
from jpeg_preproc.openmmlab.evaluation.selection import select_images

pytest.importorskip("mmdet")
pytest.importorskip("mmseg")


@pytest.fixture
def coco(tmp_path):
    return toysets.write_coco(tmp_path / "coco", suffix=".jpg")


def narrowed(config):
    """Image ids that the dataset and the metric are left with."""
    (metric,) = metric_configs(config)
    document = json.loads(Path(metric.ann_file).read_text())
    images = {entry["id"] for entry in document["images"]}
    assert images == {entry["image_id"] for entry in document["annotations"]}
    return [10 + index for index in leaf_datasets(config)[0].indices], images


def test_a_sound_set_is_left_alone(tmp_path, coco):
    path = toysets.detector_config(tmp_path, coco)
    config, selection = select(path, tmp_path)
    assert (selection.images, selection.skipped) == (6, ())
    assert "indices" not in leaf_datasets(config)[0]
    assert metric_configs(config)[0].ann_file == f"{coco}/annotations/val.json"
    assert not (tmp_path / "narrowed").exists()


def test_a_limit_is_spread_evenly_and_reaches_the_metric(tmp_path, coco):
    config, selection = select(toysets.detector_config(tmp_path, coco), tmp_path, limit=3)
    assert selection.images == 3
    assert narrowed(config) == ([10, 12, 14], {10, 12, 14})


def test_what_a_killed_run_had_begun_to_shorten_goes_and_another_s_stays(tmp_path, coco):
    path = toysets.detector_config(tmp_path, coco)
    config, _ = select(path, tmp_path, limit=3)
    written = Path(metric_configs(config)[0].ann_file)
    killed, other = (
        written.with_name(f".{written.name}.{digits}") for digits in ("0123abcd", "ef456789")
    )
    for begun in (killed, other):
        begun.touch()
    os.utime(killed, (1000, 1000))
    os.utime(other, (time.time() + 60,) * 2)  # written while this one writes
    select(path, tmp_path, limit=3)
    assert not killed.exists() and other.exists()


def replace_by_text(path):
    path.write_text("no image")


def empty(path):
    path.write_bytes(b"")


@pytest.mark.parametrize(
    "damage,words",
    [
        (drop, "does not exist"),
        (truncate, "is truncated"),
        (replace_by_text, "cannot be decoded"),
        (empty, "cannot be decoded"),
    ],
)
def test_a_bad_image_is_named_and_left_out_everywhere(tmp_path, coco, damage, words):
    damage(coco / "val" / "002.jpg")
    config, selection = select(toysets.detector_config(tmp_path, coco), tmp_path)
    (entry,) = selection.skipped
    assert entry["file"].endswith("val/002.jpg") and words in entry["reason"]
    assert selection.images == 5
    assert narrowed(config) == ([10, 11, 13, 14, 15], {10, 11, 13, 14, 15})


def test_a_path_outside_the_data_root_is_left_out(tmp_path, coco):
    annotations = coco / "annotations" / "val.json"
    (coco / "val" / "001.jpg").rename(tmp_path / "stray.jpg")
    annotations.write_text(annotations.read_text().replace("001.jpg", "../../stray.jpg"))
    _, selection = select(toysets.detector_config(tmp_path, coco), tmp_path)
    (entry,) = selection.skipped
    assert "outside the data root" in entry["reason"] and "stray.jpg" in entry["reason"]


def test_grey_cmyk_and_turned_images_are_used(tmp_path, coco):
    for name, mode in (("000.jpg", "L"), ("001.jpg", "CMYK")):
        with Image.open(coco / "val" / name) as picture:
            converted = picture.convert(mode)
        converted.save(coco / "val" / name)
    exif = Image.Exif()
    exif[0x0112] = 6
    with Image.open(coco / "val" / "002.jpg") as picture:
        turned = picture.copy()
    turned.save(coco / "val" / "002.jpg", exif=exif)
    _, selection = select(toysets.detector_config(tmp_path, coco), tmp_path)
    assert (selection.images, selection.skipped) == (6, ())


def test_the_digest_tells_images_and_annotations_apart(tmp_path, coco):
    path = toysets.detector_config(tmp_path, coco)
    digests = {select(path, tmp_path)[1].digest, select(path, tmp_path, limit=3)[1].digest}
    image = coco / "val" / "000.jpg"
    image.write_bytes(image.read_bytes() + b"\0")
    digests.add(select(path, tmp_path)[1].digest)
    annotations = coco / "annotations" / "val.json"
    annotations.write_text(annotations.read_text() + "\n")
    digests.add(select(path, tmp_path)[1].digest)
    assert len(digests) == 4
    assert select(path, tmp_path)[1].digest in digests


@pytest.mark.parametrize(
    "content,words",
    [
        (None, r"val\.json cannot be read as CocoDataset"),
        ("{", r"val\.json is no valid JSON"),
        ('{"images": []}', r"val\.json"),
        ("[]", r"val\.json is not an annotation file of COCO"),
    ],
)
def test_a_bad_annotation_file_is_named(tmp_path, coco, content, words):
    path = toysets.detector_config(tmp_path, coco)
    annotations = coco / "annotations" / "val.json"
    annotations.unlink() if content is None else annotations.write_text(content)
    with pytest.raises(AnnotationError, match=words):
        select(path, tmp_path)


def test_class_names_that_differ_are_refused(tmp_path, coco):
    path = toysets.detector_config(tmp_path, coco)
    path.write_text(path.read_text().replace("('box',)", "('Box',)"))
    with pytest.raises(AnnotationError, match=r"val\.json.*lacks Box"):
        select(path, tmp_path)


def test_class_names_in_another_order_are_refused(tmp_path, coco):
    annotations = coco / "annotations" / "val.json"
    document = json.loads(annotations.read_text())
    document["categories"].insert(0, {"id": 1, "name": "other"})
    annotations.write_text(json.dumps(document))
    path = toysets.detector_config(tmp_path, coco)
    path.write_text(path.read_text().replace("('box',)", "('box', 'other')"))
    with pytest.raises(AnnotationError, match="another order"):
        select(path, tmp_path)


def test_no_usable_image_is_an_error(tmp_path, coco):
    for path in (coco / "val").iterdir():
        path.unlink()
    with pytest.raises(AnnotationError, match="none of the 6 test images"):
        select(toysets.detector_config(tmp_path, coco), tmp_path)


def test_a_float_loader_is_taken(tmp_path, coco):
    load = "dict(type='LoadImageFromFile', to_float32=True)"
    _, selection = select(toysets.detector_config(tmp_path, coco, pipeline=load), tmp_path)
    assert (selection.images, selection.skipped) == (6, ())


def with_other_ids(coco):
    """The same images with ids of their own, in a second annotation file."""
    document = json.loads((coco / "annotations" / "val.json").read_text())
    for entry in document["images"]:
        entry["id"] += 100
    for entry in document["annotations"]:
        entry["image_id"] += 100
    path = coco / "annotations" / "second.json"
    path.write_text(json.dumps(document))
    return path


def test_images_of_a_concatenation_are_chosen_from_all_parts(tmp_path, coco):
    second = with_other_ids(coco)
    path = toysets.detector_config(tmp_path, coco)
    path.write_text(
        path.read_text()
        + "part = test_dataloader.pop('dataset')\n"
        + "test_dataloader['dataset'] = dict(type='ConcatDataset', datasets=[part, "
        + f"dict(part, ann_file={str(second)!r})])\n"
        + "test_evaluator = dict(type='CocoMetric')\ndel part\n"
    )
    config, selection = select(path, tmp_path, limit=4)
    assert selection.images == 4
    assert [part.indices for part in leaf_datasets(config)] == [[0, 3], [0, 3]]


def test_a_part_chosen_by_the_config_stays_chosen(tmp_path, coco):
    path = toysets.detector_config(tmp_path, coco)
    text = path.read_text().replace("test_mode=True,", "test_mode=True, indices=[5, 3, 1],")
    path.write_text(text)
    (coco / "val" / "003.jpg").unlink()
    config, selection = select(path, tmp_path)
    assert selection.images == 2
    assert narrowed(config) == ([15, 11], {15, 11})


def edit(path, change):
    document = json.loads(path.read_text())
    change(document)
    path.write_text(json.dumps(document))


def without(part, key):
    def change(document):
        del document[part][1][key]

    return change


def setting(part, index, **values):
    return lambda document: document[part][index].update(values)


@pytest.mark.parametrize(
    "change,words",
    [
        (
            without("annotations", "iscrowd"),
            "1 of its 6 annotations have no 'iscrowd'.*set it to 0",
        ),
        (without("annotations", "area"), "no 'area', the first of them annotations.1.; give each"),
        (without("annotations", "id"), "no 'id'.*number them from 1"),
        (without("annotations", "category_id"), "no 'category_id'"),
        (without("annotations", "bbox"), "no 'bbox'"),
        (without("images", "height"), "1 of its 6 images have no 'height'"),
        (without("images", "id"), "no 'id'"),
        (lambda document: document.pop("categories"), "it needs lists of images, annotations and"),
        (setting("annotations", 2, bbox=[1, 2, 3]), "annotation 3 has the bbox"),
        (setting("annotations", 0, id=0), "id 0, and pycocotools takes its match for none"),
        (setting("annotations", 0, id=2), "two of its annotations have the id 2"),
        (setting("images", 0, id=11), "two of its images have the id 11"),
    ],
)
def test_what_pycocotools_would_stumble_over_is_found_before_the_images(
    tmp_path, coco, change, words
):
    edit(coco / "annotations" / "val.json", change)
    with pytest.raises(AnnotationError, match=rf"val\.json.*{words}"):
        select(toysets.detector_config(tmp_path, coco), tmp_path)


def joined(tmp_path, coco, second, evaluator):
    path = toysets.detector_config(tmp_path, coco)
    path.write_text(
        path.read_text()
        + "part = test_dataloader.pop('dataset')\n"
        + "test_dataloader['dataset'] = dict(type='ConcatDataset', datasets=[part, "
        + f"dict(part, ann_file={str(second)!r})])\n"
        + f"test_evaluator = {evaluator}\ndel part\n"
    )
    return path


def test_sets_that_a_metric_cannot_tell_apart_are_refused(tmp_path, coco):
    first = coco / "annotations" / "val.json"
    path = joined(tmp_path, coco, first, "dict(type='CocoMetric')")
    with pytest.raises(AnnotationError, match=r"image id \d+ is in annotations/val\.json and in"):
        select(path, tmp_path)


def test_a_metric_of_one_of_two_sets_is_refused(tmp_path, coco):
    second, first = with_other_ids(coco), coco / "annotations" / "val.json"
    metrics = [dict(type="CocoMetric", ann_file=str(file)) for file in (first, second)]
    with pytest.raises(
        AnnotationError, match=r"val\.json, which CocoMetric compares with, lacks 6"
    ):
        select(joined(tmp_path, coco, second, repr(metrics)), tmp_path)


def test_an_evaluator_of_several_sets_is_refused_and_a_plain_one_unwrapped(tmp_path, coco):
    first = coco / "annotations" / "val.json"
    inner = f"metrics=[dict(type='CocoMetric', ann_file={str(first)!r})]"
    path = toysets.detector_config(tmp_path, coco)
    text = path.read_text()
    path.write_text(f"{text}test_evaluator = dict(type='MultiDatasetsEvaluator', {inner})\n")
    with pytest.raises(JpegPreprocError, match=r"MultiDatasetsEvaluator.*evaluate one at a time"):
        select(path, tmp_path)
    path.write_text(f"{text}test_evaluator = dict(type='Evaluator', {inner})\n")
    config, _ = select(path, tmp_path)
    assert [metric.type for metric in metric_configs(config)] == ["CocoMetric"]


def test_classes_given_as_a_string_are_told_so(tmp_path, coco):
    path = toysets.detector_config(tmp_path, coco)
    path.write_text(path.read_text().replace("('box',)", "('box')"))
    with pytest.raises(AnnotationError, match=r"'box' is a string.*classes=\('box',\)"):
        select(path, tmp_path)


@pytest.mark.parametrize("suffix", [".jpg", ".png"])
def test_an_image_that_is_too_large_is_left_out(tmp_path, suffix):
    coco = toysets.write_coco(tmp_path / "coco", suffix=suffix)
    large = sorted(path for path in coco.rglob(f"*{suffix}"))[0]
    with Image.open(large) as image:
        image.resize((80, 80)).save(large)
    config = load_config(toysets.detector_config(tmp_path, coco))
    init_default_scope(config.default_scope)
    selection = select_images(config, tmp_path / "narrowed", max_pixels=3000)
    assert selection.images == 5
    (entry,) = selection.skipped
    assert large.name in entry["file"] and "80x80 pixels" in entry["reason"]
