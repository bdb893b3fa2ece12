"""``OpenMMLabFeatures``: what a trained detector or segmenter makes of an image, to train by."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from mmengine.registry import MODELS, DefaultScope
from torch import Tensor, nn

from jpeg_preproc.errors import TrainingError
from jpeg_preproc.evaluation.config import read_config
from jpeg_preproc.io import sha256_file
from jpeg_preproc.openmmlab.evaluation.network import load_model, quiet
from jpeg_preproc.training.feature_losses import resized

#: What can be looked at, in the order in which an image passes through it.
PARTS = ("backbone", "neck", "head")

# What a part raises that does not work on its predecessor's outputs alone.
_FORWARD_ERRORS = (TypeError, ValueError, AttributeError, LookupError, RuntimeError, AssertionError)


@MODELS.register_module()
class OpenMMLabFeatures(nn.Module):
    """Feature maps of a model of mmdet or mmseg, differentiable in the image.

    The model's own data preprocessor normalises the image, and pads it to the multiple that it
    asks for; to the fixed size that segmenters are tested at it does not. Configs of trainings
    name ``jpeg_preproc.openmmlab.training.features`` in ``custom_imports``.

    Args:
        config: Path of the model's config.
        checkpoint: Path of its weights.
        outputs: The parts whose outputs are looked at: ``'backbone'``, ``'neck'``, ``'head'``. The
            head's are the raw ones of a single-stage detector's ``bbox_head`` or of a segmenter's
            ``decode_head``.
        scale: Height and width are multiplied by it first (bilinear), for a model that is shown
            its images in another size than the training's crops are cut from.
        trust_checkpoint: Load a checkpoint that holds more than tensors, which runs its code.

    Raises:
        UntrustedCheckpointError: The checkpoint holds more than tensors.
        WeightsError: The checkpoint is missing, damaged, or not of this model.
        TrainingError: An output is unknown, or this model does not have it; or ``scale`` is not
            above 0.
        JpegPreprocError: The config cannot be read, or its model cannot be built.
    """

    def __init__(
        self,
        config: str | os.PathLike[str],
        checkpoint: str | os.PathLike[str],
        outputs: Sequence[str] = ("backbone",),
        scale: float = 1.0,
        trust_checkpoint: bool = False,
    ) -> None:
        super().__init__()
        unknown = [name for name in outputs if name not in PARTS]
        if unknown or not outputs or isinstance(outputs, str):
            raise TrainingError(
                f"OpenMMLabFeatures: outputs={outputs!r}; give a list of some of {', '.join(PARTS)}"
            )
        if not scale > 0:
            raise TrainingError(f"OpenMMLabFeatures: scale={scale!r}; give a factor above 0")
        settings = read_config(config)
        if not settings.get("model"):
            raise TrainingError(
                f"{config} has no model; give the config of a detector or segmenter"
            )
        _prepare_for_crops(settings)
        scope = settings.get("default_scope", "mmengine")
        with quiet(), DefaultScope.overwrite_default_scope(scope):
            model: Any = load_model(settings, checkpoint, "cpu", trust_checkpoint=trust_checkpoint)
        self.outputs, self.scale = tuple(outputs), float(scale)
        #: What the manifest of weights trained with it says about it.
        self.record: dict[str, Any] = {
            "model": type(model).__name__,
            "config": Path(config).name,
            "checkpoint": Path(checkpoint).name,
            "sha256": sha256_file(checkpoint),
            "outputs": list(outputs),
            "scale": self.scale,
        }
        self.preprocessor = model.data_preprocessor
        self.parts = nn.ModuleDict(_parts(model, self.outputs, str(config)))
        self._try(str(config))

    def forward(self, image: Tensor) -> dict[str, Tensor]:
        """Return the feature maps, (N, C, H, W) each, as ``backbone.0``, ``backbone.1``, ….

        Args:
            image: RGB images, (N, 3, H, W) in [0, 1].
        """
        features = self.normalise(image)
        found: dict[str, Tensor] = {}
        for name, part in self.parts.items():
            features = part(features)
            if name in self.outputs:
                found.update(_tensors(name, features))
        return found

    def normalise(self, image: Tensor) -> Tensor:
        """Return what the model's backbone is given of RGB images in [0, 1]."""
        pixels = resized(image, self.scale).flip(1) * 255  # BGR, as loaded
        batch = self.preprocessor({"inputs": list(pixels), "data_samples": []}, False)
        inputs: Tensor = batch["inputs"]
        return inputs

    def _try(self, config: str) -> None:
        """Pass a small grey image through, so that what does not fit is known before training."""
        parts = " → ".join(type(part).__name__ for part in self.parts.values())
        try:
            with quiet(), torch.no_grad():
                found = self(torch.full((1, 3, 64, 64), 0.5))
        except _FORWARD_ERRORS as error:
            raise TrainingError(
                f"{config}: {parts} does not take an image's pixels alone ({error}); leave the "
                "last of them out of outputs"
            ) from error
        if odd := [name for name, value in found.items() if value.ndim != 4]:
            raise TrainingError(
                f"{config}: {odd[0]} of {parts} is no map of features; leave it out of outputs"
            )

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Any:
        """Tell the preprocessor, which keeps a device of its own, where everything went."""
        super()._apply(fn, recurse)
        self.preprocessor.to(next(self.parts.parameters()).device)
        return self


def _prepare_for_crops(config: Config) -> None:
    """Keep of a config's data preprocessor only what is right for crops of training images.

    A segmenter's fixed size in testing would make a crop nearly all border, and what
    :func:`~jpeg_preproc.openmmlab.convert.with_jpeg_restore` put there restores files.
    """
    preprocessor: Any = config.model.get("data_preprocessor") or {}
    while "data_preprocessor" in preprocessor:
        preprocessor = config.model.data_preprocessor = preprocessor.data_preprocessor or {}
    (preprocessor.get("test_cfg") or {}).pop("size", None)


def _parts(model: nn.Module, outputs: Sequence[str], config: str) -> dict[str, nn.Module]:
    """Return the parts of a model up to the last one that is looked at."""
    heads = (getattr(model, name, None) for name in ("bbox_head", "decode_head"))
    present = {
        "backbone": getattr(model, "backbone", None),
        "neck": getattr(model, "neck", None),
        "head": next((head for head in heads if head is not None), None),
    }
    for name in ("backbone", *outputs):
        if present[name] is None:
            has = [part for part, module in present.items() if module is not None]
            raise TrainingError(
                f"{config}: its {type(model).__name__} has no {name}"
                + (f"; outputs may be {', '.join(has)}" if "backbone" in has else "")
                + ("" if "backbone" in has else "; give a model of mmdet or mmseg that has one")
            )
    last = max(PARTS.index(name) for name in outputs)
    return {name: part for name in PARTS[: last + 1] if (part := present[name]) is not None}


def _tensors(name: str, value: Any) -> Iterator[tuple[str, Tensor]]:
    """Yield the tensors among nested outputs with the path to each: ``neck.2``, ``head.0.1``."""
    if isinstance(value, Tensor):
        yield name, value
    elif isinstance(value, (list, tuple)):
        for index, item in enumerate(value):
            yield from _tensors(f"{name}.{index}", item)
