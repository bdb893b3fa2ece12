"""The dataset tools on a Ray cluster: as in one process, though a worker is killed."""

from __future__ import annotations

import os
import signal
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from dataset_trees import add_bad_images, content, write_coco
from PIL import Image

pytestmark = pytest.mark.slow


@pytest.fixture
def large(tmp_path, photo) -> Path:
    """A dataset of which each image takes a while."""
    root, images = tmp_path / "coco", np.tile(photo, (6, 4, 1))
    (root / "val2017").mkdir(parents=True)
    sizes = {f"{index}.jpg": (736, 720) for index in range(40)}
    for index, name in enumerate(sizes):
        Image.fromarray(np.roll(images, index * 8, axis=1)).save(root / "val2017" / name)
    write_coco(root, "val2017", sizes)
    return root


def kill_a_worker(out: Path, killed: list[int]) -> None:
    """Kill a worker of the cluster once it has written something, and say how much there was."""
    while True:
        written = list(out.rglob("*.jpg"))
        workers = [
            int(entry.name)
            for entry in Path("/proc").iterdir()
            if entry.name.isdigit() and command_of(entry).startswith(b"ray::MapBatches")
        ]
        if written and workers:
            os.kill(workers[0], signal.SIGKILL)
            killed.append(len(written))
            return
        time.sleep(0.005)


def command_of(process: Path) -> bytes:
    try:
        return (process / "cmdline").read_bytes()
    except OSError:
        return b""


def test_a_worker_killed_in_the_middle_costs_nothing(tmp_path, large, compress, ray_cluster):
    out, killed = tmp_path / "ray", []
    threading.Thread(target=kill_a_worker, args=(out, killed), daemon=True).start()
    arguments = ("--qf", 10, 30, 50, 70, 90)
    assert compress(large, out, *arguments, "--executor", "ray") == 0
    assert killed and killed[0] < 200
    assert compress(large, tmp_path / "alone", *arguments, "--workers", 0) == 0
    assert content(out) == content(tmp_path / "alone")


def test_restored_as_in_one_process(tmp_path, coco, restore, small_weights, ray_cluster, capsys):
    add_bad_images(coco)
    arguments = ("--restorer", small_weights)
    assert restore(coco, tmp_path / "ray", *arguments, "--executor", "ray") == 1
    errors = capsys.readouterr().err
    assert "cmyk.jpg" in errors and "truncated.jpg" in errors
    assert restore(coco, tmp_path / "alone", *arguments, "--workers", 0) == 1
    assert content(tmp_path / "ray") == content(tmp_path / "alone")


@pytest.mark.parametrize(
    "options,message",
    [
        (["--executor", "ray", "--launcher", "slurm"], "leave --launcher slurm away"),
        (["--executor", "ray", "--device", "cuda:0"], "give cpu, or cuda"),
    ],
)
def test_options_that_contradict_each_other(tmp_path, coco, restore, options, message, capsys):
    assert restore(coco, tmp_path / "out", *options) == 2
    assert message in capsys.readouterr().err.replace("\n", " ")
    assert not (tmp_path / "out").exists()
