"""The demo's files: all there, as the table says, under free licences; configs that fit them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from jpeg_preproc.demo import check_demo_files, demo_configs
from jpeg_preproc.demo.collect import VOC_CLASSES
from jpeg_preproc.demo.files import FOLDER, PHOTOS, TABLE, demo_files
from jpeg_preproc.errors import DemoError
from jpeg_preproc.evaluation.config import read_config
from jpeg_preproc.jpeg import read_jpeg_info

LIBRARY = {"detector": "mmdet", "segmenter": "mmseg"}


def test_the_shipped_files_are_those_of_the_table() -> None:
    check_demo_files()
    there = {
        path.relative_to(FOLDER).as_posix()
        for part in ("photos", "weights")
        for path in (FOLDER / part).rglob("*")
        if path.is_file()
    }
    assert {row["file"] for row in demo_files()} == there


def test_every_file_has_a_licence_a_source_and_an_author() -> None:
    licences = {"photos/images": "CC BY 2.0", "photos/masks": "CC BY 4.0", "weights": "Apache-2.0"}
    for row in demo_files():
        assert row["licence"].startswith(licences.get(row["file"].rpartition("/")[0], "CC BY 4.0"))
        assert "https://" in row["licence"] and "http" in row["source"] and row["author"]


def test_the_photographs_are_whole_and_small_together() -> None:
    photos = sorted((PHOTOS / "images").iterdir())
    names = (PHOTOS / "names.txt").read_text().split()
    assert [path.stem for path in photos] == names and len(photos) == 40
    assert sum(path.stat().st_size for path in photos) < 7e6
    for path in photos:
        info = read_jpeg_info(path)
        with Image.open(PHOTOS / "masks" / f"{path.stem}.png") as mask:
            assert mask.size == (info.width, info.height)
            assert {value for _, value in mask.getcolors()} <= {*range(21), 255}


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """The table with two of its files, and no others."""
    lines = TABLE.read_text().splitlines(keepends=True)
    (tmp_path / TABLE.name).write_text("".join(lines[:3]))
    for row in demo_files(tmp_path / TABLE.name):
        target = tmp_path / row["file"]
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(FOLDER / row["file"], target)
    return tmp_path


def test_a_changed_a_missing_and_an_unlisted_file_are_named(copy: Path) -> None:
    check_demo_files(copy)
    changed, missing = (copy / row["file"] for row in demo_files(copy / TABLE.name))
    data = bytearray(changed.read_bytes())
    data[len(data) // 2] ^= 1
    changed.write_bytes(data)
    with pytest.raises(DemoError, match=rf"{changed.name}: SHA-256 .*install jpeg_preproc anew"):
        check_demo_files(copy)
    shutil.copy(FOLDER / "photos/images" / changed.name, changed)
    missing.unlink()
    with pytest.raises(DemoError, match=rf"{missing.name} cannot be read"):
        check_demo_files(copy)
    (copy / TABLE.name).unlink()
    with pytest.raises(DemoError, match=r"files\.csv cannot be read"):
        check_demo_files(copy)


@pytest.mark.parametrize("role", LIBRARY)
def test_a_checkpoint_holds_tensors_that_fit_its_config(role: str) -> None:
    pytest.importorskip(LIBRARY[role])
    from mmengine.registry import MODELS, DefaultScope

    path, checkpoint = demo_configs()[role]
    config = read_config(path)
    state = torch.load(checkpoint, map_location="cpu", weights_only=True)["state_dict"]
    with DefaultScope.overwrite_default_scope(config.default_scope):
        MODELS.build(config.model).load_state_dict(state, strict=True)
    assert all(value.isfinite().all() for value in state.values())


def _dataset(role: str) -> Any:
    from mmengine.registry import DATASETS, DefaultScope

    config = read_config(demo_configs()[role][0])
    with DefaultScope.overwrite_default_scope(config.default_scope):
        return DATASETS.build(config.test_dataloader.dataset)


def test_mmdet_reads_the_official_annotations() -> None:
    pytest.importorskip("mmdet")
    coco = _dataset("detector")
    assert len(coco) == 40 and len(coco.cat_ids) == 80
    assert sum(len(coco.get_data_info(index)["instances"]) for index in range(40)) == 391
    assert all(Path(coco.get_data_info(index)["img_path"]).is_file() for index in range(40))
    whole = json.loads((PHOTOS / "instances.json").read_text())
    assert {image["license"] for image in whole["images"]} == {4}


def test_mmseg_reads_the_masks_in_the_classes_of_voc() -> None:
    pytest.importorskip("mmseg")
    voc = _dataset("segmenter")
    assert len(voc) == 40 and voc.metainfo["classes"] == VOC_CLASSES
    with Image.open(voc.get_data_info(0)["seg_map_path"]) as mask:
        colours = mask.getpalette()
    assert colours[: 3 * 21] == [value for colour in voc.metainfo["palette"] for value in colour]
