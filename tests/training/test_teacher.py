"""Learning from a larger restorer."""

from __future__ import annotations

import json

import numpy as np
import pytest

pytest.importorskip("mmengine", reason="training needs mmengine")

import torch
from mmengine.config import Config
from stirring import stir
from test_run import CONFIG

from jpeg_preproc.errors import TrainingError
from jpeg_preproc.restorers import build_restorer, load_weights, save_weights
from jpeg_preproc.restorers.contract import Quality
from jpeg_preproc.training.losses import charbonnier
from jpeg_preproc.training.model import RestorationModel
from jpeg_preproc.training.runner import GuardedRunner


@pytest.fixture
def weights(tmp_path):
    network = build_restorer("GridUNet", "nano")
    stir(network.tail, 0.01)
    path = tmp_path / "teacher.safetensors"
    save_weights(network, path, preset="nano")
    return path


@pytest.fixture
def batch():
    values = np.random.default_rng(0).integers(0, 256, (2, 2, 3, 32, 32), np.uint8)
    jpeg, clean = torch.from_numpy(values)
    quality = Quality.from_qf([10, 40])
    return {
        "jpeg": jpeg,
        "clean": clean,
        "qtables": quality.qtables,
        "qf": quality.qf,
        "known": torch.ones(2, dtype=torch.bool),
    }


def model(**teacher):
    torch.manual_seed(0)
    return RestorationModel("GridUNet", "nano", teacher=teacher or None)


@pytest.mark.parametrize("share", [0.3, 1.0])
def test_the_loss_is_shared_between_teacher_and_clean_image(weights, batch, share):
    student = model(weights=str(weights), share=share)
    stir(student.restorer.tail, 0.05)
    found = student(**batch, mode="loss")["loss"]
    teacher, _ = load_weights(weights)
    image, clean = batch["jpeg"] / 255, batch["clean"] / 255
    quality = Quality(batch["qtables"], batch["qf"], batch["known"])
    own = student.restorer(image, quality).image
    to_teacher = charbonnier(own, teacher(image, quality).image.detach())
    expected = share * to_teacher + (1 - share) * charbonnier(own, clean)
    assert found.item() == pytest.approx(expected.item(), rel=1e-5)
    found.backward()
    assert student.restorer.head.weight.grad.abs().sum() > 0


def test_the_teacher_is_no_part_of_the_model(weights, batch):
    alone, student = model(), model(weights=str(weights))
    assert student.state_dict().keys() == alone.state_dict().keys()
    assert len(list(student.parameters())) == len(list(alone.parameters()))
    student.double()  # it follows, or would refuse this
    image = batch["jpeg"].double() / 255
    quality = Quality(batch["qtables"].double(), batch["qf"].double(), batch["known"])
    assert student.teacher(image, quality).shape == image.shape


@pytest.mark.parametrize("share", [0, -0.1, 1.5])
def test_a_share_outside_is_refused(weights, share):
    with pytest.raises(TrainingError, match=r"share.*above 0"):
        model(weights=str(weights), share=share)


def test_a_setting_that_there_is_not_is_named():
    with pytest.raises(TrainingError, match=r"model\.teacher.*it takes weights and share"):
        model(name="base")


@pytest.mark.filterwarnings("ignore")
def test_the_manifest_names_the_teacher(tmp_path, weights, miniature, monkeypatch):
    monkeypatch.setenv("JPEG_PREPROC_DATA", str(tmp_path))
    options = {
        "train_dataloader.dataset.crop": 48,
        "experiment_name": tmp_path.name,
        "model.teacher": {"weights": str(weights), "share": 0.5},
    }
    GuardedRunner.from_cfg(miniature(Config.fromfile(CONFIG), **options)).train()
    manifest = json.loads((tmp_path / "work" / "nano.json").read_text())
    teacher = json.loads(weights.with_suffix(".json").read_text())
    assert manifest["training"]["teacher"] == {
        "name": "teacher",
        "sha256": teacher["sha256"],
        "share": 0.5,
    }
