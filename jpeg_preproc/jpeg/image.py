"""Any image file that Pillow reads, as uint8 RGB or grey in stored orientation, or one error."""

from __future__ import annotations

import io
import logging
import os
import shlex
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import IO

import numpy as np
import numpy.typing as npt
import PIL
from PIL import Image

from jpeg_preproc.defaults import MAX_PIXELS
from jpeg_preproc.errors import ImageReadError
from jpeg_preproc.jpeg.codec import check_pixel_count, decode_picture
from jpeg_preproc.jpeg.exif import apply_orientation, parse_orientation
from jpeg_preproc.jpeg.header import JpegInfo, is_jpeg
from jpeg_preproc.jpeg.source import Source, source_bytes, source_name

__all__ = ["IMAGE_SUFFIXES", "JPEG_SUFFIXES", "LoadedImage", "apply_orientation", "load_image"]

#: Suffixes of files that hold a JPEG, in lower case. Label maps never have them: JPEG is lossy.
JPEG_SUFFIXES = frozenset((".jpg", ".jpeg", ".jpe", ".jfif"))
#: Suffixes of files that are taken for images where a folder is searched, in lower case.
IMAGE_SUFFIXES = JPEG_SUFFIXES.union(
    (".bmp", ".gif", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp")
)

#: What is opened, by content and whatever the name: Pillow's names of the formats. Not among them
#: are those that start other programs (EPS), run what a file says, or are kept for games and icons.
IMAGE_FORMATS = (
    "PNG",
    "JPEG",
    "MPO",
    "BMP",
    "DIB",
    "GIF",
    "PPM",
    "TIFF",
    "WEBP",
    "AVIF",
    "JPEG2000",
)

# Of some damaged files Pillow logs an error before it raises one, which a program that has not set
# up logging would print: two lines for one fault.
logging.getLogger("PIL").addHandler(logging.NullHandler())

#: warnings.catch_warnings swaps state of the whole process, and so does a change of Pillow's limit
#: on pixels: one thread at a time.
WARNINGS_LOCK = threading.Lock()

_GREY_MODES = frozenset({"1", "L", "LA", "La"})
_COLOUR_MODES = frozenset({"P", "PA", "RGB", "RGBA", "RGBa", "RGBX", "YCbCr"})


@dataclass(frozen=True, eq=False)
class LoadedImage:
    """An image file's pixels and what the file says about them.

    Attributes:
        picture: Pixels in Pillow's memory, of mode RGB or, from a grey file, L; in stored
            orientation, and with nothing in its ``info``.
        info: Header of a JPEG; None for other formats.
        orientation: EXIF orientation still to be applied, 1-8.
        path: Path of the file; None for bytes.
        data: All bytes of the file.
        name: What an error calls it.
    """

    picture: Image.Image
    info: JpegInfo | None
    orientation: int
    path: Path | None
    data: bytes
    name: str

    @cached_property
    def pixels(self) -> npt.NDArray[np.uint8]:
        """A copy of the picture as uint8, (H, W, 3) RGB or (H, W) grey."""
        return np.array(self.picture)


def load_image(
    source: Source, name: str | None = None, max_pixels: int | None = MAX_PIXELS
) -> LoadedImage:
    """Read an image file as uint8 RGB or grey, in stored orientation.

    Palettes are looked up, 1-bit images become 0 and 255, an alpha channel is dropped (colours
    stay as stored, not blended with a background: what OpenCV's colour flag does), and of an
    animation the first frame is taken. Colour profiles are not applied. Pillow turns TIFF
    upright itself.

    Args:
        source: A file's path, or its bytes.
        name: What an error calls bytes that came from a file; by default the path.
        max_pixels: Most pixels that are decoded; ``None`` for any number.

    Raises:
        ImageReadError: The file is missing, no image, corrupt or truncated, CMYK, of more than 8
            bits per channel, or of more than ``max_pixels``. The message names the file and the
            mend.

    >>> stream = io.BytesIO()
    >>> Image.new("LA", (7, 9)).save(stream, "PNG")
    >>> load_image(stream.getvalue()).pixels.shape
    (9, 7)
    """
    data = source_bytes(source)
    name = source_name(source) if name is None else name
    path = Path(source) if isinstance(source, (str, os.PathLike)) else None
    if is_jpeg(data):
        picture, info = decode_picture(data, name, max_pixels=max_pixels)
        return LoadedImage(picture, info, info.orientation, path, data, name)
    with opened_picture(io.BytesIO(data), name) as opened:
        check_pixel_count(*opened.size, name, max_pixels)
        picture, orientation = _read_with_pillow(opened, data, name)
    return LoadedImage(picture, None, orientation, path, data, name)


@contextmanager
def opened_picture(stream: IO[bytes], name: str) -> Iterator[Image.Image]:
    """Open a file with Pillow, for as long as the block lasts, without its warnings.

    Args:
        stream: Seekable stream of the file.
        name: What an error calls it.

    Raises:
        ImageReadError: The file is of none of :data:`IMAGE_FORMATS`, or Pillow raises anything
            else, here or in the block, but that memory is out.
    """
    with WARNINGS_LOCK, warnings.catch_warnings():
        # Pillow warns of damaged metadata and of images that are merely large; neither matters.
        warnings.simplefilter("ignore")
        limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None  # the caller has its own
        try:
            with Image.open(stream, formats=_known_formats()) as picture:
                yield picture
        except (ImageReadError, MemoryError):
            raise
        except PIL.UnidentifiedImageError:
            raise ImageReadError(
                f"{name} is no image that is opened here ({', '.join(_known_formats())}); check "
                "that it is an image and undamaged, or convert it to PNG."
            ) from None
        except Exception as error:  # what Pillow's readers raise on damaged files has no bounds
            raise ImageReadError(
                f"{name} is corrupt or truncated ({error}); fetch or export the file again."
            ) from error
        finally:
            Image.MAX_IMAGE_PIXELS = limit


@lru_cache(maxsize=1)
def _known_formats() -> tuple[str, ...]:
    """Return those of :data:`IMAGE_FORMATS` that this build of Pillow has."""
    Image.init()
    return tuple(name for name in IMAGE_FORMATS if name in Image.OPEN)


def _read_with_pillow(picture: Image.Image, data: bytes, name: str) -> tuple[Image.Image, int]:
    _refuse_unsupported(picture, data, name)
    # An APNG's or GIF's later frames are left alone; only TIFF turns itself on loading.
    picture.load()
    grey = picture.mode in _GREY_MODES
    # RGBa holds colours multiplied by alpha, and only by way of RGBA does that go.
    if picture.mode in ("RGBa", "La"):
        upright = picture.convert("RGBA" if picture.mode == "RGBa" else "LA")
    else:
        upright = picture
    plain = upright.convert("L" if grey else "RGB")
    exif = picture.info.get("exif")
    plain.info.clear()
    return plain, parse_orientation(exif) if isinstance(exif, bytes) else 1


def _refuse_unsupported(picture: Image.Image, data: bytes, name: str) -> None:
    quoted = shlex.quote(name)
    if picture.mode == "CMYK":
        raise ImageReadError(
            f"{name} is a CMYK image, which is not supported; convert it first: "
            f"magick {quoted} -colorspace sRGB OUT.png"
        )
    if _bits_per_channel(picture, data) > 8:
        raise ImageReadError(
            f"{name} has more than 8 bits per channel (mode {picture.mode}), which is not "
            f"supported; convert it first: magick {quoted} -depth 8 OUT.png"
        )
    if picture.mode not in _GREY_MODES | _COLOUR_MODES:
        raise ImageReadError(
            f"{name} has colour mode {picture.mode}, which is not supported; convert it first: "
            f"magick {quoted} -colorspace sRGB -depth 8 OUT.png"
        )


def _bits_per_channel(picture: Image.Image, data: bytes) -> int:
    """Return 8, or more where Pillow would cut a deeper file down to 8 without a word."""
    if picture.mode.startswith("I;16"):
        return 16
    if picture.mode in ("I", "F"):
        return 32
    if picture.format == "PNG":
        return data[24]  # the bit depth in IHDR, which is always the first chunk
    for codec, _, _, arguments in getattr(picture, "tile", ()):
        # Of a plain bitmap there is a mode alone, not a mode and the largest value.
        if codec.startswith("ppm") and isinstance(arguments, tuple) and arguments[1] > 255:
            return 16
    depths = getattr(picture, "tag_v2", {}).get(258, (8,))  # TIFF's BitsPerSample
    return max(depths) if isinstance(depths, tuple) else int(depths)
