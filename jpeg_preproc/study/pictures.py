"""Images as files that browsers show."""

from __future__ import annotations

import io

import numpy as np
import numpy.typing as npt
from PIL import Image

# Of 100; the artifacts of JPEG that a page is about are far coarser.
_WEBP_QUALITY = 92
_WEBP_SIDE = 16383
#: First bytes of files that browsers show, and where in the file they are.
_KINDS = (
    (0, b"\xff\xd8\xff", "image/jpeg"),
    (8, b"WEBP", "image/webp"),
    (4, b"ftypavif", "image/avif"),
)


def as_webp(pixels: npt.NDArray[np.uint8], lossless: bool = False) -> bytes:
    """Return a WebP file of quality 92, or a lossless one.

    Args:
        pixels: The image: uint8, (H, W, 3) RGB or (H, W) grey. One with a side over 16383 pixels,
            which WebP cannot hold, is made smaller.
        lossless: Whether every pixel is kept.
    """
    picture = Image.fromarray(pixels).convert("RGB")
    if max(picture.size) > _WEBP_SIDE:
        picture.thumbnail((_WEBP_SIDE, _WEBP_SIDE))
    stream = io.BytesIO()
    picture.save(stream, "WEBP", lossless=lossless, quality=_WEBP_QUALITY)
    return stream.getvalue()


def shown_file(data: bytes | None, pixels: npt.NDArray[np.uint8]) -> tuple[bytes, str, str]:
    """Return the file by which a corrupted image is shown, its MIME type, and what is said of it.

    Args:
        data: Bytes of the last lossy file, if there is one that is shown as it is stored.
        pixels: The image, upright, for files that browsers do not show.
    """
    for start, sign, mime in _KINDS:
        if data is not None and data[start : start + len(sign)] == sign:
            return data, mime, f"Shown is the file that was measured, of {len(data):,} bytes."
    return as_webp(pixels, lossless=True), "image/webp", "The corrupted image is shown losslessly."


def as_mask(states: npt.NDArray[np.uint8], colours: npt.NDArray[np.uint8]) -> bytes:
    """Return a PNG in which each pixel has the colour of its state.

    Args:
        states: Number of a colour, (H, W).
        colours: Red, green, blue and opacity of each, (K, 4).
    """
    picture = Image.fromarray(states, "P")
    picture.putpalette(colours[:, :3].tobytes())
    stream = io.BytesIO()
    picture.save(stream, "PNG", transparency=colours[:, 3].tobytes(), optimize=True)
    return stream.getvalue()
