"""Fourier spectra of images and features: their amplitude, their phase, and a signal from both.

Equations and "the paper" are D2LNet's; see :mod:`jpeg_preproc.restorers.d2lnet`.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor

#: Amplitude about which a Fourier bin loses its phase. In the orthonormal transform the fp32
#: rounding of a flat 512×512 image leaves up to 4e-6 in a bin, that of pixels to eight bits 1e-3.
PHASE_FLOOR = 1e-4


def full_precision(x: Tensor) -> AbstractContextManager[object]:
    """Switch autocast off: spectra span too many decades for half precision."""
    # There is no autocast on the meta device, on which only shapes are computed.
    return nullcontext() if x.is_meta else torch.autocast(x.device.type, enabled=False)


def spectrum(x: Tensor) -> Tensor:
    """Return the Fourier transform of each plane, eq. 3: (..., H, W) complex, in full.

    The transform is orthonormal, as in eq. 3, so that amplitudes are of one scale at every size.
    Half precision is widened to fp32.
    """
    return torch.fft.fft2(x.to(torch.promote_types(x.dtype, torch.float32)), norm="ortho")


def phase(bins: Tensor, ramp: float = 0.0) -> Tensor:
    """Return the phase of the ``spectrum`` of a real signal in (-π, π], eq. 5.

    Fillings, all where rounding would decide the phase; a network that feeds phases to
    convolutions turns that into visible differences between machines and batch sizes:

    * Bins near :data:`PHASE_FLOOR` and below fade to phase 0, which also bounds the gradient, by
      1 / (2 · floor). (The nearest prior work adds 1e-8 instead, which leaves 1e8.)
    * A bin that is its own mirror image is real. Its imaginary part is rounding, whose sign
      would choose between -π and π, so it is set to zero.
    * Within ``ramp`` of the cut at ±π the phase falls linearly to 0, so that it has no jump.

    Args:
        bins: Complex spectrum, (..., H, W).
        ramp: Width in radians; 0 leaves the cut, as the paper does.
    """
    height, width = bins.shape[-2:]
    rows = torch.arange(height, device=bins.device)
    columns = torch.arange(width, device=bins.device)
    real_rows = (rows == 0) | (2 * rows == height)
    real_columns = (columns == 0) | (2 * columns == width)
    own_mirror = real_rows[:, None] & real_columns  # (H, W)
    power = bins.real.square() + bins.imag.square()
    # The gradient of atan2 is NaN at zero.
    empty = power < 1e-24
    angle = torch.atan2(
        bins.imag.masked_fill(own_mirror | empty, 0.0), bins.real.masked_fill(empty, 1.0)
    )
    fade = power / (power + PHASE_FLOOR**2)
    if ramp:
        fade = fade * ((torch.pi - angle.abs()) / ramp).clamp(max=1.0)
    # A constant for the gradient: the slope of the ramp, π / ramp, would drown the rest of it.
    return angle * fade.detach()


def recombine(amplitude: Tensor, bins: Tensor) -> Tensor:
    """Return the real signal that has this ``amplitude`` and the phase of the spectrum ``bins``.

    Bins below :data:`PHASE_FLOOR` fade out, since their phase is noise, and the gradient stays
    below amplitude / floor. Nothing changes by more than the floor if ``amplitude`` is that of
    ``bins``.

    Args:
        amplitude: Amplitude of each bin, (..., H, W); it may be negative.
        bins: Complex spectrum, (..., H, W).
    """
    gain = amplitude * (bins.real.square() + bins.imag.square() + PHASE_FLOOR**2).rsqrt()
    return torch.fft.ifft2(torch.complex(bins.real * gain, bins.imag * gain), norm="ortho").real


def swap_amplitude(image: Tensor, amplitude_of: Tensor) -> Tensor:
    """Return ``image`` with the amplitude spectrum of ``amplitude_of``, both (N, C, H, W)."""
    with full_precision(image):
        return recombine(spectrum(amplitude_of).abs(), spectrum(image))
