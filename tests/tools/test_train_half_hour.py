"""Half an hour of a large GPU, in a handful of steps on the CPU."""

from __future__ import annotations

import json
import time
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.flop_counter import FlopCounterMode

pytest.importorskip("mmengine", reason="training needs mmengine")

from mmengine.config import Config

from jpeg_preproc import JpegRestorer
from jpeg_preproc.errors import TrainingError
from jpeg_preproc.restorers import build_restorer, load_weights
from jpeg_preproc.training.data import ImageFolder
from jpeg_preproc.training.half_hour import pack, train_stages
from tools.train_half_hour import STAGES, main

SMALL = {
    "train_dataloader.batch_size": 1,
    "train_dataloader.num_workers": 0,
    "train_dataloader.persistent_workers": False,
    "train_dataloader.dataset.crop": 48,
    "val_dataloader.dataset.qfs": [10],
    "log_level": "ERROR",
}


@pytest.fixture
def packed(tmp_path, photo, monkeypatch):
    monkeypatch.setenv("JPEG_PREPROC_TEACHER", "base")  # restored when the test ends
    monkeypatch.setenv("JPEG_PREPROC_PACKED", str(tmp_path / "packed"))
    for part in ("train", "val"):
        folder = tmp_path / "packed" / part
        folder.mkdir(parents=True)
        Image.fromarray(photo[:64, :64]).save(folder / "a.png")
    return tmp_path / "packed"


def test_the_teacher_has_a_thousand_kmac_per_pixel():
    model = Config.fromfile(STAGES[0].config).model
    teacher = build_restorer(model.restorer, model.preset, **model.settings)
    with FlopCounterMode(display=False) as counter:
        teacher(torch.zeros(1, 3, 64, 64))
    assert 900e3 < counter.get_total_flops() / 2 / 64**2 < 1100e3


@pytest.mark.filterwarnings("ignore")
def test_a_teacher_is_trained_and_teaches(packed, tmp_path, photo, capsys, monkeypatch):
    config = tmp_path / "little_teacher.py"
    config.write_text(
        f"_base_ = [{str(STAGES[0].config)!r}]\nmodel = dict(settings=dict(widths=[8, 16, 32]))\n"
    )
    stages = [replace(STAGES[0], config=config), STAGES[3]]
    monkeypatch.setattr("tools.train_half_hour.STAGES", stages)
    work = tmp_path / "work"
    arguments = ["train", str(packed), "--work-dir", str(work), "--steps", "2"]
    arguments += ["--cfg-options", *(f"{key}={value}" for key, value in SMALL.items())]
    assert main(arguments) == 0
    weights = [stage.folder(work) / f"{stage.weights}.safetensors" for stage in stages]
    assert [line for line in capsys.readouterr().out.splitlines() if "weights:" in line] == [
        f"weights: {path}" for path in weights
    ]
    _, manifest = load_weights(weights[0])
    assert manifest.settings == {"widths": [8, 16, 32]}
    taught = json.loads(weights[1].with_suffix(".json").read_text())["training"]
    assert taught["teacher"] == {"name": "teacher", "sha256": manifest.sha256, "share": 0.7}
    assert taught["iterations"] == 2
    assert JpegRestorer(weights[1])(photo, qf=10).image.shape == photo.shape
    before = [path.stat().st_mtime_ns for path in weights]
    assert main(arguments) == 0  # all is done
    assert [path.stat().st_mtime_ns for path in weights] == before


@pytest.mark.filterwarnings("ignore")
def test_a_call_ends_in_time_and_the_next_goes_on(packed, tmp_path):
    work = tmp_path / "work"
    last = [STAGES[3]]
    settings = {**SMALL, "default_hooks.checkpoint.interval": 1}
    assert train_stages(last, work, 0, time.monotonic(), 3, settings) == []
    assert (last[0].folder(work) / "iter_1.pth").exists()
    (weights,) = train_stages(last, work, 0, steps=3, cfg_options=settings)
    assert json.loads(weights.with_suffix(".json").read_text())["training"]["iterations"] == 3


@pytest.mark.filterwarnings("ignore")
def test_too_little_time_is_refused_after_a_few_steps(packed, tmp_path):
    with pytest.raises(TrainingError, match=r"nano_taught_gpu\.py: a step takes .* more minutes"):
        train_stages([STAGES[3]], tmp_path / "work", 0.1, cfg_options=SMALL)


def test_images_are_packed_into_a_given_room(tmp_path):
    rng = np.random.default_rng(0)
    for name in ("one", "two", "val"):
        (tmp_path / name).mkdir()
        for index in range(4):
            pixels = rng.integers(0, 256, (64, 64, 3), np.uint8)
            Image.fromarray(pixels).save(tmp_path / name / f"{index}.png")
    folders = [ImageFolder(str(tmp_path / "one")), ImageFolder(str(tmp_path / "two"), shrink=2)]
    val = ImageFolder(str(tmp_path / "val"), start=-1)
    found = pack(folders, val, tmp_path / "all", 10**9)
    files = sorted(path for path in (tmp_path / "all").rglob("*") if path.is_file())
    assert found == {"images": 9, "bytes": sum(path.stat().st_size for path in files)}
    with Image.open(tmp_path / "all" / "train" / "two_0.webp") as reduced:
        assert reduced.size == (32, 32)
    some = pack(folders, val, tmp_path / "some", 40_000)
    files = [path for path in (tmp_path / "some").rglob("*") if path.is_file()]
    assert some["images"] == len(files) < 9
    assert sum(path.stat().st_size for path in files) <= 40_000
    with pytest.raises(TrainingError, match="alone take"):
        pack(folders, val, tmp_path / "none", 100)
