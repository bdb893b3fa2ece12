"""Fixtures of the tools' tests."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from dataset_trees import write_coco
from PIL import Image
from tool_runs import load_module, load_tool

from jpeg_preproc.restorers import build_restorer, save_weights


@pytest.fixture(scope="module")
def compress():
    return load_tool("compress_dataset")


@pytest.fixture(scope="module")
def restore():
    return load_tool("restore_dataset")


@pytest.fixture(scope="module")
def tool():
    """eval_downstream, as a module."""
    return load_module("eval_downstream")


@pytest.fixture
def weights(tmp_path) -> Path:
    """Weights of an untrained network; its rows are called ``arcnn``."""
    torch.manual_seed(0)
    path = tmp_path / "arcnn.safetensors"
    save_weights(build_restorer("ARCNN"), path, preset="base")
    return path


@pytest.fixture
def coco(tmp_path, photo) -> Path:
    root = tmp_path / "coco"
    (root / "val2017").mkdir(parents=True)
    picture = Image.fromarray(photo)
    picture.save(root / "val2017/1.jpg", quality=93, subsampling="4:4:4")
    picture.convert("L").save(root / "val2017/2.jpg", quality=71)
    picture.crop((0, 0, 1, 1)).save(root / "val2017/3.jpg")
    picture.crop((5, 5, 12, 14)).save(root / "val2017/4.jpg", progressive=True)
    picture.save(root / "val2017/5.png")
    sizes = {"1.jpg": (184, 120), "2.jpg": (184, 120), "3.jpg": (1, 1), "4.jpg": (7, 9)}
    write_coco(root, "val2017", {**sizes, "5.png": (184, 120)})
    masks = root / "annotations/panoptic_val2017"
    masks.mkdir()
    Image.fromarray(photo[..., 0]).save(masks / "1.png")
    return root


@pytest.fixture
def voc(tmp_path, photo) -> Path:
    year = tmp_path / "voc/VOCdevkit/VOC2012"
    for folder in ("JPEGImages", "SegmentationClass", "Annotations", "ImageSets/Main", "empty"):
        (year / folder).mkdir(parents=True)
    for name in ("2007_000001", "2007_000002"):
        Image.fromarray(photo[:64, :80]).save(year / f"JPEGImages/{name}.jpg", quality=90)
        Image.fromarray(photo[:64, :80, 0]).save(year / f"SegmentationClass/{name}.png")
        (year / f"Annotations/{name}.xml").write_text(
            f"<annotation><filename>{name}.jpg</filename><size><width>80</width>"
            "<height>64</height><depth>3</depth></size></annotation>"
        )
    (year / "ImageSets/Main/train.txt").write_text("2007_000001\n")
    (year / "ImageSets/Main/val.txt").write_text("2007_000002\n")
    return tmp_path / "voc"
