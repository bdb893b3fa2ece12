"""Losses between restored and clean images, as pure functions."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor
from torch.nn import functional as F

from jpeg_preproc.restorers.fourier import spectrum


def charbonnier(restored: Tensor, clean: Tensor, epsilon: float = 1e-3) -> Tensor:
    """Return the mean of sqrt(d² + ε²), a smooth L1 (Charbonnier et al., ICIP 1994)."""
    return ((restored - clean).square() + epsilon**2).sqrt().mean()


def amplitude_loss(restored: Tensor, clean: Tensor) -> Tensor:
    """Return the mean absolute difference of the Fourier amplitudes (D2LNet, eq. 4).

    The transform is orthonormal (eq. 3), over each channel of (N, C, H, W).
    """
    return F.l1_loss(spectrum(restored).abs(), spectrum(clean).abs())


def phase_loss(restored: Tensor, clean: Tensor) -> Tensor:
    """Return the mean absolute difference of the Fourier phases in radians (D2LNet, eq. 5).

    The paper writes arctan(I/R). Here, as in its authors' code family, the angle is that of the
    full circle, and the difference is not wrapped. 1e-8 is added to the spectra, because the angle
    has no gradient where both parts are zero.
    """
    return F.l1_loss((spectrum(restored) + 1e-8).angle(), (spectrum(clean) + 1e-8).angle())


def feature_loss(restored: Mapping[str, Tensor], clean: Mapping[str, Tensor]) -> Tensor:
    """Return the mean over levels of |restored − clean| as a share of the clean features' spread.

    A level's spread is the mean absolute deviation of ``clean`` from its channels' means, so that
    neither a level nor a network counts for more because its numbers are larger. Each level has one
    spread; with one for each channel, a channel that never fires would be divided by zero. The loss
    is zero for equal features and about one for features that tell nothing of the clean ones. It is
    L1, as the pixel losses are: a square would leave the images of high quality, whose errors are
    small, without a say.

    Args:
        restored: Feature maps of the restored images, (N, C, H, W), of any sizes, by the names of
            their levels.
        clean: Feature maps of the clean images, by the same names; no gradient goes through these.
    """
    shares = []
    for name, wanted in clean.items():
        target = wanted.detach().float()
        spread = (target - target.mean(dim=(0, 2, 3), keepdim=True)).abs().mean()
        shares.append(F.l1_loss(restored[name].float(), target) / spread.clamp(min=1e-6))
    return torch.stack(shares).mean()


#: By the names that configs use; each takes two (N, C, H, W) images and returns a scalar.
LOSSES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "charbonnier": charbonnier,
    "l1": F.l1_loss,
    "l2": F.mse_loss,
}
