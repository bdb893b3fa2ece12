"""Measure a detector or segmenter of mmdet or mmseg on its own test set, with transforms added."""

from __future__ import annotations

import contextlib
import copy
import io
import os
import pickle
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from mmengine.evaluator import Evaluator
from mmengine.logging import MMLogger
from mmengine.model import revert_sync_batchnorm
from mmengine.registry import MODELS, DefaultScope
from mmengine.runner import Runner, set_random_seed
from mmengine.runner.checkpoint import CheckpointLoader
from torch import nn

from jpeg_preproc.errors import JpegPreprocError, WeightsError
from jpeg_preproc.evaluation.conditions import Condition, JpegSettings, condition_transforms
from jpeg_preproc.evaluation.config import config_digest
from jpeg_preproc.evaluation.downstream import SEED, Measurement
from jpeg_preproc.io import sha256_file
from jpeg_preproc.openmmlab.config import dataset_name, load_config, with_transforms
from jpeg_preproc.openmmlab.metrics import evaluate, keep_boxes
from jpeg_preproc.openmmlab.selection import select_images

# What loading a damaged or foreign checkpoint raises.
_CHECKPOINT_ERRORS = (
    OSError,
    EOFError,
    RuntimeError,
    LookupError,
    ValueError,
    pickle.UnpicklingError,
)


class OpenMMLabTask:
    """One config with its checkpoint, ready to be measured under several conditions.

    The loop is mmengine's ``TestLoop`` without hooks, loggers and visualisers: the config's own
    dataset, model, ``test_step`` and metrics, at batch size 1 in the dataset's order. The model is
    built and loaded once.

    Attributes:
        dataset: Short name of the test data.
        model: The config's file name without its ending.
        images: How many are evaluated.
        skipped: ``{'file': ..., 'reason': ...}`` of each image that cannot be.
        fingerprint: What the result depends on besides the added transforms.

    Args:
        config: Path of an OpenMMLab config.
        checkpoint: Path of its weights.
        out_dir: Where shortened annotations and boxes are written.
        cfg_options: Dotted keys and new values.
        data_root: Replaces the test data's root.
        limit: Evaluate this many images, evenly spaced over the set.
        device: Of torch, for the model.
        num_workers: Processes that load, compress and restore; 0 does it in this one.
        on_check: Called with each image's name and their number while the set is checked.

    Raises:
        JpegPreprocError: The config, the checkpoint, the annotations or all images are unusable.
    """

    def __init__(
        self,
        config: str | os.PathLike[str],
        checkpoint: str | os.PathLike[str],
        out_dir: str | os.PathLike[str],
        *,
        cfg_options: Mapping[str, Any] | None = None,
        data_root: str | os.PathLike[str] | None = None,
        limit: int | None = None,
        device: str = "cpu",
        num_workers: int = 0,
        on_check: Callable[[str, int], None] | None = None,
    ) -> None:
        # The latest instance is what mmengine's print_log writes to.
        MMLogger.get_instance("jpeg_preproc").setLevel("ERROR")
        self.out_dir = Path(out_dir)
        self.config = load_config(config, cfg_options, data_root)
        self._scope = self.config.get("default_scope", "mmengine")
        self.dataset = dataset_name(self.config)
        self.model = Path(config).stem
        self.device = device
        self.num_workers = num_workers
        tested = ("model", "test_dataloader", "test_evaluator")
        digest = config_digest({key: self.config.get(key) for key in tested})
        with quiet(), DefaultScope.overwrite_default_scope(self._scope):
            self._network = load_model(self.config, checkpoint, device)
            selection = select_images(self.config, self.out_dir / "annotations", limit, on_check)
        self.images = selection.images
        self.skipped = selection.skipped
        self.fingerprint: dict[str, Any] = {
            "config": digest,
            "checkpoint": sha256_file(checkpoint),
            "data": selection.digest,
            "images": selection.images,
            "device": torch.device(device).type,
            "seed": SEED,
        }

    def measure(
        self,
        condition: Condition,
        settings: JpegSettings,
        name: str,
        on_image: Callable[[], None] | None = None,
    ) -> Measurement:
        """Evaluate with a condition's transforms put directly behind the image loader.

        Args:
            condition: What the images go through.
            settings: How it compresses and restores.
            name: Of the condition; detections are kept as ``predictions/NAME.bbox.json``.
            on_image: Called after each image.

        Raises:
            PipelineError: They cannot stand in this pipeline.
            JpegPreprocError: The metric gives no mAP or mIoU.
        """
        started = time.perf_counter()
        set_random_seed(SEED)
        config = with_transforms(self.config, condition_transforms(condition, settings))
        scope = DefaultScope.overwrite_default_scope(self._scope)
        with quiet(), scope, torch.no_grad():
            loader = Runner.build_dataloader(_loader_config(config, self.num_workers), seed=SEED)
            evaluator = Evaluator(copy.deepcopy(config.test_evaluator))
            evaluator.dataset_meta = loader.dataset.metainfo
            keep_boxes(evaluator, self.out_dir / "predictions" / name)
            for batch in loader:
                outputs = self._network.test_step(batch)  # type: ignore[operator]
                evaluator.process(data_samples=outputs, data_batch=batch)
                if on_image:
                    on_image()
            figure, results = evaluate(evaluator, len(loader.dataset))
        return Measurement(
            metric=figure.metric,
            value=figure.value,
            images=len(loader.dataset),
            seconds=round(time.perf_counter() - started, 2),
            all_metrics=results,
            replicates=figure.replicates,
        )


