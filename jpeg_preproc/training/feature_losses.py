"""Task-aware training: frozen downstream networks whose features judge the restored image."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol

import torch
from mmengine.registry import MODELS
from torch import Tensor, nn
from torch.nn import functional as F

from jpeg_preproc.errors import JpegPreprocError, TrainingError
from jpeg_preproc.restorers.device import to_channels_last
from jpeg_preproc.training.losses import feature_hinge, feature_loss


class FeatureNetwork(Protocol):
    """What a network that judges has to be, besides an ``nn.Module`` in mmengine's ``MODELS``.

    Attributes:
        record: What the manifest of weights trained with it says about it, in JSON's types.
    """

    record: dict[str, Any]

    def __call__(self, image: Tensor) -> dict[str, Tensor]:
        """Return feature maps (N, C, H, W) by name, of RGB images (N, 3, H, W) in [0, 1]."""
        ...


class TaskLoss:
    """The losses of restored images on the features of frozen networks.

    It is no ``nn.Module``, so that a model that holds it has the networks neither in its
    ``parameters()`` and ``state_dict()`` nor, therefore, in optimizers and checkpoints, and
    ``train()`` leaves their batch norms as they are. They are never written to, so a copy of the
    model, such as the averaged one, shares them; :meth:`apply` lets them follow it to its device.

    Args:
        networks: Configs for ``MODELS``, each of a :class:`FeatureNetwork`, by the names that the
            losses get.
        weight: Weight of the networks' mean loss, where the pixel loss has a weight of one.
        hinge: By how much more than the rest that counts which restoring adds to JPEG's distance
            from the clean image's features (:func:`~jpeg_preproc.training.losses.feature_hinge`).

    Raises:
        TrainingError: There is no network, one is of an unregistered type or has a setting that it
            does not take, ``weight`` is not above 0, or ``hinge`` is below 0.
        JpegPreprocError: A network cannot be built, or its weights are missing.
    """

    def __init__(
        self, networks: Mapping[str, Mapping[str, Any]], weight: float = 1.0, hinge: float = 0.0
    ) -> None:
        if not networks:
            raise TrainingError(
                "model.task has no networks; give at least one, as "
                "networks=dict(NAME=dict(type='OpenMMLabFeatures', config=…, checkpoint=…))"
            )
        if not weight > 0:
            raise TrainingError(f"model.task.weight is {weight!r}; give a number above 0")
        if not hinge >= 0:
            raise TrainingError(f"model.task.hinge is {hinge!r}; give a number of at least 0")
        self.weight, self.hinge = float(weight), float(hinge)
        self.networks = {name: _frozen(name, settings) for name, settings in networks.items()}

    def __call__(self, restored: Tensor, clean: Tensor, jpeg: Tensor) -> dict[str, Tensor]:
        """Return ``loss_task_NAME`` of each network, weighted; their sum is the task's loss.

        With a hinge there is ``loss_hinge_NAME`` of each as well.

        Args:
            restored: Restored images, (N, C, H, W) in [0, 1]: RGB, or luma, which the networks are
                shown as grey RGB.
            clean: Clean images of the same shape.
            jpeg: Decoded JPEG images of the same shape.
        """
        share = self.weight / len(self.networks)
        losses = {}
        for name, network in self.networks.items():
            with torch.no_grad():
                wanted = network(clean.expand(-1, 3, -1, -1))
            found = network(restored.expand(-1, 3, -1, -1))
            losses[f"loss_task_{name}"] = share * feature_loss(found, wanted)
            if self.hinge:
                with torch.no_grad():
                    before = network(jpeg.expand(-1, 3, -1, -1))
                harm = feature_hinge(found, wanted, before)
                losses[f"loss_hinge_{name}"] = share * self.hinge * harm
        return losses

    def apply(self, change: Callable[[Tensor], Tensor]) -> None:
        """Move or convert the networks as ``nn.Module._apply`` does the model that holds this."""
        for network in self.networks.values():
            network._apply(change)

    def records(self) -> list[dict[str, Any]]:
        """Return what the networks are, for a manifest: name, weight, and each one's record."""
        return [
            {
                "name": name,
                "weight": self.weight / len(self.networks),
                **({"hinge": self.hinge} if self.hinge else {}),
                **network.record,
            }
            for name, network in self.networks.items()
        ]

    def __deepcopy__(self, memo: dict[int, Any]) -> TaskLoss:
        return self


def resized(image: Tensor, scale: float) -> Tensor:
    """Return images (N, C, H, W) at ``scale`` of their height and width.

    It is bilinear without a filter, as OpenCV does it, with which the pipelines that test detectors
    resize.
    """
    if scale == 1:
        return image
    height, width = (max(1, round(side * scale)) for side in image.shape[2:])
    return F.interpolate(image, (height, width), mode="bilinear", align_corners=False)


def _frozen(name: str, settings: Mapping[str, Any]) -> Any:
    """Build a network that learns nothing."""
    try:
        network: nn.Module = MODELS.build(dict(settings))
    except JpegPreprocError:
        raise
    except (KeyError, TypeError) as error:
        raise TrainingError(
            f"model.task.networks.{name}: {error.args[0]} (custom_imports has to name the module "
            "of its type: OpenMMLabFeatures is in jpeg_preproc.openmmlab.training.features, "
            "EfficientNetLiteFeatures in jpeg_preproc.training.efficientnet_lite, DiCENetFeatures "
            "in jpeg_preproc.training.dicenet)"
        ) from error
    # Channels last, as the restorer: YOLOX-nano then takes two thirds of the time on a CPU.
    to_channels_last(network)
    return network.requires_grad_(False).eval()
