"""The configs of the DAGN paper's experiments: they parse, build, and run with random weights."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
import toysets
from mmengine.evaluator import Evaluator
from mmengine.model import revert_sync_batchnorm
from mmengine.registry import MODELS, DefaultScope
from mmengine.runner import Runner

from jpeg_preproc.corruptions import Jpeg
from jpeg_preproc.evaluation.conditions import Condition, RestoreSettings, choose_restorers
from jpeg_preproc.openmmlab.config import load_config
from jpeg_preproc.openmmlab.evaluation.condition import with_condition
from jpeg_preproc.openmmlab.place import check_pipeline

pytest.importorskip("mmdet")
pytest.importorskip("mmseg")

CONFIGS = Path(__file__).resolve().parents[2] / "configs" / "downstream"
SCALE = {"test_dataloader.dataset.pipeline.1.scale": (96, 96)}  # Resize


def restored(config, qf=10):
    """The config as a study measures it: compressed at a quality, and restored."""
    (choice,) = choose_restorers(["nano-task"])
    return with_condition(config, Condition(Jpeg(qf), choice), RestoreSettings())


@pytest.mark.parametrize("qf", [10, 40])
@pytest.mark.parametrize("model", ["faster_rcnn_r50_coco", "mask_rcnn_r50_coco", "pspnet_r101_voc"])
def test_a_quality_is_simulated_right_behind_the_stock_loader(model, qf):
    plain = load_config(CONFIGS / f"{model}.py")
    config = restored(plain, qf)
    pipeline = config.test_dataloader.dataset.pipeline
    load, corrupt, restore, *rest = (step.type for step in pipeline)
    assert [load, *rest] == [step.type for step in plain.test_dataloader.dataset.pipeline]
    assert (corrupt, pipeline[1].corruption) == ("JpegCorrupt", f"jpeg:{qf}")
    assert (restore, pipeline[2].restorer) == ("JpegRestore", "nano-task")
    check_pipeline(pipeline)
    assert config.model.to_dict() == plain.model.to_dict()


def run(config):
    """Build with random weights; return what the config's own metric says of its own data."""
    torch.manual_seed(0)
    with DefaultScope.overwrite_default_scope(config.default_scope), torch.no_grad():
        model = revert_sync_batchnorm(MODELS.build(config.model)).eval()
        config.test_dataloader.update(num_workers=0, persistent_workers=False)
        loader = Runner.build_dataloader(config.test_dataloader, seed=0)
        evaluator = Evaluator(config.test_evaluator)
        evaluator.dataset_meta = loader.dataset.metainfo
        for batch in loader:
            evaluator.process(data_samples=model.test_step(batch), data_batch=batch)
        return evaluator.evaluate(len(loader.dataset))


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("model", ["faster_rcnn_r50_coco", "mask_rcnn_r50_coco"])
def test_a_detector_runs_with_random_weights(tmp_path, model):
    from mmdet.datasets import CocoDataset

    root = toysets.write_coco(tmp_path / "coco")
    annotations = root / "annotations" / "val.json"
    toysets.add_masks(annotations)
    document = json.loads(annotations.read_text())
    classes = CocoDataset.METAINFO["classes"]
    document["categories"] = [{"id": i, "name": name} for i, name in enumerate(classes, 1)]
    annotations.write_text(json.dumps(document))
    options = SCALE | {
        "test_dataloader.dataset.ann_file": "annotations/val.json",
        "test_dataloader.dataset.data_prefix.img": "val/",
        "test_dataloader.dataset.indices": 2,
        "test_evaluator.ann_file": str(annotations),
        "model.test_cfg.rcnn.score_thr": 0.0,  # random weights are sure of nothing
    }
    config = load_config(CONFIGS / f"{model}.py", options, root)
    assert config.model.roi_head.bbox_head.num_classes == 80
    found = run(restored(config))
    assert 0 <= found["coco/bbox_mAP"] <= 1
    assert ("coco/segm_mAP" in found) == model.startswith("mask")


@pytest.mark.filterwarnings("ignore")
def test_pspnet_runs_with_random_weights(tmp_path):
    root = toysets.write_voc(tmp_path / "voc")
    options = SCALE | {
        "test_dataloader.dataset.ann_file": "ImageSets/val.txt",
        "test_dataloader.dataset.img_suffix": ".png",
        "test_dataloader.dataset.indices": 2,
    }
    config = load_config(CONFIGS / "pspnet_r101_voc.py", options, root)
    assert (config.model.backbone.depth, config.model.decode_head.num_classes) == (101, 21)
    assert 0 <= run(restored(config))["mIoU"] <= 100
