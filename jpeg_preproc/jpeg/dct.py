"""The orthonormal 8x8 DCT-II of JPEG (T.81, A.3.3) and its inverse, batched, in torch."""

from __future__ import annotations

import torch
from torch import Tensor

from jpeg_preproc.errors import ImageReadError
from jpeg_preproc.jpeg.blocks import block_basis


def block_dct(image: Tensor) -> Tensor:
    """Return the DCT of each 8x8 block, scaled as JPEG quantises it.

    Args:
        image: Samples of any range (a JPEG encoder takes luma - 128), (..., H, W), H and W
            multiples of 8. Whole-number types are computed in torch's default float type.

    Returns:
        (..., H/8, W/8, 8, 8): vertical frequency, then horizontal; [0, 0] is 8 times the mean.

    Raises:
        ImageReadError: H or W is no multiple of 8.

    >>> coefficients = block_dct(torch.ones(1, 8, 16))
    >>> coefficients.shape, round(coefficients[0, 0, 1, 0, 0].item())
    (torch.Size([1, 1, 2, 8, 8]), 8)
    """
    if image.ndim < 2 or image.shape[-2] % 8 or image.shape[-1] % 8:
        raise ImageReadError(
            f"Blocks of 8x8 need (..., H, W) with multiples of 8, not {tuple(image.shape)}; pad it."
        )
    if not image.is_floating_point():
        image = image.to(torch.get_default_dtype())
    height, width = image.shape[-2:]
    # (..., H/8, 8, W/8, 8) -> (..., H/8, W/8, 64)
    blocks = image.unflatten(-1, (width // 8, 8)).unflatten(-3, (height // 8, 8)).transpose(-3, -2)
    coefficients = blocks.flatten(-2) @ _basis(image.dtype, image.device).T
    return coefficients.unflatten(-1, (8, 8))


def block_idct(coefficients: Tensor) -> Tensor:
    """Return the image of block coefficients, the inverse of :func:`block_dct`.

    Args:
        coefficients: Coefficients of any float type, (..., H/8, W/8, 8, 8).

    Returns:
        (..., H, W).

    Raises:
        ImageReadError: The shape is another.
    """
    if coefficients.ndim < 4 or coefficients.shape[-2:] != (8, 8):
        raise ImageReadError(
            f"Block coefficients have shape {tuple(coefficients.shape)}; "
            "give (..., H/8, W/8, 8, 8)."
        )
    if not coefficients.is_floating_point():
        coefficients = coefficients.to(torch.get_default_dtype())
    basis = _basis(coefficients.dtype, coefficients.device)
    blocks = (coefficients.flatten(-2) @ basis).unflatten(-1, (8, 8))
    return blocks.transpose(-3, -2).flatten(-4, -3).flatten(-2, -1)


def _basis(dtype: torch.dtype, device: torch.device) -> Tensor:
    """Return :func:`~jpeg_preproc.jpeg.blocks.block_basis` as a tensor."""
    # Not cached as a tensor: one made in inference mode could not take part in training later.
    return torch.tensor(block_basis(), dtype=dtype, device=device)
