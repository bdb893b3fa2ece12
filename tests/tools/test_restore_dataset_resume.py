"""Runs of the tool after other runs, and its results in the hands of stock loaders."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from dataset_trees import content, write_coco
from PIL import Image

REPOSITORY = Path(__file__).resolve().parents[2]
TOOL = REPOSITORY / "tools" / "restore_dataset.py"


def test_a_second_run_restores_nothing_and_a_third_mends_what_was_damaged(
    restore, small_weights, coco, tmp_path, capfd
):
    out = tmp_path / "out"
    arguments = (coco, out, "--restorer", small_weights, "--workers", 0)
    assert restore(*arguments) == 0
    first = content(out)
    times = {path: path.stat().st_mtime_ns for path in (out / "small/val2017").iterdir()}
    capfd.readouterr()
    assert restore(*arguments) == 0
    assert "0 images restored, 5 found done" in capfd.readouterr().out
    assert {path: path.stat().st_mtime_ns for path in times} == times
    (out / "small/val2017/1.jpg").write_bytes(b"damaged")
    (out / "small/val2017/2.jpg").unlink()
    Image.new("RGB", (7, 9), "red").save(coco / "val2017/4.jpg")
    assert restore(*arguments) == 0
    assert "3 images restored, 2 found done" in capfd.readouterr().out
    changed = {name for name, data in content(out).items() if data != first[name]}
    assert changed == {"small/val2017/4.jpg", "small/manifest.json"}


def test_weights_that_say_another_share_do_not_go_on_in_one_folder(
    restore, small_weights, gentle_weights, coco, tmp_path, capfd
):
    arguments = (coco, tmp_path / "out", "--workers", 0, "--restorer")
    assert restore(*arguments, small_weights) == 0
    capfd.readouterr()
    assert restore(*arguments, gentle_weights) == 2
    assert "weights_strength" in capfd.readouterr().err
    assert restore(*arguments, gentle_weights, "--strength", 1.0) == 2


def test_splits_with_new_names_can_be_added_to_one_output(restore, small_weights, coco, tmp_path):
    (coco / "train2017").mkdir()
    Image.new("RGB", (24, 16), "green").save(coco / "train2017/9.jpg")
    write_coco(coco, "train2017", {"9.jpg": (24, 16)})
    options = ("--restorer", small_weights, "--workers", 0, "--names", "suffix")
    for split in ("val2017", "train2017"):
        assert restore(coco, tmp_path / "a", *options, "--splits", split) == 0
    assert restore(coco, tmp_path / "b", *options) == 0
    assert content(tmp_path / "a") == content(tmp_path / "b")


@pytest.mark.slow
def test_workers_and_a_kill_leave_no_trace(restore, small_weights, tmp_path, capfd):
    source, straight, out = tmp_path / "source", tmp_path / "straight", tmp_path / "out"
    (source / "val2017").mkdir(parents=True)
    rng = np.random.default_rng(3)
    names = [f"{index:03}.jpg" for index in range(24)]
    for name in names:
        noise = rng.integers(0, 256, (256, 320, 3), dtype=np.uint8)
        Image.fromarray(noise).save(source / "val2017" / name, quality=20)
    write_coco(source, "val2017", dict.fromkeys(names, (320, 256)))
    assert restore(source, straight, "--restorer", small_weights, "--workers", 0) == 0
    process = subprocess.Popen(
        [sys.executable, TOOL, source, out, "--restorer", small_weights, "--workers", "2"],
        env={**os.environ, "PYTHONPATH": str(REPOSITORY), "OMP_NUM_THREADS": "1"},
        stderr=subprocess.DEVNULL,
    )
    journal = out / "small/manifest.jsonl"
    deadline = time.monotonic() + 120
    while not journal.exists() or journal.read_bytes().count(b"\n") < 3:
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.002)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert journal.exists() and not (out / "small/manifest.json").exists()
    capfd.readouterr()
    assert restore(source, out, "--restorer", small_weights, "--workers", 2) == 0
    restored = int(capfd.readouterr().out.split(" images restored")[0].split()[-1])
    assert 0 < restored <= 24 - 2
    assert content(out) == content(straight)


@pytest.mark.slow
def test_stock_openmmlab_datasets_read_the_result_by_data_root(
    restore, small_weights, coco, voc, tmp_path
):
    pytest.importorskip("mmdet")
    pytest.importorskip("mmseg")
    from mmcv.transforms import LoadImageFromFile
    from mmdet.datasets import CocoDataset, VOCDataset
    from mmseg.datasets import PascalVOCDataset

    options = ("--restorer", small_weights, "--workers", 0)
    assert restore(coco, tmp_path / "coco_out", *options) == 0
    assert restore(voc, tmp_path / "voc_out", *options) == 0
    assert restore(voc, tmp_path / "voc_png", *options, "--names", "suffix") == 0

    def regions_of(folder: str, **changes: str) -> PascalVOCDataset:
        return PascalVOCDataset(
            data_root=str(tmp_path / folder / "small/VOCdevkit/VOC2012") + "/",
            ann_file="ImageSets/Main/val.txt",
            data_prefix={"img_path": "JPEGImages", "seg_map_path": "SegmentationClass"},
            test_mode=True,
            **changes,
        )

    boxes = CocoDataset(
        data_root=str(tmp_path / "coco_out/small") + "/",
        ann_file="annotations/instances_val2017.json",
        data_prefix={"img": "val2017/"},
        metainfo={"classes": ("thing",)},
        test_mode=True,
    )
    objects = VOCDataset(
        data_root=str(tmp_path / "voc_out/small/VOCdevkit") + "/",
        ann_file="VOC2012/ImageSets/Main/val.txt",
        data_prefix={"sub_data_root": "VOC2012/"},
        test_mode=True,
    )
    datasets = [boxes, objects, regions_of("voc_out"), regions_of("voc_png", img_suffix=".png")]
    assert [len(dataset) for dataset in datasets] == [5, 1, 1, 1]
    for dataset in datasets:
        for index in range(len(dataset)):
            record = dataset.get_data_info(index)
            with Image.open(record["img_path"]) as image:
                assert image.format == "PNG"
                size = image.size
            shape = LoadImageFromFile()(record)["ori_shape"]
            assert shape == size[::-1]
