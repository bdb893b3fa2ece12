"""Pixels as the bytes of a PNG, WebP or JPEG file, with metadata and a note; and the note back."""

from __future__ import annotations

import html
import io
import os
import re
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image, PngImagePlugin

from jpeg_preproc.errors import ImageReadError, QualityError
from jpeg_preproc.jpeg.codec import check_image_array
from jpeg_preproc.jpeg.exif import EXIF_PREFIX
from jpeg_preproc.jpeg.image import opened_picture
from jpeg_preproc.jpeg.source import open_source, source_name
from jpeg_preproc.jpeg.tables import validate_qf

#: Formats that are written, and the suffix of their files. PNG and WebP are lossless here.
SUFFIXES = {"png": ".png", "webp": ".webp", "jpeg": ".jpg"}

_WEBP_MAX_SIDE = 16383
_NOTE_KEY = "jpeg_preproc"
# WebP has no place for text; XMP is what it has instead.
_NAMESPACE = "https://jpeg-preproc.invalid/note/"
_XMP = (
    '<x:xmpmeta xmlns:x="adobe:ns:meta/">'
    '<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
    f'<rdf:Description xmlns:{_NOTE_KEY}="{_NAMESPACE}" {_NOTE_KEY}:note="%s"/>'
    "</rdf:RDF></x:xmpmeta>"
)
_XMP_NOTE = re.compile(rf'{_NOTE_KEY}:note="([^"]*)"')


@dataclass(frozen=True)
class Encoding:
    """How pixels are written.

    Attributes:
        format: One of :data:`SUFFIXES`.
        quality: Quality of a JPEG, 1-100; its chroma is not subsampled. The other formats have
            none.

    Raises:
        QualityError: The format is unknown, or the quality outside 1-100.
    """

    format: str = "png"
    quality: int = 95

    def __post_init__(self) -> None:
        if self.format not in SUFFIXES:
            raise QualityError(
                f"Output format {self.format!r} is unknown; give one of {', '.join(SUFFIXES)}."
            )
        validate_qf(self.quality)


def encode_image(
    image: npt.NDArray[np.uint8],
    encoding: Encoding,
    exif: bytes = b"",
    icc: bytes = b"",
    note: str = "",
) -> bytes:
    """Return ``image`` as the bytes of a file.

    Args:
        image: Pixels as uint8, (H, W, 3) RGB or (H, W) grey, which WebP stores as RGB.
        encoding: Format and quality.
        exif: EXIF payload with its ``Exif`` prefix.
        icc: Colour profile.
        note: Text that :func:`read_note` finds again; stored in a ``tEXt`` chunk of PNG, a comment
            of JPEG, an XMP packet of WebP.

    Raises:
        ImageReadError: The array is of another kind or larger than the format allows, or the
            metadata is larger than it holds.

    >>> data = encode_image(np.zeros((8, 8), np.uint8), Encoding("png"), note="mine")
    >>> read_note(data)
    'mine'
    """
    picture = Image.fromarray(check_image_array(image))
    stream = io.BytesIO()
    try:
        if encoding.format == "png":
            text = PngImagePlugin.PngInfo()
            if note:
                text.add_text(_NOTE_KEY, note)
            picture.save(stream, "PNG", pnginfo=text, exif=exif, icc_profile=icc)
        elif encoding.format == "webp":
            _check_webp_size(picture)
            packet = (_XMP % html.escape(note)).encode() if note else b""
            tiff = exif.removeprefix(EXIF_PREFIX)
            picture.save(stream, "WEBP", lossless=True, exif=tiff, icc_profile=icc, xmp=packet)
        else:
            picture.save(
                stream,
                "JPEG",
                quality=encoding.quality,
                subsampling="4:4:4",
                exif=exif,
                icc_profile=icc,
                comment=f"{_NOTE_KEY}:{note}" if note else b"",
            )
    except (OSError, ValueError) as error:
        raise ImageReadError(
            f"The image cannot be written as {encoding.format} ({error}); choose another format, "
            "or leave out its metadata."
        ) from error
    return stream.getvalue()


def read_note(source: str | os.PathLike[str] | bytes) -> str | None:
    """Return the note that :func:`encode_image` put into a file; None if there is none.

    A file that is no image has none either.

    Raises:
        ImageReadError: The file cannot be opened.
    """
    with open_source(source) as stream:
        try:
            with opened_picture(stream, source_name(source)) as picture:
                found = {**picture.info, "format": picture.format}
        except ImageReadError:
            return None
    if found["format"] == "WEBP":
        match = _XMP_NOTE.search(found.get("xmp", b"").decode("utf-8", "replace"))
        return html.unescape(match[1]) if match else None
    if found["format"] == "JPEG":
        comment = found.get("comment", b"").decode("utf-8", "replace")
        return comment.removeprefix(f"{_NOTE_KEY}:") if comment.startswith(_NOTE_KEY) else None
    text = found.get(_NOTE_KEY)
    return str(text) if text else None


def _check_webp_size(picture: Image.Image) -> None:
    if max(picture.size) > _WEBP_MAX_SIDE:
        raise ImageReadError(
            f"The image is {picture.width}x{picture.height} pixels, and WebP has sides of at most "
            f"{_WEBP_MAX_SIDE}; write it as png."
        )
