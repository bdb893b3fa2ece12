"""PSNR, SSIM and PSNR-B of one image against its reference, under a named protocol.

Every function is pure and takes one pair of uint8 images, so no value depends on how images were
batched. The mean over a data set is the mean of per-image values, in dB for PSNR and PSNR-B.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from jpeg_preproc.errors import ImageReadError
from jpeg_preproc.evaluation.protocols import (
    EvaluationProtocol,
    Pixels,
    get_protocol,
    limited_range_y,
)

_PEAK = 255.0
_BLOCK = 8
# Wang et al., "Image Quality Assessment", IEEE TIP 2004, section III-B.
_SSIM_C1 = (0.01 * _PEAK) ** 2
_SSIM_C2 = (0.03 * _PEAK) ** 2


@dataclass(frozen=True)
class Scores:
    """The three measures of one image: PSNR in dB, SSIM in [-1, 1], PSNR-B in dB."""

    psnr: float
    ssim: float
    psnr_b: float


def measure(
    reference: Pixels, tested: Pixels, protocol: str | EvaluationProtocol = "fbcnn"
) -> Scores:
    """Return all three measures of an image.

    Args:
        reference: Clean image: uint8, (H, W, 3) RGB or (H, W) grey.
        tested: Image to measure, of the same dtype and shape.
        protocol: A name in ``PROTOCOLS``, or a protocol.

    Raises:
        ImageReadError: What :func:`psnr`, :func:`ssim` or :func:`psnr_b` refuses.
    """
    return Scores(
        psnr(reference, tested, protocol),
        ssim(reference, tested, protocol),
        psnr_b(reference, tested, protocol),
    )


def psnr(reference: Pixels, tested: Pixels, protocol: str | EvaluationProtocol = "fbcnn") -> float:
    """Return the peak signal-to-noise ratio in dB, peak 255, one error over all samples.

    Symmetric in its two images. ``inf`` where they are equal.

    Args:
        reference: Clean image: uint8, (H, W, 3) RGB or (H, W) grey.
        tested: Image to measure, of the same dtype and shape.
        protocol: A name in ``PROTOCOLS``, or a protocol; all there agree on PSNR.

    Raises:
        ImageReadError: Other dtypes or shapes, or RGB under a protocol that measures grey.

    >>> grey = np.full((16, 16), 100, np.uint8)
    >>> round(psnr(grey, grey + np.uint8(1)), 3), psnr(grey, grey)
    (48.131, inf)
    """
    _check_pair(reference, tested, get_protocol(protocol))
    return _decibel(_mean_squared_error(reference, tested))


def ssim(reference: Pixels, tested: Pixels, protocol: str | EvaluationProtocol = "fbcnn") -> float:
    """Return the structural similarity in [-1, 1]; the mean over channels for RGB.

    Wang et al. 2004 with K1 = 0.01, K2 = 0.03 and population (not sample) variances, over the
    positions where the protocol's window lies wholly inside the image. Symmetric; 1 where equal.

    Args:
        reference: Clean image: uint8, (H, W, 3) RGB or (H, W) grey, no side shorter than the window
            (11 pixels for the Gaussian one, 8 for the uniform one).
        tested: Image to measure, of the same dtype and shape.
        protocol: A name in ``PROTOCOLS``, or a protocol.

    Raises:
        ImageReadError: An image smaller than the window, or what :func:`psnr` refuses.

    >>> grey = np.arange(256, dtype=np.uint8).reshape(16, 16)
    >>> round(ssim(grey, grey), 12)
    1.0
    """
    settings = get_protocol(protocol)
    _check_pair(reference, tested, settings)
    window = _gaussian(11, 1.5) if settings.ssim_window == "gaussian" else [1 / 8] * 8
    height, width = reference.shape[:2]
    if min(height, width) < len(window):
        raise ImageReadError(
            f"Image is {width}x{height} pixels; SSIM of protocol {settings.name!r} needs sides of "
            f"at least {len(window)}."
        )
    pairs = zip(_channels(reference), _channels(tested), strict=True)
    values = [_ssim_plane(x, y, window) for x, y in pairs]
    return math.fsum(values) / len(values)


def psnr_b(
    reference: Pixels, tested: Pixels, protocol: str | EvaluationProtocol = "fbcnn"
) -> float:
    """Return the PSNR in dB with the tested image's block effect added to the error.

    Yim and Bovik, "Quality Assessment of Deblocked Images", IEEE TIP 2011, eqs. 4-10, in the form
    of the protocol. The block effect is that of ``tested`` alone: swapping the images gives
    another value, and equal images score ``inf`` only if they show no block edges.

    Args:
        reference: Clean image: uint8, (H, W, 3) RGB or (H, W) grey; both sides at least 8 pixels
            and wide enough to hold a block boundary.
        tested: Image to measure, of the same dtype and shape, its 8x8 grid starting at the top left
            pixel.
        protocol: A name in ``PROTOCOLS``, or a protocol.

    Raises:
        ImageReadError: An image without a block boundary, or what :func:`psnr` refuses.
    """
    settings = get_protocol(protocol)
    _check_pair(reference, tested, settings)
    if settings.psnr_b_plane == "channels":
        values = [
            _decibel(_mean_squared_error(x, y) + _block_effect(y, settings.partial_blocks))
            for x, y in zip(_channels(reference), _channels(tested), strict=True)
        ]
        return math.fsum(values) / len(values)
    plane = limited_range_y(tested) if tested.ndim == 3 else tested
    effect = _block_effect(plane, settings.partial_blocks)
    return _decibel(_mean_squared_error(reference, tested) + effect)


def _check_pair(reference: Pixels, tested: Pixels, protocol: EvaluationProtocol) -> None:
    """Raise ImageReadError unless both are uint8 images of one shape that the protocol takes."""
    for role, image in (("reference", reference), ("tested", tested)):
        if not isinstance(image, np.ndarray) or image.dtype != np.uint8:
            kind = getattr(image, "dtype", type(image).__name__)
            raise ImageReadError(f"The {role} image is {kind}; give a NumPy array of uint8.")
        if not (image.ndim == 2 or (image.ndim == 3 and image.shape[2] == 3)) or not image.size:
            raise ImageReadError(
                f"The {role} image has shape {image.shape}; give (H, W, 3) RGB or (H, W) grey."
            )
    if reference.shape != tested.shape:
        raise ImageReadError(
            f"The reference image has shape {reference.shape}, the tested one {tested.shape}; "
            "they must agree. Was one of them rotated, cropped or turned grey?"
        )
    if protocol.colour == "limited-y" and reference.ndim == 3:
        raise ImageReadError(
            f"Protocol {protocol.name!r} measures grey images; turn RGB into luma with "
            "prepare_reference before compressing it."
        )


def _channels(image: Pixels) -> list[Pixels]:
    """Return the (H, W) planes of an image."""
    return [image] if image.ndim == 2 else [image[..., index] for index in range(3)]


def _mean_squared_error(reference: Pixels, tested: Pixels) -> float:
    difference = reference.astype(np.int32) - tested.astype(np.int32)
    return float(np.mean(np.square(difference), dtype=np.float64))


def _decibel(error: float) -> float:
    return 10 * math.log10(_PEAK**2 / error) if error > 0 else math.inf


def _gaussian(size: int, sigma: float) -> list[float]:
    """Return ``size`` samples of a Gaussian centred among them, of sum 1."""
    weights = [math.exp(-((i - (size - 1) / 2) ** 2) / (2 * sigma**2)) for i in range(size)]
    return [weight / math.fsum(weights) for weight in weights]


def _ssim_plane(reference: Pixels, tested: Pixels, window: list[float]) -> float:
    """Return the mean SSIM of two (H, W) planes; double precision, for variances cancel."""
    x = torch.from_numpy(reference.astype(np.float64))
    y = torch.from_numpy(tested.astype(np.float64))
    # One plane at a time: a stack of five would not stay in a processor's cache.
    mean_x, mean_y, squares, product = (
        _filter_valid(plane, window) for plane in (x, y, x * x + y * y, x * y)
    )
    mean_product = mean_x * mean_y
    mean_squares = mean_x.square_().add_(mean_y.square_())
    covariance = product.sub_(mean_product)
    variances = squares.sub_(mean_squares)
    similarity = mean_product.mul_(2).add_(_SSIM_C1) * covariance.mul_(2).add_(_SSIM_C2)
    similarity /= mean_squares.add_(_SSIM_C1) * variances.add_(_SSIM_C2)
    return float(similarity.mean())


def _filter_valid(plane: Tensor, window: list[float]) -> Tensor:
    """Correlate (H, W) with ``window`` (n) along both axes: (H - n + 1, W - n + 1).

    A sum of shifted copies: five times as fast on a CPU as a convolution in double precision.
    """
    for axis in (0, 1):
        length = plane.shape[axis] - len(window) + 1
        total = plane.narrow(axis, 0, length) * window[0]
        for offset, weight in enumerate(window[1:], start=1):
            total.add_(plane.narrow(axis, offset, length), alpha=weight)
        plane = total
    return plane


def _block_effect(plane: Pixels, partial_blocks: bool) -> float:
    """Return the block effect factor of an (H, W) plane, in squared grey levels, >= 0.

    The mean squared step across block boundaries less that across all other neighbours, weighted
    by log2(8) / log2(shorter side), and 0 where boundaries stand out no more than the rest.
    """
    height, width = plane.shape
    samples = plane.astype(np.int32)
    # Sums of squared steps from each column, and each row, to the next.
    columns = np.square(np.diff(samples, axis=1)).sum(axis=0, dtype=np.int64)
    rows = np.square(np.diff(samples, axis=0)).sum(axis=1, dtype=np.int64)
    at_columns, at_rows = _is_boundary(columns), _is_boundary(rows)
    blocks_across = width / _BLOCK if partial_blocks else width // _BLOCK
    blocks_down = height / _BLOCK if partial_blocks else height // _BLOCK
    boundary_count = height * (blocks_across - 1) + width * (blocks_down - 1)
    if min(height, width) < _BLOCK or boundary_count <= 0:
        raise ImageReadError(
            f"Image is {width}x{height} pixels; PSNR-B needs sides of at least {_BLOCK} and a "
            "boundary between two blocks, for instance 16x8."
        )
    inner_count = height * (width - 1) + width * (height - 1) - boundary_count
    boundary = float(columns[at_columns].sum() + rows[at_rows].sum()) / boundary_count
    inner = float(columns[~at_columns].sum() + rows[~at_rows].sum()) / inner_count
    if boundary <= inner:
        return 0.0
    return math.log2(_BLOCK) / math.log2(min(height, width)) * (boundary - inner)


def _is_boundary(steps: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
    """Mark the steps that cross from one block to the next."""
    return np.arange(len(steps)) % _BLOCK == _BLOCK - 1
