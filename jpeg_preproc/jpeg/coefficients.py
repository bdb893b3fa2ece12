"""Which quantised DCT coefficients a JPEG can hold, read off the samples it decodes to.

Pillow does not hand out coefficients. A decoder rounds samples to whole numbers, so their DCT gives
each coefficient but for a small error, and where its step is larger than that error only one
multiple of the step can have been stored.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from jpeg_preproc.jpeg.blocks import dct_basis
from jpeg_preproc.jpeg.dct import block_dct

# What rounding does to a sample, and libjpeg's integer arithmetic on top.
_SAMPLE_ERROR = 0.55
# In textured blocks these errors are independent, of 0.29 RMS, and so are those of the
# coefficients: this is 5.7 times as much.
_TEXTURED_ERROR = 1.65
# Nonzero AC coefficients of what counts as textured. With fewer, samples repeat each other, and
# their errors add up: on photographs, drawn ramps and blurred images at QF 5-100 the error above
# was exceeded with up to 6 of them.
_TEXTURED = 10


def quantised_range(samples: Tensor, steps: Tensor) -> tuple[Tensor, Tensor]:
    """Return the least and the greatest quantised coefficient that ``samples`` can be from.

    The two are equal where the coefficient is certain: nearly everywhere from a step of 3 on, in
    half or more of the cases at 2, never at 1. Nothing is known of a block with a sample of 0 or
    255, which may have been clipped, nor of one that is no multiple of its steps at all.

    Args:
        samples: Decoded samples of one component as uint8, (..., H, W); H and W are multiples of 8.
        steps: Quantisation table of the component, (..., 8, 8) in natural order.

    Returns:
        Two tensors of whole numbers in float32, (..., H/8, W/8, 8, 8), ``-inf`` and ``inf`` where
        nothing is known.

    Raises:
        ImageReadError: H or W is no multiple of 8.

    >>> flat = torch.full((8, 8), 138, dtype=torch.uint8)
    >>> low, high = quantised_range(flat, torch.full((8, 8), 16))
    >>> low[0, 0, 0, 0].item(), high[0, 0, 0, 0].item()
    (5.0, 5.0)
    """
    steps = steps.to(samples.device, torch.float32)[..., None, None, :, :]
    found = block_dct(samples.float() - 128)
    nonzero = (found.abs() > steps / 2).flatten(-2)[..., 1:].sum(-1)
    bound = torch.tensor(_worst_error(), dtype=torch.float32, device=samples.device)
    textured = (nonzero >= _TEXTURED)[..., None, None]
    error = torch.where(textured, bound.clamp(max=_TEXTURED_ERROR), bound)
    low, high = ((found - error) / steps).ceil(), ((found + error) / steps).floor()
    rows, columns = found.shape[-4:-2]
    unclipped = ((samples > 0) & (samples < 255)).unflatten(-1, (columns, 8))
    unclipped = unclipped.all(-1).unflatten(-2, (rows, 8)).all(-2)
    known = (unclipped & (low <= high).flatten(-2).all(-1))[..., None, None]
    return torch.where(known, low, -torch.inf), torch.where(known, high, torch.inf)


@lru_cache(maxsize=1)
def _worst_error() -> npt.NDArray[np.float64]:
    """Return (8, 8): by how much a coefficient is off if all samples of its block conspire."""
    sums = np.abs(dct_basis()).sum(axis=1)
    return np.asarray(_SAMPLE_ERROR * np.outer(sums, sums))
