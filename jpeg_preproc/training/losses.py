"""Losses between restored and clean images, as pure functions."""

from __future__ import annotations

from collections.abc import Callable

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

    The paper writes arctan(I/R); as its authors' code family does, the angle of the full circle is
    taken, without wrapping the difference, and 1e-8 added where both parts may be zero, whose
    angle has no gradient.
    """
    return F.l1_loss((spectrum(restored) + 1e-8).angle(), (spectrum(clean) + 1e-8).angle())


#: By the names that configs use; each takes two (N, C, H, W) images and returns a scalar.
LOSSES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "charbonnier": charbonnier,
    "l1": F.l1_loss,
    "l2": F.mse_loss,
}
