"""The set on disk: read back with pycocotools and Pillow; written once, mended when damaged."""

from __future__ import annotations

import contextlib
import io
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from jpeg_preproc.demo import layout, make_demo_dataset
from jpeg_preproc.demo.layout import run_lengths
from jpeg_preproc.demo.scene import IMAGE_SIZE, render_scene
from jpeg_preproc.demo.surfaces import CLASSES

COUNT = 3


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_demo_dataset(tmp_path_factory.mktemp("demo"), count=COUNT)


def _coco(root: Path):  # type: ignore[no-untyped-def]
    coco = pytest.importorskip("pycocotools.coco")
    with contextlib.redirect_stdout(io.StringIO()):
        return coco.COCO(str(root / "coco/annotations/instances_val.json"))


def test_coco_boxes_and_areas_are_those_of_the_masks(root: Path) -> None:
    mask_api = pytest.importorskip("pycocotools.mask")
    coco = _coco(root)
    assert [category["name"] for category in coco.loadCats(coco.getCatIds())] == list(CLASSES)
    assert len(coco.getImgIds()) == COUNT
    for annotation in coco.loadAnns(coco.getAnnIds()):
        encoded = coco.annToRLE(annotation)
        assert annotation["bbox"] == mask_api.toBbox(encoded).tolist()
        assert annotation["area"] == int(mask_api.area(encoded))


def test_voc_masks_are_the_coco_masks(root: Path) -> None:
    coco = _coco(root)
    names = (root / "voc/ImageSets/Segmentation/val.txt").read_text().split()
    assert len(names) == COUNT
    for name, image in zip(names, coco.loadImgs(coco.getImgIds()), strict=True):
        drawn = np.zeros(IMAGE_SIZE, dtype=np.uint8)
        for annotation in coco.loadAnns(coco.getAnnIds(imgIds=image["id"])):
            drawn[coco.annToMask(annotation) == 1] = annotation["category_id"]
        with Image.open(root / f"voc/SegmentationClass/{name}.png") as mask:
            assert mask.mode == "P"
            np.testing.assert_array_equal(np.asarray(mask), drawn)


def test_both_layouts_hold_the_rendered_pixels(root: Path) -> None:
    for index in range(COUNT):
        expected = render_scene(1, index, layout.SPLIT_CONTRASTS["val"]).image
        for name in (f"coco/val/{index:06d}.png", f"voc/JPEGImages/val_{index:06d}.png"):
            with Image.open(root / name) as image:
                np.testing.assert_array_equal(np.asarray(image), expected)


def test_a_complete_set_is_left_alone(root: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in root.rglob("*")}
    make_demo_dataset(root, count=COUNT)
    assert {path: path.stat().st_mtime_ns for path in root.rglob("*")} == before


@pytest.mark.parametrize("damage", ["version", "stamp", "file"])
def test_an_outdated_or_damaged_set_is_made_again(tmp_path: Path, damage: str) -> None:
    make_demo_dataset(tmp_path, count=1)
    stamp, image = tmp_path / "demo-val.json", tmp_path / "coco/val/000000.png"
    pixels = image.read_bytes()
    image.write_bytes(b"of another version")
    if damage == "version":
        stamp.write_text(json.dumps({**json.loads(stamp.read_text()), "generator": -1}))
    elif damage == "stamp":
        stamp.write_text("{")
    else:
        image.unlink()
    make_demo_dataset(tmp_path, count=1)
    assert image.read_bytes() == pixels
    assert json.loads(stamp.read_text())["generator"] == layout.GENERATOR_VERSION


def test_a_killed_run_leaves_no_stamp(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def killed(stream: int, index: int, contrast: float) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(layout, "render_scene", killed)
        with pytest.raises(KeyboardInterrupt):
            make_demo_dataset(tmp_path, count=1)
    assert not (tmp_path / "demo-val.json").exists()
    make_demo_dataset(tmp_path, count=1)
    assert (tmp_path / "demo-val.json").exists()


def test_foreign_files_are_left_alone(tmp_path: Path) -> None:
    (tmp_path / "coco").mkdir()
    (tmp_path / "coco/notes.txt").write_text("mine")
    make_demo_dataset(tmp_path, count=1)
    assert (tmp_path / "coco/notes.txt").read_text() == "mine"


def test_an_unknown_split_is_refused(tmp_path: Path) -> None:
    with pytest.raises(KeyError, match="exam"):
        make_demo_dataset(tmp_path, "exam")


def test_run_lengths_decode_with_pycocotools() -> None:
    mask_api = pytest.importorskip("pycocotools.mask")
    rng = np.random.default_rng(0)
    for mask in (rng.random((7, 5)) < 0.5, np.ones((3, 2), bool), np.zeros((3, 2), bool)):
        encoded = mask_api.frPyObjects(
            {"size": list(mask.shape), "counts": run_lengths(mask)}, *mask.shape
        )
        np.testing.assert_array_equal(mask_api.decode(encoded), mask)
