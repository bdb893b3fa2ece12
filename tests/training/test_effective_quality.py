"""What the quality estimator is trained to say, and that it learns to."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
import torch
from PIL import Image

pytest.importorskip("mmengine", reason="training needs mmengine")

from mmengine.config import Config
from mmengine.registry import DATASETS, MODELS
from mmengine.runner import Runner

from jpeg_preproc.errors import TrainingError
from jpeg_preproc.jpeg.tables import octaves_of
from jpeg_preproc.restorers.contract import Restorer, RestorerOutput, RestorerSpec
from jpeg_preproc.restorers.quality_estimator import CROP, QualityEstimator
from jpeg_preproc.restorers.weights import fill, read_state
from jpeg_preproc.training.effective_quality import EffectiveQualityCrops, best_octaves

CONFIG = (
    Path(__file__).resolve().parents[2]
    / "configs/restorers/quality_estimator/quality_estimator_cpu_6k.py"
)


class Best(Restorer):
    """Errs by as much as it is told wrong: nothing at one coarseness, more on either side."""

    spec: ClassVar[RestorerSpec] = RestorerSpec((3,), 8, "required", "a test")
    presets: ClassVar[dict] = {"base": {}}

    def __init__(self, octaves, clean):
        super().__init__()
        self.octaves, self.clean = octaves, clean

    @property
    def receptive_radius(self):
        return 0

    def forward(self, image, quality=None):
        told = torch.tensor([octaves_of(float(qf)) for qf in quality.qf])
        miss = 0.02 + 0.05 * (told - self.octaves).abs()
        return RestorerOutput(self.clean + miss[:, None, None, None], quality.qf)


@pytest.mark.parametrize("qf", [8, 15, 30, 55, 80])
def test_the_best_quality_is_the_one_of_least_error(qf):
    clean = torch.rand(3, 16, 16)
    restorer = Best(octaves_of(qf), clean)
    spoilt = clean + 0.5
    assert best_octaves(restorer, clean, spoilt) == pytest.approx(octaves_of(qf), abs=0.3)


def test_where_every_quality_harms_the_finest_is_told():
    clean = torch.rand(3, 16, 16)
    found = best_octaves(Best(0.0, clean), clean, clean + 0.01)
    assert found == octaves_of(100)


@pytest.fixture
def crops(tmp_path, photo):
    Image.fromarray(np.tile(photo, (2, 2, 1))).save(tmp_path / "a.png")
    return {
        "sources": [{"folder": str(tmp_path)}],
        "coding": {"qf_ranges": [(5, 5, 0.5), (90, 90, 0.5)], "double": 0.0, "grey": 0.0},
    }


def test_crops_are_made_once_and_kept(tmp_path, crops):
    cache = tmp_path / "kept.npz"
    made = []

    def build(count, **more):
        return EffectiveQualityCrops(
            crops, count, "nano", cache, on_made=lambda *step: made.append(step), **more
        )

    first = build(3)
    assert made == [(3, 3)]
    again = build(3)
    assert made == [(3, 3)] and torch.equal(again[1]["octaves"], first[1]["octaves"])
    assert first[0]["luma"].shape == (1, CROP, CROP) and first[0]["luma"].dtype == torch.uint8
    assert len(build(5)) == 5 and made[1:] == [(5, 5)]  # goes on where it was
    assert len(build(3, length=50)) == 50
    with pytest.raises(TrainingError, match="crops of other settings"):
        build(3, clean=0.5)


def test_coarse_files_are_told_coarser_than_fine_ones(tmp_path, crops):
    found = EffectiveQualityCrops(crops, 12, "nano", tmp_path / "kept.npz", clean=0.0)
    coarse = found.octaves[found.octaves > octaves_of(40)]
    fine = found.octaves[found.octaves < octaves_of(70)]
    assert len(coarse) + len(fine) == 12 and min(len(coarse), len(fine)) >= 2


def test_a_file_claims_its_own_coarseness_and_what_has_none_claims_nothing(tmp_path, crops):
    found = EffectiveQualityCrops(crops, 12, "nano", tmp_path / "files.npz", clean=0.0)
    assert {round(value, 3) for value in found.claimed.tolist()} == {
        round(octaves_of(5), 3),
        round(octaves_of(90), 3),
    }
    assert (np.abs(found.claimed - found.octaves) < 1).mean() > 0.7
    crops["coding"] |= {"shifted": 1.0}
    cut = EffectiveQualityCrops(crops, 6, "nano", tmp_path / "cut.npz", clean=0.0)
    assert np.isnan(cut.claimed).all() and torch.isnan(cut[2]["claimed"])
    clean = EffectiveQualityCrops(crops, 3, "nano", tmp_path / "clean.npz", clean=1.0)
    assert np.isnan(clean.claimed).all()


def test_the_config_is_whole_and_a_training_in_miniature_learns(tmp_path, crops):
    crops["coding"] |= {"shifted": 1.0}  # so that no file tells the answer
    config = Config.fromfile(CONFIG)
    photographs, drawings = config.train_dataloader.dataset.parts
    photographs.update(crops=crops, count=12, cache=str(tmp_path / "train.npz"))
    drawings.update(count=4, cache=str(tmp_path / "graphics.npz"))
    drawings.crops.sources = [dict(graphics=4)]
    config.val_dataloader.dataset.update(crops=crops, count=4, cache=str(tmp_path / "val.npz"))
    config.train_dataloader.batch_size = 8
    config.train_cfg.update(max_iters=60, val_interval=60)
    config.param_scheduler = []
    config.work_dir = str(tmp_path / "work")
    runner = Runner.from_cfg(config)
    model = runner.model
    batch = [DATASETS.build(config.train_dataloader.dataset)[index] for index in range(16)]
    keys = ("luma", "octaves", "claimed")
    data = {key: torch.stack([item[key] for item in batch]) for key in keys}

    def miss():
        model.train()  # batch norm has not seen enough to know its statistics
        return float((model(**data).octaves - data["octaves"]).abs().mean().detach())

    before = miss()
    runner.train()
    assert miss() < 0.75 * before
    state, manifest = read_state(tmp_path / "work" / "quality.safetensors")
    assert (manifest.restorer, manifest.training["iterations"]) == ("QualityEstimator", 60)
    fill(QualityEstimator(), state, source="it")


def test_the_config_builds_as_it_is():
    config = Config.fromfile(CONFIG)
    assert isinstance(MODELS.build(config.model).estimator, QualityEstimator)
    assert config.param_scheduler[1].end == config.train_cfg.max_iters
