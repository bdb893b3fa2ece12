"""The samples that a JPEG stores, each component at its own size, before they become RGB."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from jpeg_preproc.jpeg.codec import decode_picture
from jpeg_preproc.jpeg.header import is_jpeg, read_jpeg_info
from jpeg_preproc.jpeg.source import Source, source_bytes, source_name

# Pixels across a sample of chroma, and down, where Pillow can hand the stored samples out: as
# they are, or, of a file decoded at half its size, where libjpeg need not enlarge them.
_CHROMA_PIXELS = {"4:4:4": 1, "4:2:0": 2}
# Samplings with luma at the size of the image.
_FULL_LUMA = ("4:4:4", "4:2:2", "4:2:0", "4:4:0", "4:1:1")


@dataclass(frozen=True, eq=False)
class FileSamples:
    """A JPEG's samples and the steps that their blocks were quantised with.

    Attributes:
        planes: Samples as uint8, (1, H, W) luma of a grey file, (3, H, W) luma and both chroma of a
            colour file, in stored orientation. Each stored sample of chroma is repeated over its
            pixels. What is not known is 0: blocks that the image does not fill, and chroma of
            another sampling than 4:4:4 and 4:2:0.
        steps: Quantisation steps as float32, (C, 8, 8) in natural order.
        chroma_pixels: How many pixels lie across a sample of chroma, 1 or 2; 0 where chroma is not
            known.
    """

    planes: npt.NDArray[np.uint8]
    steps: npt.NDArray[np.float32]
    chroma_pixels: int


def read_samples(source: Source, name: str | None = None) -> FileSamples | None:
    """Return the samples that a JPEG stores, as its decoder rounds and clips them.

    Args:
        source: A file's path, or its bytes.
        name: What an error calls bytes that came from a file; by default the path.

    Returns:
        ``None`` where there is no such thing: no JPEG, one that stores RGB, or one whose luma has
        fewer samples than the image has pixels.

    Raises:
        ImageReadError: See :func:`~jpeg_preproc.jpeg.codec.decode_jpeg`.

    >>> from jpeg_preproc.jpeg import compress_jpeg
    >>> jpeg = compress_jpeg(np.full((20, 30, 3), 90, np.uint8), qf=50)
    >>> samples = read_samples(jpeg)
    >>> samples.planes.shape, samples.planes[0, 15, 23:25], samples.chroma_pixels
    ((3, 20, 30), array([90,  0], dtype=uint8), 2)
    """
    data = source_bytes(source)
    name = source_name(source) if name is None else name
    if not is_jpeg(data):
        return None
    info = read_jpeg_info(data, name=name)
    steps = info.qtables[list(info.table_of)].astype(np.float32)
    if info.colour_space == "grey":
        return FileSamples(_whole(_decoded(data, name, "L")[None], 8), steps, 0)
    if info.colour_space != "YCbCr" or info.sampling not in _FULL_LUMA:
        return None
    planes = np.zeros((3, info.height, info.width), np.uint8)
    if info.sampling == "4:4:4":
        planes[:] = _whole(_decoded(data, name, "YCbCr").transpose(2, 0, 1), 8)
        return FileSamples(planes, steps, 1)
    planes[:1] = _whole(_decoded(data, name, "L")[None], 8)
    factor = _CHROMA_PIXELS.get(info.sampling, 0)
    # Pillow does not halve what is narrower; no block of chroma is whole there anyway.
    if factor and min(info.width, info.height) >= 8 * factor:
        chroma = _decoded(data, name, "YCbCr", factor)[..., 1:].transpose(2, 0, 1)
        repeated = chroma.repeat(factor, axis=1).repeat(factor, axis=2)
        planes[1:] = _whole(repeated[:, : info.height, : info.width], 8 * factor)
    return FileSamples(planes, steps, factor)


def _decoded(data: bytes, name: str, mode: str, divisor: int = 1) -> npt.NDArray[np.uint8]:
    picture, _ = decode_picture(data, name, (mode, divisor), None)
    return np.asarray(picture)


def _whole(planes: npt.NDArray[np.uint8], block: int) -> npt.NDArray[np.uint8]:
    """Return (C, H, W) planes with 0 where a block of so many pixels is not whole."""
    height, width = (side // block * block for side in planes.shape[1:])
    result = np.zeros_like(planes)
    result[:, :height, :width] = planes[:, :height, :width]
    return result
