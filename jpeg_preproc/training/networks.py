"""Networks whose papers train them by more than one loss on the restored image."""

from __future__ import annotations

from typing import Any

from mmengine.registry import MODELS
from torch import Tensor
from torch.nn import functional as F

from jpeg_preproc.errors import TrainingError
from jpeg_preproc.restorers.agarnet import AGARNet
from jpeg_preproc.restorers.contract import Quality
from jpeg_preproc.restorers.d2lnet import D2LNet
from jpeg_preproc.training.losses import amplitude_loss, phase_loss
from jpeg_preproc.training.model import RestorationModel


@MODELS.register_module()
class D2LNetModel(RestorationModel):
    """D2LNet under its three losses (Yang et al., section 3.4).

    The loss is L1 on the result, and ``alpha`` times the amplitude loss on the stage that corrects
    amplitude plus the phase loss on the one that corrects phase. In the paper's order these are the
    first and the second.

    Args:
        alpha: Weight of the two Fourier losses; the paper's is 0.05.
        kwargs: Arguments of :class:`RestorationModel`.

    Raises:
        TrainingError: ``compile`` is asked for, which fails on complex gradients (torch 2.12).
    """

    restorer: D2LNet

    def __init__(self, alpha: float = 0.05, **kwargs: Any) -> None:
        if kwargs.get("compile", False):
            raise TrainingError(
                "torch.compile fails on the gradients of D2LNet's complex spectra (torch 2.12); "
                "leave model.compile out"
            )
        super().__init__(**kwargs)
        self.alpha = alpha

    def losses(self, image: Tensor, target: Tensor, quality: Quality) -> dict[str, Tensor]:
        """Return the three losses, weighted; see :class:`RestorationModel`."""
        first, second = (stage.float() for stage in self.restorer.stages(image))
        if self.restorer.order == "paper":
            of_amplitude, of_phase = first, second
        else:
            of_amplitude, of_phase = second, first
        return {
            "loss_spatial": F.l1_loss(second, target),
            "loss_amplitude": self.alpha * amplitude_loss(of_amplitude, target),
            "loss_phase": self.alpha * phase_loss(of_phase, target),
            **self.task_losses(second, target, image),
        }


@MODELS.register_module()
class FBCNNModel(RestorationModel):
    """FBCNN, blind, under L1 on the image and L1 on its predicted quality.

    Args:
        weight_quality: Weight of the second loss, whose scale is q = (100 − QF) / 100; the authors'
            is 0.001.
        kwargs: Arguments of :class:`RestorationModel`.
    """

    def __init__(self, weight_quality: float = 1e-3, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.weight_quality = weight_quality

    def losses(self, image: Tensor, target: Tensor, quality: Quality) -> dict[str, Tensor]:
        """Return the two losses, weighted; see :class:`RestorationModel`."""
        output = self.restorer(image, None)
        assert output.qf is not None
        restored = output.image.float()
        return {
            "loss_pixel": F.l1_loss(restored, target),
            "loss_quality": self.weight_quality * F.l1_loss(output.qf.float(), quality.qf) / 100,
            **self.task_losses(restored, target, image),
        }


@MODELS.register_module()
class AGARNetModel(RestorationModel):
    """AGARNet's two branches, under both losses; the estimator is trained apart.

    The losses are L1 on the result ("pixel loss") and L1 on what the DCT branch alone makes of the
    image ("IDCT loss"). The paper draws both and states neither form nor weight; L1, and a weight
    of one each, are ours. The network is told the qualities of the files.
    """

    restorer: AGARNet

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.restorer.estimator.requires_grad_(False)

    def losses(self, image: Tensor, target: Tensor, quality: Quality) -> dict[str, Tensor]:
        """Return the two losses; see :class:`RestorationModel`."""
        output = self.restorer(image, Quality(quality.qtables, quality.qf))
        assert output.idct is not None
        restored = output.image.float()
        return {
            "loss_pixel": F.l1_loss(restored, target),
            "loss_idct": F.l1_loss(output.idct.float(), target),
            **self.task_losses(restored, target, image),
        }


@MODELS.register_module()
class AGARNetEstimatorModel(RestorationModel):
    """AGARNet's quality estimator alone: squared error of its map's mean against QF / 100.

    With L1, of which the median is a flat optimum, it learns to tell qualities apart much later.

    Args:
        kwargs: Arguments of :class:`RestorationModel`.

    Raises:
        TrainingError: ``task`` is asked for, though no image is restored here.
    """

    restorer: AGARNet

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if self.task is not None:
            raise TrainingError(
                "AGARNetEstimatorModel restores no image that model.task could judge; leave it out"
            )
        self.restorer.requires_grad_(False)
        self.restorer.estimator.requires_grad_(True)

    def losses(self, image: Tensor, target: Tensor, quality: Quality) -> dict[str, Tensor]:
        """Return the estimator's loss; see :class:`RestorationModel`."""
        estimate = self.restorer.estimator(image).float().mean(dim=(1, 2, 3))
        return {"loss_quality": F.mse_loss(estimate, quality.qf / 100)}
