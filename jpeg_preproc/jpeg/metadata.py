"""What a file says about its picture beside the pixels: format, EXIF, colour profile."""

from __future__ import annotations

from dataclasses import dataclass

from jpeg_preproc.errors import ImageReadError
from jpeg_preproc.jpeg import segments
from jpeg_preproc.jpeg.exif import EXIF_PREFIX
from jpeg_preproc.jpeg.image import opened_picture
from jpeg_preproc.jpeg.segments import EndOfStreamError, SegmentReader
from jpeg_preproc.jpeg.source import Source, open_source, source_name


@dataclass(frozen=True)
class Metadata:
    """A file's metadata.

    Attributes:
        format: ``'JPEG'``, ``'PNG'`` and so on, as Pillow names it.
        exif: EXIF payload with its ``Exif`` prefix; empty where there is none.
        icc: ICC colour profile; empty where there is none, or not all of it.
    """

    format: str
    exif: bytes = b""
    icc: bytes = b""


def read_metadata(source: Source) -> Metadata:
    """Return a file's metadata, without decoding its pixels.

    Args:
        source: A file's path, or its bytes.

    Raises:
        ImageReadError: The file is missing, or no image.

    >>> import io
    >>> from PIL import Image
    >>> stream = io.BytesIO()
    >>> Image.new("L", (8, 8)).save(stream, "PNG", icc_profile=b"a profile")
    >>> read_metadata(stream.getvalue())
    Metadata(format='PNG', exif=b'', icc=b'a profile')
    """
    with open_source(source) as stream:
        reader = SegmentReader(stream, source_name(source))
        if reader.starts_with_soi():
            return _of_jpeg(reader)
    with open_source(source) as stream, opened_picture(stream, source_name(source)) as picture:
        # Not that of TIFF, whose EXIF is the file's own structure.
        exif = picture.info.get("exif")
        return Metadata(
            format=picture.format or "unknown",
            exif=_prefixed(exif) if isinstance(exif, bytes) else b"",
            icc=picture.info.get("icc_profile") or b"",
        )


def _of_jpeg(reader: SegmentReader) -> Metadata:
    """Walk the segments up to the first scan; what is cut off or damaged counts as absent."""
    exif, pieces = b"", {}
    try:
        while (marker := reader.next_marker()) not in (None, segments.SOS, segments.EOI):
            if marker in segments.STANDALONE:
                continue
            payload = reader.payload()
            if marker == segments.APP1 and payload.startswith(EXIF_PREFIX):
                exif = exif or payload
            elif marker == segments.APP2 and payload.startswith(segments.ICC_PREFIX):
                # ICC.1:2010, B.4: number of this piece, counted from 1, and of how many.
                number, total = payload[len(segments.ICC_PREFIX) :][:2].ljust(2, b"\0")
                pieces[number, total] = payload[len(segments.ICC_PREFIX) + 2 :]
    except (EndOfStreamError, ImageReadError):
        pass
    total = max((total for _, total in pieces), default=0)
    complete = [pieces.get((number, total)) for number in range(1, total + 1)]
    icc = b"" if None in complete else b"".join(piece for piece in complete if piece)
    return Metadata("JPEG", exif, icc)


def _prefixed(exif: bytes) -> bytes:
    return exif if not exif or exif.startswith(EXIF_PREFIX) else EXIF_PREFIX + exif
