"""Training of the demo's detector and segmenter, and the export of what ships.

Both start from random weights and see lossless images of the ``train`` split alone, with flips
and colour jitter and without JPEG in any form; the last epoch's averaged weights ship.
"""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import Any

import torch

from jpeg_preproc.demo.layout import GENERATOR_VERSION, SPLIT_SIZES, STREAMS, make_demo_dataset
from jpeg_preproc.demo.models import demo_cfg_options, demo_configs
from jpeg_preproc.io import write_bytes_atomic


def export_checkpoint(trained: dict[str, Any], record: dict[str, Any]) -> bytes:
    """Return the bytes of a checkpoint that ships: fp16 weights and plain metadata only.

    Weights are rounded to half precision, which halves the file; ``load_state_dict`` makes them
    single again. Integer buffers stay as they are.

    Args:
        trained: a checkpoint as mmengine writes it; its ``state_dict`` is read.
        record: what to say of the training, plain types only; ``dataset_meta`` among them.
    """
    state = {
        name: value.half() if value.is_floating_point() else value
        for name, value in trained["state_dict"].items()
    }
    buffer = io.BytesIO()
    torch.save({"state_dict": state, "meta": record}, buffer)
    return buffer.getvalue()


def train_demo_model(
    name: str, root: str | os.PathLike[str], work_dir: str | os.PathLike[str]
) -> Path:
    """Train ``name`` on the demo's train split; return the exported checkpoint in ``work_dir``.

    Takes up where an interrupted training in ``work_dir`` stopped.

    Args:
        name: ``'detector'`` or ``'segmenter'``.
        root: folder of the demo set; the split is made there where it is missing.
        work_dir: folder for logs and checkpoints.

    Raises:
        KeyError: ``name`` is none of these.
        ImportError: mmengine, or mmdet or mmseg, is not installed.
    """
    from mmengine.config import Config
    from mmengine.runner import Runner

    config_path, _ = demo_configs()[name]
    make_demo_dataset(root, "train")
    config = Config.fromfile(config_path)
    config.merge_from_dict(demo_cfg_options(root, name))
    config.merge_from_dict({"work_dir": str(work_dir), "resume": True})
    # A training run tests nothing: the val split is kept for the report.
    for key in ("test_dataloader", "test_evaluator", "test_cfg"):
        config.pop(key)
    runner = Runner.from_cfg(config)
    runner.train()
    last = Path(work_dir) / f"epoch_{config.max_epochs}.pth"
    trained = torch.load(last, map_location="cpu", weights_only=False)
    record = {
        "dataset_meta": {"classes": list(config.classes)},
        "training": {
            "generator": GENERATOR_VERSION,
            "stream": STREAMS["train"],
            "images": SPLIT_SIZES["train"],
            "epochs": int(config.max_epochs),
            "jpeg_augmentation": False,
            "torch": str(torch.__version__),
        },
    }
    return write_bytes_atomic(Path(work_dir) / f"{name}.pth", export_checkpoint(trained, record))
