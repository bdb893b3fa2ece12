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
    return torch.stack(
        [distance.mean() for distance in feature_distances(restored, clean).values()]
    ).mean()


def feature_hinge(
    restored: Mapping[str, Tensor], clean: Mapping[str, Tensor], jpeg: Mapping[str, Tensor]
) -> Tensor:
    """Return by how much the restored image's features are further from the clean than JPEG's.

    At each place of a level the distances of :func:`feature_loss` are compared, and what restoring
    adds to JPEG's is counted; where it takes away, nothing is. The mean is over places and levels.

    Args:
        restored: Feature maps of the restored images, (N, C, H, W), by the names of their levels.
        clean: Feature maps of the clean images, by the same names.
        jpeg: Feature maps of the decoded JPEG images, by the same names; no gradient goes through
            these and the clean ones.
    """
    before = feature_distances(jpeg, clean)
    harm = [
        (distance - before[name].detach()).relu().mean()
        for name, distance in feature_distances(restored, clean).items()
    ]
    return torch.stack(harm).mean()


def feature_distances(
    found: Mapping[str, Tensor], clean: Mapping[str, Tensor]
) -> dict[str, Tensor]:
    """Return each level's distances (N, H, W), as :func:`feature_loss` has them in its mean."""
    distances = {}
    for name, wanted in clean.items():
        target = wanted.detach().float()  # (N, C, H, W)
        spread = (target - target.mean(dim=(0, 2, 3), keepdim=True)).abs().mean()
        difference = (found[name].float() - target).abs().mean(dim=1)  # (N, H, W)
        distances[name] = difference / spread.clamp(min=1e-6)
    return distances


#: By the names that configs use; each takes two (N, C, H, W) images and returns a scalar.
LOSSES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "charbonnier": charbonnier,
    "l1": F.l1_loss,
    "l2": F.mse_loss,
}
