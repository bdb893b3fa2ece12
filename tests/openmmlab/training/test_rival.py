"""The rival's recipe, two steps of it on a few photographs: configs/downstream/…_jpeg.py."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from small_photos import write_small_photos

from jpeg_preproc.demo import demo_configs
from jpeg_preproc.openmmlab.config import load_config
from jpeg_preproc.openmmlab.evaluation.network import load_model
from jpeg_preproc.study.spec import read_study
from jpeg_preproc.training.run import build_runner

pytest.importorskip("mmdet", reason="needs mmdet, which tools/bootstrap.py installs")

CONFIGS = Path(__file__).resolve().parents[3] / "configs"
RECIPE = CONFIGS / "downstream" / "yolox_nano_coco_jpeg.py"
STATISTICS = ("running_mean", "running_var", "num_batches_tracked")


@pytest.mark.filterwarnings("ignore")
def test_two_steps_of_the_recipe_leave_a_checkpoint_that_the_stock_config_takes(tmp_path):
    photos = write_small_photos(tmp_path / "photos", [0, 1, 2, 8])
    config, checkpoint = demo_configs()["detector"]
    runner = build_runner(
        str(RECIPE),
        str(tmp_path / "work"),
        cfg_options={
            "load_from": str(checkpoint),
            "train_dataloader.batch_size": 2,
            "train_dataloader.dataset.data_root": f"{photos}/",
            "train_dataloader.dataset.ann_file": "instances.json",
            "train_dataloader.dataset.data_prefix.img": "images/",
            "train_cfg.max_iters": 2,
            "param_scheduler": [],
            "default_hooks.checkpoint.interval": 2,
            "default_hooks.logger": None,
            "experiment_name": tmp_path.name,  # mmengine keeps one of each
            "log_level": "ERROR",
        },
    )
    steps = [type(step).__name__ for step in runner.train_dataloader.dataset.pipeline.transforms]
    assert steps[:2] == ["LoadImageFromFile", "JpegCompress"]
    runner.train()
    # Read as a study reads it: by the stock config, without running what the file holds.
    tuned = load_model(load_config(config), tmp_path / "work" / "iter_2.pth", "cpu").state_dict()
    before = load_model(load_config(config), checkpoint, "cpu").state_dict()
    changed = {name for name in before if not torch.equal(before[name], tuned[name])}
    assert before.keys() == tuned.keys()
    assert {"backbone.stem.conv.conv.weight", "bbox_head.multi_level_conv_obj.0.bias"} <= changed
    assert any(name.endswith("bn.weight") for name in changed)
    assert not [name for name in changed if name.endswith(STATISTICS)]
    assert all(torch.isfinite(value).all() for value in tuned.values())


def test_the_recipe_draws_a_quality_for_some_images_and_leaves_the_others():
    compress = Config.fromfile(RECIPE).train_dataloader.dataset.pipeline[1]
    assert (compress.type, compress.qf, compress.prob) == ("JpegCompress", (5, 60), 0.75)


def test_the_study_measures_both_models_on_the_demos_photographs():
    study = read_study(CONFIGS / "studies" / "rival.py")
    assert study.compare.rivals == (("yolox_nano_jpeg", "yolox_nano"),)
    assert {job.config.resolve() for job in study.jobs} == {demo_configs()["detector"][0]}
    assert (CONFIGS.parent / study.jobs[0].checkpoint) == demo_configs()["detector"][1]
    last = f"work_dirs/{RECIPE.stem}/iter_{Config.fromfile(RECIPE).train_cfg.max_iters}.pth"
    assert study.jobs[1].checkpoint == Path(last)
