"""A restorer as an mmengine model: losses in training, restored images in validation."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from mmengine.evaluator import BaseMetric
from mmengine.model import BaseModel
from mmengine.registry import DATASETS, METRICS, MODELS
from torch import Tensor

from jpeg_preproc.errors import TrainingError, WeightsError
from jpeg_preproc.restorers.contract import Quality
from jpeg_preproc.restorers.device import to_channels_last
from jpeg_preproc.restorers.engine import DTYPES
from jpeg_preproc.restorers.registry import build_restorer
from jpeg_preproc.restorers.weights import load_weights
from jpeg_preproc.training.data import JpegCrops, JpegImages
from jpeg_preproc.training.feature_losses import TaskLoss
from jpeg_preproc.training.losses import LOSSES
from jpeg_preproc.training.teacher import Teacher

DATASETS.register_module(module=JpegCrops)
DATASETS.register_module(module=JpegImages)


@MODELS.register_module()
class RestorationModel(BaseModel):
    """Train any registered restorer on crops from :class:`JpegCrops`.

    Args:
        restorer: Registry name, as in ``list_restorers()``.
        preset: One of its presets.
        settings: Constructor arguments of the network that replace the preset's.
        compile: Run the losses through ``torch.compile``, with these options if it is a mapping.
            Validation stays as it is: its images are of many sizes.
        loss: Name of the loss of restored and clean images, in
            :data:`~jpeg_preproc.training.losses.LOSSES`.
        autocast: ``'bf16'`` or ``'fp16'`` for the network's convolutions and matrix products;
            ``None`` for fp32.
        weights: Weights to start from instead of random ones: a shipped name, or the path of a
            safetensors file with its manifest beside it.
        task: Arguments of a :class:`~jpeg_preproc.training.feature_losses.TaskLoss` to train with
            as well; its networks are no part of this model.
        teacher: Arguments of a :class:`~jpeg_preproc.training.teacher.Teacher` to learn from.

    Raises:
        TrainingError: There is no such loss, or ``task`` or ``teacher`` has a setting that it does
            not take.
        WeightsError: The weights are damaged, or of another network or preset.
        JpegPreprocError: A network of ``task`` cannot be had.
    """

    def __init__(
        self,
        restorer: str,
        preset: str,
        loss: str = "charbonnier",
        autocast: str | None = None,
        weights: str | None = None,
        settings: dict[str, Any] | None = None,
        compile: bool | dict[str, Any] = False,
        task: Mapping[str, Any] | None = None,
        teacher: Mapping[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if loss not in LOSSES:
            raise TrainingError(f"model.loss is {loss!r}; give one of {', '.join(LOSSES)}")
        self.loss = LOSSES[loss]
        try:
            self.task = None if task is None else TaskLoss(**task)
        except TypeError as error:  # a setting that there is not, or none of what is needed
            raise TrainingError(
                f"model.task: {error}; it takes networks, weight and hinge"
            ) from error
        try:
            self.teacher = None if teacher is None else Teacher(**teacher)
        except TypeError as error:
            raise TrainingError(f"model.teacher: {error}; it takes weights and share") from error
        options = dict(compile) if isinstance(compile, dict) else {}
        self._losses: Callable[..., dict[str, Tensor]] = (
            self.losses if compile is False else torch.compile(self.losses, **options)
        )
        self.autocast = None if autocast is None else DTYPES[autocast]
        self.preset, self.settings = preset, dict(settings or {})
        #: What the manifest of ``weights`` says, for the manifest of what is trained here.
        self.continues: dict[str, Any] | None = None
        if weights is None:
            self.restorer = build_restorer(restorer, preset, **self.settings)
        else:
            self.restorer, manifest = load_weights(weights)
            found = (manifest.restorer, manifest.preset, manifest.settings)
            if found != (restorer, preset, self.settings):
                raise WeightsError(
                    f"{weights}: weights of {_described(*found)}, but the config trains "
                    f"{_described(restorer, preset, self.settings)}; make the two agree"
                )
            self.continues = {"sha256": manifest.sha256, **manifest.training}
        to_channels_last(self.restorer)

    def forward(
        self,
        jpeg: Tensor,
        clean: Tensor,
        qtables: Tensor,
        qf: Tensor,
        known: Tensor,
        item: Tensor | None = None,
        mode: str = "tensor",
    ) -> Any:
        """Return the loss (``mode='loss'``), or squared errors to judge by (``'predict'``).

        Args:
            jpeg: JPEG images, (N, C, H, W) uint8.
            clean: Clean images, (N, C, H, W) uint8.
            qtables: Quantisation tables of luma and chroma, (N, 2, 8, 8).
            qf: Quality factors, (N,).
            known: Whether the restorer is told the tables, (N,) bool.
            item: Indices in the data set, (N,); they are not looked at.
            mode: ``'loss'`` or ``'predict'``, as mmengine asks; else the restored images are
                returned.
        """
        image = (jpeg.float() / 255).contiguous(memory_format=torch.channels_last)
        target = clean.float() / 255
        quality = Quality(qtables, qf, known)
        with torch.autocast(
            image.device.type, self.autocast or torch.bfloat16, enabled=self.autocast is not None
        ):
            if mode == "loss":
                return self._losses(image, target, quality)
            restored = self.restorer(image, quality).image.float()
        if mode == "predict":
            rounded = (restored.clamp(0, 1) * 255).round() / 255
            return [
                {
                    "qf": int(factor),
                    "mse_jpeg": float((before - wanted).square().mean()),
                    "mse": float((after - wanted).square().mean()),
                }
                for factor, before, after, wanted in zip(qf, image, rounded, target, strict=True)
            ]
        return restored

    def losses(self, image: Tensor, target: Tensor, quality: Quality) -> dict[str, Tensor]:
        """Return the losses that are added up; their names begin or end with ``loss``.

        Args:
            image: Decoded JPEG images, (N, C, H, W) in [0, 1].
            target: Clean images, (N, C, H, W) in [0, 1].
            quality: Qualities of the N files.
        """
        restored = self.restorer(image, quality).image.float()
        name = "loss" if self.task is None else "loss_pixel"
        loss = self.loss(restored, target)
        if self.teacher is not None:
            share = self.teacher.share
            loss = torch.lerp(loss, self.loss(restored, self.teacher(image, quality)), share)
        return {name: loss, **self.task_losses(restored, target, image)}

    def task_losses(self, restored: Tensor, target: Tensor, image: Tensor) -> dict[str, Tensor]:
        """Return the losses of ``task``, if there is one, for :meth:`losses` to add to its own."""
        return {} if self.task is None else self.task(restored, target, image)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Any:
        """Let the networks of ``task`` and ``teacher`` follow ``.to()``, ``.cuda()`` and so on."""
        super()._apply(fn, recurse)
        for held in (self.task, self.teacher):
            if held is not None:
                held.apply(fn)
        return self


def _described(restorer: str, preset: str, settings: dict[str, Any]) -> str:
    """Return a network's name with its preset and what differs from it."""
    extra = [f"{name}={value!r}" for name, value in settings.items()]
    return f"{restorer} ({', '.join([preset, *extra])})"


@METRICS.register_module()
class PsnrGain(BaseMetric):
    """Mean PSNR in dB and its gain over the JPEG input, for each quality factor."""

    default_prefix = "psnr"

    def process(self, data_batch: Any, data_samples: Any) -> None:
        """Keep the squared errors of a batch."""
        self.results.extend(data_samples)

    def compute_metrics(self, results: list[dict[str, float]]) -> dict[str, float]:
        """Return ``qf10``, ``qf10_gain``, … and ``gain``, the mean over quality factors."""
        metrics: dict[str, float] = {}
        for qf in sorted({int(item["qf"]) for item in results}):
            chosen = [item for item in results if item["qf"] == qf]
            psnr = -10 * torch.tensor([item["mse"] for item in chosen]).log10()
            jpeg = -10 * torch.tensor([item["mse_jpeg"] for item in chosen]).log10()
            metrics[f"qf{qf}"] = float(psnr.mean())
            metrics[f"qf{qf}_gain"] = float((psnr - jpeg).mean())
        gains = [value for name, value in metrics.items() if name.endswith("_gain")]
        metrics["gain"] = sum(gains) / len(gains)
        return metrics
