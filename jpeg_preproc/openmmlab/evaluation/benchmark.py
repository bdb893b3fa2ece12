"""How long a detector or segmenter takes: the time that a restorer's is held against."""

from __future__ import annotations

import copy
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.dataset import Compose, pseudo_collate
from mmengine.registry import DefaultScope
from PIL import Image
from torch.utils.flop_counter import FlopCounterMode

from jpeg_preproc.evaluation.benchmark import Case, row
from jpeg_preproc.openmmlab.config import leaf_datasets, load_config
from jpeg_preproc.openmmlab.evaluation.network import build_model, load_model, quiet
from jpeg_preproc.openmmlab.place import transform_name
from jpeg_preproc.restorers.device import autocast
from jpeg_preproc.restorers.engine import DTYPES


def measure_model(case: Case) -> dict[str, Any]:
    """Return the row of an OpenMMLab model on images of a given size before its own ``Resize``.

    What is timed is ``test_step``: normalising, padding, the network and its post-processing, on
    what the config's test pipeline makes of such an image. Deformable convolutions are not in
    ``gmacs``.

    Raises:
        JpegPreprocError: The config cannot be read, or its model cannot be built.
        WeightsError: The checkpoint is not of this model.
    """
    config = load_config(case.subject)
    dtype = DTYPES[case.dtype]
    with quiet(), DefaultScope.overwrite_default_scope(config.get("default_scope", "mmengine")):
        model: Any
        if case.checkpoint is None:
            model = build_model(config).to(case.device).eval()
        else:
            model = load_model(
                config, case.checkpoint, case.device, trust_checkpoint=case.trust_checkpoint
            )
        data = _batch(config, case)

        def run() -> None:
            with torch.no_grad(), autocast(torch.device(case.device), dtype):
                model.test_step(copy.copy(data))

        return row(
            case,
            "model",
            run,
            parameters=sum(value.numel() for value in model.parameters()),
            gmacs=lambda: _macs(model, data) / case.batch / 1e9,
        )


def _batch(config: Any, case: Case) -> Any:
    """Return a batch of random images, loaded and packed by the config's test pipeline."""
    steps = [
        step
        for step in leaf_datasets(config)[0].pipeline
        if not transform_name(step).startswith("LoadAnnotations")
    ]
    pixels = np.random.default_rng(0).integers(0, 256, (case.height, case.width, 3), np.uint8)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "image.png"
        Image.fromarray(pixels).save(path)
        packed = Compose(steps)({"img_path": str(path), "img_id": 0, "reduce_zero_label": False})
    return pseudo_collate([copy.deepcopy(packed) for _ in range(case.batch)])


def _macs(model: Any, data: Any) -> int:
    """Return the multiply-accumulates of a batch's convolutions and matrix products."""
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        model(**model.data_preprocessor(copy.copy(data), False), mode="tensor")
    return int(counter.get_total_flops()) // 2
