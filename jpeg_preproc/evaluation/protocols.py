"""The named ways in which the papers prepare, decode and measure images.

The tables of two protocols do not compare: the JPEG row of LIVE1 at QF 10 alone differs by 0.1 dB
in PSNR and 0.7 dB in PSNR-B. A protocol is therefore a named value, stored with every row.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
from PIL import Image

from jpeg_preproc.errors import ImageReadError, JpegPreprocError

Pixels = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class EvaluationProtocol:
    """How a paper measures restoration, as data.

    Attributes:
        name: What ``--protocol`` takes and every row carries.
        source: The papers whose tables follow it.
        colour: ``'as-is'`` evaluates RGB files in RGB and grey files in grey; ``'limited-y'`` turns
            RGB into limited-range luma before compression.
        decoder: ``'fancy'`` is libjpeg's default (triangle-filtered chroma); ``'nearest'`` repeats
            each chroma sample.
        ssim_window: ``'gaussian'`` is 11x11 with sigma 1.5, ``'uniform'`` is 8x8; both over the
            valid region only.
        psnr_b_plane: ``'limited-y'`` adds the block effect of the tested image's luma to the mean
            squared error over all samples; ``'channels'`` averages one PSNR-B per channel.
        partial_blocks: Whether a side that is no multiple of 8 counts its last, partial block as a
            fraction in the number of block boundaries, or not at all.
    """

    name: str
    source: str
    colour: Literal["as-is", "limited-y"]
    decoder: Literal["fancy", "nearest"]
    ssim_window: Literal["gaussian", "uniform"]
    psnr_b_plane: Literal["limited-y", "channels"]
    partial_blocks: bool


PROTOCOLS: dict[str, EvaluationProtocol] = {
    protocol.name: protocol
    for protocol in (
        EvaluationProtocol(
            name="fbcnn",
            source="FBCNN (ICCV 2021), D2LNet and DAGN (colour tables)",
            colour="as-is",
            decoder="fancy",
            ssim_window="gaussian",
            psnr_b_plane="limited-y",
            partial_blocks=True,
        ),
        # LIVE1 JPEG row published 25.60 / 0.755 / 23.53 at QF 10, here 25.592 / 0.7552 / 23.526:
        # the authors' decoder keeps fractions of grey levels that an 8-bit image rounds away.
        EvaluationProtocol(
            name="qgac",
            source="QGAC (ECCV 2020)",
            colour="as-is",
            decoder="nearest",
            ssim_window="uniform",
            psnr_b_plane="channels",
            partial_blocks=False,
        ),
        EvaluationProtocol(
            name="grey-y",
            source="ARCNN, DnCNN, FBCNN and D2LNet (grey tables)",
            colour="limited-y",
            decoder="fancy",
            ssim_window="gaussian",
            psnr_b_plane="limited-y",
            partial_blocks=True,
        ),
    )
}


def get_protocol(protocol: str | EvaluationProtocol) -> EvaluationProtocol:
    """Return the protocol of that name; one that is already a protocol is returned as it is.

    Raises:
        JpegPreprocError: The name is not in :data:`PROTOCOLS`.
    """
    if isinstance(protocol, EvaluationProtocol):
        return protocol
    if protocol not in PROTOCOLS:
        raise JpegPreprocError(
            f"Protocol {protocol!r} is unknown; give one of {', '.join(PROTOCOLS)}."
        )
    return PROTOCOLS[protocol]


def limited_range_y(image: Pixels) -> Pixels:
    """Return the luma of an RGB image in 16-235, as MATLAB's ``rgb2ycbcr`` rounds it.

    ITU-R BT.601 with 8-bit studio swing. Pillow's ``convert('L')`` is full-range and lowers the
    LIVE1 grey JPEG row at QF 10 from 27.77 to 27.02 dB.

    Args:
        image: RGB pixels, uint8 (H, W, 3).

    Returns:
        (H, W) uint8 in 16-235.

    >>> limited_range_y(np.array([[[0, 0, 0], [255, 255, 255]]], np.uint8))
    array([[ 16, 235]], dtype=uint8)
    """
    weights = np.array([65.481, 128.553, 24.966])
    luma: npt.NDArray[np.float64] = image.astype(np.float64) @ weights / 255.0 + 16.0
    return np.rint(luma).astype(np.uint8)


def prepare_reference(image: Pixels, protocol: str | EvaluationProtocol) -> Pixels:
    """Return what the protocol compresses and compares with, given a clean image.

    Args:
        image: Clean pixels, uint8, (H, W, 3) RGB or (H, W) grey; a grey image is taken as it is, so
            that a folder of luma planes such as LIVE1 grey or Classic5 is not converted twice.
        protocol: A name in :data:`PROTOCOLS` or a protocol.
    """
    if image.ndim == 3 and get_protocol(protocol).colour == "limited-y":
        return limited_range_y(image)
    return image


def decode_for(data: bytes, protocol: str | EvaluationProtocol) -> Pixels:
    """Decode a JPEG with the protocol's decoder: uint8, (H, W, 3) RGB or (H, W) grey.

    Raises:
        ImageReadError: The ``'nearest'`` decoder meets a subsampling that it cannot take.
    """
    if get_protocol(protocol).decoder == "nearest":
        return decode_nearest_chroma(data)
    with Image.open(io.BytesIO(data)) as picture:
        return np.array(picture)


def decode_nearest_chroma(data: bytes) -> Pixels:
    """Decode a JPEG as libjpeg does with ``do_fancy_upsampling`` off (``djpeg -nosmooth``).

    Pillow has no such switch. But libjpeg, asked for half the size, leaves 4:2:0 chroma at the
    size it is stored in, so the chroma planes are taken from a half-size decoding, and luma from a
    full one; both are libjpeg's own samples, not an approximation.

    Args:
        data: Bytes of a grey, 4:4:4 or 4:2:0 JPEG with sides of at least 2 pixels.

    Returns:
        uint8, (H, W, 3) RGB or (H, W) grey.

    Raises:
        ImageReadError: Another number of components, subsampling or size.
    """
    with Image.open(io.BytesIO(data)) as picture:
        width, height = picture.size
        if picture.mode == "L":
            return np.array(picture)
        sampling = [(h, v) for _, h, v, _ in getattr(picture, "layer", [])]
        if sampling == [(1, 1)] * 3:
            return np.array(picture)
        if sampling != [(2, 2), (1, 1), (1, 1)] or min(width, height) < 2:
            raise ImageReadError(
                f"JPEG of {width}x{height} pixels with sampling factors {sampling}: the "
                "nearest-neighbour decoder takes grey, 4:4:4 and 4:2:0 with sides of 2 or more; "
                "compress with one of these or take the protocol 'fbcnn'."
            )
        picture.draft("YCbCr", (width, height))
        luma = np.asarray(picture)[..., 0]
    with Image.open(io.BytesIO(data)) as picture:
        picture.draft("YCbCr", (width // 2, height // 2))
        stored = np.asarray(picture)[..., 1:]
    chroma = stored.repeat(2, axis=0).repeat(2, axis=1)[:height, :width]
    return _ycbcr_to_rgb(luma, chroma)


def _ycbcr_to_rgb(luma: Pixels, chroma: Pixels) -> Pixels:
    """Convert (H, W) Y and (H, W, 2) Cb, Cr to RGB in libjpeg's 16-bit fixed point (jdcolor.c)."""
    y = luma.astype(np.int32)
    blue, red = (chroma[..., index].astype(np.int32) - 128 for index in (0, 1))
    half = 1 << 15
    rgb = np.stack(
        [
            y + ((_fixed(1.40200) * red + half) >> 16),
            y + ((-_fixed(0.34414) * blue - _fixed(0.71414) * red + half) >> 16),
            y + ((_fixed(1.77200) * blue + half) >> 16),
        ],
        axis=-1,
    )
    return np.clip(rgb, 0, 255).astype(np.uint8)


def _fixed(value: float) -> int:
    """Return ``value`` in units of 2**-16, rounded."""
    return int(value * 65536 + 0.5)
