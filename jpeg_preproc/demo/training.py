"""Training of the demo's segmenter and detector, and the export of what ships.

The segmenter starts from random weights; the detector takes over its backbone and the levels of
its neck, which saves work on two cores. Both see lossless images of the ``train`` split alone,
with flips and mild colour jitter and without JPEG in any form. No weights are
selected on the ``val`` split: the last epoch's averaged ones ship. (Its contrast was: see the
README on what the demo is evidence for.)

The shipped weights came about in more steps, which their ``meta`` records: both models first
learned all six surfaces as classes from random weights (segmenter 10 epochs, detector 8), then the
decoys' outputs were dropped, and the segmenter was trained one more epoch.
"""

from __future__ import annotations

import io
import os
import re
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from jpeg_preproc.checkpoint import guarded_mmengine, read_checkpoint
from jpeg_preproc.demo.layout import GENERATOR_VERSION, SPLIT_SIZES, STREAMS, make_demo_dataset
from jpeg_preproc.demo.models import demo_cfg_options, demo_configs
from jpeg_preproc.errors import WeightsError
from jpeg_preproc.io import write_bytes_atomic


def export_checkpoint(trained: dict[str, Any], record: dict[str, Any]) -> bytes:
    """Return the bytes of a checkpoint that ships: fp16 weights and plain metadata only.

    Weights are rounded to half precision, which halves the file; ``load_state_dict`` makes them
    single again. Integer buffers stay as they are.

    Args:
        trained: Checkpoint as mmengine writes it; its ``state_dict`` is read.
        record: What to say of the training, plain types only; ``dataset_meta`` is among them.
    """
    state = {
        name: value.half() if value.is_floating_point() else value
        for name, value in trained["state_dict"].items()
    }
    buffer = io.BytesIO()
    torch.save({"state_dict": state, "meta": record}, buffer)
    return buffer.getvalue()


def shared_features(segmenter: dict[str, Tensor], start_level: int = 1) -> dict[str, Tensor]:
    """Return the part of the segmenter's weights that the detector starts from.

    Args:
        segmenter: State dict of the segmenter.
        start_level: The first level of the backbone that the detector's neck reads; the
            convolutions of the neck are numbered from it.

    Raises:
        WeightsError: There is no backbone in ``segmenter``.
    """
    features: dict[str, Tensor] = {}
    for name, value in segmenter.items():
        if name.startswith("backbone."):
            features[name] = value.float() if value.is_floating_point() else value
        elif match := re.fullmatch(r"(neck\.\w+_convs\.)(\d+)(\..+)", name):
            level = int(match[2]) - start_level
            if level >= 0:
                features[f"{match[1]}{level}{match[3]}"] = value.float()
    if not any(name.startswith("backbone.") for name in features):
        raise WeightsError("the segmenter's weights hold no 'backbone.': train the segmenter first")
    return features


def train_demo_model(
    name: str, root: str | os.PathLike[str], work_dir: str | os.PathLike[str]
) -> Path:
    """Train ``name`` on the demo's train split; return the exported checkpoint in ``work_dir``.

    Takes up where an interrupted training in ``work_dir`` stopped. The detector starts from
    ``segmenter.pth`` in ``work_dir``.

    Args:
        name: ``'detector'`` or ``'segmenter'``.
        root: Folder of the demo set; the split is made there where it is missing.
        work_dir: Folder for checkpoints; logs go to a folder of the model's name in it.

    Raises:
        KeyError: ``name`` is none of these.
        WeightsError: It is the detector's turn, and there is no segmenter in ``work_dir``; or a
            checkpoint there is damaged, or would run code.
        ImportError: One of mmengine, mmdet and mmseg is not installed.
    """
    from mmengine.config import Config
    from mmengine.runner import Runner

    work_dir = Path(work_dir)
    config_path, _ = demo_configs()[name]
    make_demo_dataset(root, "train")
    config = Config.fromfile(config_path)
    config.merge_from_dict(demo_cfg_options(root, name))
    config.merge_from_dict({"work_dir": str(work_dir / name), "resume": True})
    # A training run tests nothing: the val split is kept for the report.
    for key in ("test_dataloader", "test_evaluator", "test_cfg"):
        config.pop(key)
    if name == "detector":
        segmenter = read_checkpoint(work_dir / "segmenter.pth")
        start = work_dir / "detector_start.pth"
        torch.save({"state_dict": shared_features(segmenter["state_dict"])}, start)
        # Not loaded here: the runner draws random weights first when it starts to train.
        config.load_from = str(start)
    with guarded_mmengine():
        runner = Runner.from_cfg(config)
        # On a CPU convolutions are a fifth faster with channels last.
        runner.model.to(memory_format=torch.channels_last)
        runner.train()
    last = work_dir / name / f"epoch_{config.max_epochs}.pth"
    trained = read_checkpoint(last)
    record = {
        "dataset_meta": {"classes": list(config.classes)},
        "training": {
            "generator": GENERATOR_VERSION,
            "stream": STREAMS["train"],
            "images": SPLIT_SIZES["train"],
            "epochs": int(config.max_epochs),
            "batch_size": int(config.train_dataloader.batch_size),
            "jpeg_augmentation": False,
            "torch": str(torch.__version__),
        },
    }
    return write_bytes_atomic(work_dir / f"{name}.pth", export_checkpoint(trained, record))