def load_model(config: Config, checkpoint: str | os.PathLike[str], device: str) -> nn.Module:
    """Build a config's model with a checkpoint's weights, in eval mode on ``device``.

    Raises:
        WeightsError: The checkpoint is missing, damaged, or not of this model.
        JpegPreprocError: The model cannot be built.
    """
    path = Path(checkpoint)
    if not path.is_file():
        raise WeightsError(f"{path} does not exist; give a checkpoint file, downloaded already")
    model = build_model(config)
    try:
        loaded = CheckpointLoader.load_checkpoint(str(path), map_location="cpu", logger=None)
        state = loaded.get("state_dict", loaded)
        state = {key.removeprefix("module."): value for key, value in state.items()}
    except (*_CHECKPOINT_ERRORS, AttributeError) as error:
        raise WeightsError(
            f"{path} cannot be read as a checkpoint: {error}; fetch it again. (torch >= 2.6 reads "
            "tensors only; for an old checkpoint you trust, set TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD=1)"
        ) from error
    try:
        missing = set(model.load_state_dict(state, strict=False).missing_keys)
    except RuntimeError as error:  # shapes differ
        raise WeightsError(f"{path} is not a checkpoint of {config.filename}: {error}") from error
    # Buffers may be younger than the checkpoint; a parameter left at random is always wrong.
    random = [name for name, _ in model.named_parameters() if name in missing]
    if random:
        raise WeightsError(
            f"{path} is not a checkpoint of {config.filename}: it has no {', '.join(random[:3])}"
            f"{f' and {len(random) - 3} more' if len(random) > 3 else ''}"
        )
    model.cfg = config
    return model.to(device).eval()


def build_model(config: Config) -> nn.Module:
    """Build a config's model with random weights, on the CPU.

    Raises:
        JpegPreprocError: It cannot be built.
    """
    try:
        # Synchronised batch norm runs on GPUs only; in eval mode the plain one is the same.
        return revert_sync_batchnorm(MODELS.build(config.model))
    except (KeyError, TypeError, ImportError, AssertionError) as error:
        raise JpegPreprocError(
            f"{config.filename}: its model cannot be built: {error}; is the package it belongs to "
            "installed (default_scope, custom_imports)?"
        ) from error


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Keep what pycocotools prints and OpenMMLab warns of out of the progress display."""
    with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
        for package in ("mmengine", "mmcv", "mmdet", "mmseg", "torch"):
            warnings.filterwarnings("ignore", module=rf"{package}\b")
        yield


def _loader_config(config: Config, num_workers: int) -> dict[str, Any]:
    """Return the test dataloader's settings for batches of one, in order."""
    loader = copy.deepcopy(dict(config.test_dataloader))
    for key in ("batch_sampler", "prefetch_factor", "drop_last"):
        loader.pop(key, None)
    loader.update(
        batch_size=1,
        num_workers=num_workers,
        persistent_workers=False,
        sampler={"type": "DefaultSampler", "shuffle": False},
    )
    return loader
