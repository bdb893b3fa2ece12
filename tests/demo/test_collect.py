"""How the demo's files came about: masks against those of ../shared and of pycocotools."""

from __future__ import annotations

import contextlib
import io
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from jpeg_preproc.demo.collect import (
    class_mask,
    collect_photos,
    voc_labels,
    write_table,
)
from jpeg_preproc.demo.files import FOLDER, PHOTOS

pytest.importorskip("pycocotools", reason="needs pycocotools, of the extra 'openmmlab'")

NAMES = (PHOTOS / "names.txt").read_text().split()


def read_mask(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.array(image)


def test_the_photographs_of_the_data_set_give_the_shipped_files(
    shared_data: Path, tmp_path: Path
) -> None:
    out = collect_photos(shared_data / "coco", tmp_path / "photos")
    for name in ("names.txt", "instances.json"):
        assert (out / name).read_bytes() == (PHOTOS / name).read_bytes()
    for name in NAMES:
        shipped = PHOTOS / "images" / f"{name}.jpg"
        assert (out / "images" / shipped.name).read_bytes() == shipped.read_bytes()
        # Masks that another program has drawn from the same polygons.
        reference = read_mask(shared_data / f"coco/voc21_masks/val2017/{name}.png")
        for masks in (out, PHOTOS):
            np.testing.assert_array_equal(read_mask(masks / f"masks/{name}.png"), reference)


def test_the_masks_are_the_polygons_as_pycocotools_fills_them() -> None:
    from pycocotools.coco import COCO

    with contextlib.redirect_stdout(io.StringIO()):
        coco = COCO(str(PHOTOS / "instances.json"))
    labels = voc_labels(coco.dataset["categories"])
    assert len(labels) == 20 and labels[1] == 15  # person
    alike = total = 0
    for name in NAMES:
        mask = read_mask(PHOTOS / f"masks/{name}.png")
        filled = np.zeros_like(mask)
        entries = coco.imgToAnns[int(name)]
        for entry in sorted(entries, key=lambda entry: -entry["area"]):
            if not entry["iscrowd"]:
                filled[coco.annToMask(entry) == 1] = labels.get(entry["category_id"], 0)
        for entry in entries:
            if entry["iscrowd"] and entry["category_id"] in labels:
                filled[(coco.annToMask(entry) == 1) & (filled == 0)] = 255
        alike, total = alike + np.count_nonzero(filled == mask), total + mask.size
    assert alike / total > 0.99  # Pillow includes the outline itself


def square(category: int, left: int, side: int, *, crowd: bool = False) -> dict:
    """An annotation of a square at the top of a (12, 12) image."""
    right = left + side - 1
    segmentation: object = [[left, 0, right, 0, right, side - 1, left, side - 1]]
    if crowd:
        full = np.zeros((12, 12), dtype=bool)
        full[:side, left : left + side] = True
        flat = full.ravel(order="F")
        edges = np.flatnonzero(np.diff(flat)) + 1
        counts = np.diff([0, *edges, flat.size]).tolist()
        segmentation = {"size": [12, 12], "counts": [0, *counts] if flat[0] else counts}
    return dict(
        category_id=category, area=side * side, iscrowd=int(crowd), segmentation=segmentation
    )


def test_small_objects_and_those_of_no_class_hide_large_ones_and_a_crowd_hides_none() -> None:
    labels = {1: 15}
    mask = class_mask((12, 12), [square(7, 0, 2), square(1, 0, 4)], labels)
    assert mask[0, 0] == 0 and mask[3, 3] == 15 and np.count_nonzero(mask) == 16 - 4
    crowd = square(1, 0, 8, crowd=True)
    mask = class_mask((12, 12), [square(1, 0, 4), crowd], labels)
    assert mask[0, 0] == 15 and mask[7, 7] == 255 and np.count_nonzero(mask == 255) == 64 - 16
    assert not class_mask((12, 12), [square(7, 0, 8, crowd=True)], labels).any()


def test_only_photographs_under_the_licence_come_along(tmp_path: Path) -> None:
    coco = tmp_path / "coco"
    (coco / "val2017").mkdir(parents=True)
    (coco / "annotations").mkdir()
    images = [
        dict(id=number, file_name=f"{number:012d}.jpg", height=12, width=12, license=licence)
        for number, licence in ((9, 4), (2, 3), (5, 4))
    ]
    for image in images:
        (coco / "val2017" / str(image["file_name"])).write_bytes(b"%d" % image["id"])
    entries = [dict(square(1, 0, 4), id=number, image_id=number) for number in (9, 2, 5)]
    categories = [dict(id=1, name="person")]
    whole = dict(images=images, annotations=entries, categories=categories, licenses=[])
    (coco / "annotations/instances_val2017.json").write_text(json.dumps(whole))
    out = collect_photos(coco, tmp_path / "out")
    assert (out / "names.txt").read_text().split() == ["000000000005", "000000000009"]
    kept = json.loads((out / "instances.json").read_text())
    assert kept["images"] == [images[2], images[0]]
    assert kept["annotations"] == [entries[0], entries[2]]
    assert (out / "images/000000000009.jpg").read_bytes() == b"9"
    assert sorted(path.stem for path in (out / "masks").iterdir()) == [
        "000000000005",
        "000000000009",
    ]


def test_the_table_is_made_of_the_files(tmp_path: Path) -> None:
    folder = tmp_path / "demo"
    shutil.copytree(FOLDER, folder)
    (folder / "files.csv").unlink()
    assert write_table(folder).read_bytes() == (FOLDER / "files.csv").read_bytes()
