"""What a JPEG's header says: size, sampling, quantisation tables, orientation; no pixel decoded."""

from __future__ import annotations

import itertools
import struct
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from jpeg_preproc.errors import ImageReadError
from jpeg_preproc.jpeg import segments
from jpeg_preproc.jpeg.components import Component, colour_space, sampling_name
from jpeg_preproc.jpeg.exif import EXIF_PREFIX, parse_orientation
from jpeg_preproc.jpeg.segments import EndOfStreamError, SegmentReader
from jpeg_preproc.jpeg.source import Source, open_source, source_name
from jpeg_preproc.jpeg.tables import ZIGZAG, QfMatch, nearest_qf

# A profile of 16 MB takes 255 segments; of small ones a file could hold millions.
_MOST_SEGMENTS = 10_000


@dataclass(frozen=True, eq=False)
class JpegInfo:
    """The header of a JPEG.

    Attributes:
        width: Width in pixels, as stored, before any rotation by ``orientation``.
        height: Height in pixels, as stored, before any rotation by ``orientation``.
        components: Number of components: 1 grey, 3 YCbCr or RGB, 4 CMYK or YCCK.
        precision: Bits per sample, 8 or 12.
        sampling: ``'4:2:0'`` and its like, ``'grey'``, or the factors as ``'HxV,HxV,...'``.
        sampling_factors: Horizontal and vertical factor of each component.
        qtables: Tables in use, (T, 8, 8) uint16 in natural order, read-only, in the order of the
            components that use them (luma, then chroma).
        table_of: Index into ``qtables`` of each component's table.
        orientation: EXIF orientation 1-8; 1 where the file has none.
        progressive: Whether the scans refine one another; otherwise the file is sequential
            (baseline or extended).
        scans: How many scans there are; None if they were not counted.
        truncated: Whether the file stops before its end marker; None if that was not looked for.
        qf: Quality of libjpeg with the nearest tables, 1-100.
        qf_distance: How far these tables are, as in :class:`~jpeg_preproc.jpeg.tables.QfMatch`.
        qf_exact: Whether the tables are libjpeg's.
        adobe_transform: Adobe's colour code (0 RGB or CMYK, 1 YCbCr, 2 YCCK); None without it.
        arithmetic: Whether the entropy coding is arithmetic, not Huffman.
        colour_space: What the components are: ``'grey'``, ``'YCbCr'``, ``'RGB'``, ``'CMYK'``,
            ``'YCCK'`` or ``'unknown'``.
    """

    width: int
    height: int
    components: int
    precision: int
    sampling: str
    sampling_factors: tuple[tuple[int, int], ...]
    qtables: npt.NDArray[np.uint16]
    orientation: int
    progressive: bool
    scans: int | None
    truncated: bool | None
    qf: int
    qf_distance: float
    qf_exact: bool
    adobe_transform: int | None
    arithmetic: bool = False
    colour_space: str = "unknown"
    table_of: tuple[int, ...] = ()


@dataclass
class _Header:
    """What the walk has met so far."""

    name: str
    sof: int | None = None
    precision: int = 0
    height: int = 0
    width: int = 0
    components: tuple[Component, ...] = ()
    # Of each table what :func:`_natural_order` returns: bytes, which most files have alike.
    tables: dict[int, bytes] = field(default_factory=dict)
    # The table in force when a component's first scan starts: a slot may be refilled later.
    latched: dict[int, bytes] = field(default_factory=dict)
    orientation: int | None = None
    adobe_transform: int | None = None
    has_jfif: bool = False
    scans: int = 0

    def corrupt(self, what: str) -> ImageReadError:
        return ImageReadError(f"{self.name} is corrupt: {what}; fetch or export the file again.")


def is_jpeg(data: bytes) -> bool:
    """Tell whether ``data`` starts as a JPEG file does.

    >>> is_jpeg(b"GIF89a")
    False
    """
    return bytes(data[:3]) == b"\xff\xd8\xff"


def read_jpeg_info(source: Source, scans: bool = True, name: str | None = None) -> JpegInfo:
    """Return the header of a JPEG file or of its bytes, without decoding pixels.

    A JPEG inside EXIF (thumbnail) is not looked into, and what follows the first image's end
    marker (further images of an MPO, a motion photo's film) is not read. A damaged EXIF block
    counts as none. Damage inside the entropy-coded data is not seen: that takes a decoder.

    Args:
        source: A file's path, or its bytes.
        scans: Whether to walk the compressed data too, marker by marker, to count scans and to
            see whether it is complete. That reads the whole file (about 2 ms per MB). False stops
            at the first scan: a few hundred bytes of most files are read, ``scans`` and
            ``truncated`` are None, and tables redefined between scans, which no common encoder
            does, are missed.
        name: What an error calls bytes that came from a file; by default the path.

    Raises:
        ImageReadError: The data is no JPEG, its header is corrupt or cut off, or it is a lossless
            or hierarchical JPEG, which have no quantisation tables in this sense.

    >>> from jpeg_preproc.jpeg import compress_jpeg
    >>> info = read_jpeg_info(compress_jpeg(np.zeros((9, 7, 3), np.uint8), qf=30))
    >>> info.width, info.height, info.sampling, info.qf, info.qf_exact
    (7, 9, '4:2:0', 30, True)
    """
    name = source_name(source) if name is None else name
    with open_source(source) as stream:
        try:
            data = source if isinstance(source, bytes) else None
            return _walk(SegmentReader(stream, name, data), _Header(name), scans)
        except OSError as error:
            raise ImageReadError(f"{name} cannot be read: {error}.") from error


def _walk(reader: SegmentReader, header: _Header, scans: bool) -> JpegInfo:
    if not reader.starts_with_soi():
        raise ImageReadError(
            f"{header.name} is no JPEG: it does not start with the bytes FF D8 FF."
        )
    truncated: bool | None = None
    marker = reader.next_marker()
    try:
        for count in itertools.count():
            if count > _MOST_SEGMENTS:
                raise header.corrupt(f"it has more than {_MOST_SEGMENTS} marker segments")
            if marker is None:
                raise EndOfStreamError
            if marker == segments.EOI:
                truncated = False
                break
            if header.scans and (marker == segments.SOI or marker in segments.FRAMES):
                raise EndOfStreamError  # another image starts before this one has ended
            if marker == segments.SOS:
                _read_scan(reader.payload(), header)
                if not scans and _is_complete(header):
                    break
                marker = reader.marker_after_scan()
                continue
            _read_segment(marker, reader, header)
            marker = reader.next_marker()
    except EndOfStreamError:
        if not header.scans:
            raise ImageReadError(
                f"{header.name} is truncated: it ends inside its header, after {reader.tell()} "
                "bytes; fetch or export it again."
            ) from None
        truncated = True
    return _info(header, scans, truncated)


def _read_segment(marker: int, reader: SegmentReader, header: _Header) -> None:
    """Take in one segment outside the scans, or step over it."""
    if marker in segments.STANDALONE:
        return
    if marker in segments.FRAMES:
        _read_frame(marker, reader.payload(), header)
    elif marker == segments.DQT:
        _read_tables(reader.payload(), header)
    elif marker == segments.DNL and header.height == 0:
        (header.height,) = struct.unpack(">H", reader.payload()[:2].rjust(2, b"\0"))
    elif marker in (segments.APP0, segments.APP1, segments.APP14):
        _read_application(marker, reader.payload(), header)
    else:
        reader.skip()


def _read_application(marker: int, payload: bytes, header: _Header) -> None:
    """Take in the first EXIF block's orientation, and what tells the colour space."""
    if marker == segments.APP0 and payload.startswith(b"JFIF\0"):
        header.has_jfif = True
    elif marker == segments.APP1 and header.orientation is None:
        if payload.startswith(EXIF_PREFIX):
            header.orientation = parse_orientation(payload)
    # "Adobe", version, two flag words of 16 bits each, then the transform.
    elif marker == segments.APP14 and payload.startswith(b"Adobe") and len(payload) >= 12:
        header.adobe_transform = payload[11]


def _read_frame(marker: int, payload: bytes, header: _Header) -> None:
    """Take in a frame header (T.81, B.2.2)."""
    if marker not in segments.DCT_FRAMES:
        raise ImageReadError(
            f"{header.name} is a lossless or hierarchical JPEG (frame type SOF{marker - 0xC0}), "
            "which is not supported; convert it to PNG first."
        )
    if header.sof is not None:
        raise header.corrupt("it has two frame headers")
    if len(payload) < 6 or len(payload) < 6 + 3 * payload[5] or payload[5] == 0:
        raise header.corrupt("its frame header is too short")
    header.sof = marker
    header.precision, header.height, header.width, count = struct.unpack_from(">BHHB", payload)
    header.components = tuple(
        Component(identifier, factors >> 4, factors & 15, slot)
        for identifier, factors, slot in struct.iter_unpack("3B", payload[6 : 6 + 3 * count])
    )
    for part in header.components:
        if not (1 <= part.horizontal <= 4 and 1 <= part.vertical <= 4 and part.slot <= 3):
            raise header.corrupt("its frame header has sampling factors or tables that cannot be")
    if header.width == 0:
        raise header.corrupt("its width is 0")


def _read_tables(payload: bytes, header: _Header) -> None:
    """Take in the quantisation tables of one DQT segment (T.81, B.2.4.1)."""
    offset = 0
    while offset < len(payload):
        precision, slot = payload[offset] >> 4, payload[offset] & 15
        size = 64 << precision
        entries = payload[offset + 1 : offset + 1 + size]
        if precision > 1 or slot > 3 or len(entries) < size:
            raise header.corrupt("a quantisation table is damaged")
        header.tables[slot] = _natural_order(entries, precision)
        offset += 1 + size


@lru_cache(maxsize=256)
def _natural_order(entries: bytes, precision: int) -> bytes:
    """Return a table's 64 entries as uint16 in natural order, from a file's in zigzag order."""
    table = np.empty(64, dtype=np.uint16)
    table[ZIGZAG] = np.frombuffer(entries, dtype=">u2" if precision else np.uint8)
    return table.tobytes()


def _read_scan(payload: bytes, header: _Header) -> None:
    """Take in a scan header (T.81, B.2.3) and latch the tables of the components it starts."""
    if header.sof is None:
        raise header.corrupt("a scan comes before the frame header")
    count = payload[0] if payload else 0
    if count == 0 or len(payload) < 1 + 2 * count:
        raise header.corrupt("a scan header is too short")
    selected = payload[1 : 1 + 2 * count : 2]
    for index, part in enumerate(header.components):
        if part.identifier in selected and part.slot in header.tables:
            header.latched.setdefault(index, header.tables[part.slot])
    header.scans += 1


def _is_complete(header: _Header) -> bool:
    """Tell whether all is known that stands in a file's header when its first scan starts."""
    return header.height > 0 and all(part.slot in header.tables for part in header.components)


def _info(header: _Header, scans: bool, truncated: bool | None) -> JpegInfo:
    if header.sof is None or header.scans == 0:
        raise header.corrupt("it holds no image, only tables or metadata")
    if header.height == 0:
        raise header.corrupt("its height is 0")
    tables, table_of = _tables_in_use(header)
    qtables, match = _matched(tables)
    return JpegInfo(
        width=header.width,
        height=header.height,
        components=len(header.components),
        precision=header.precision,
        sampling=sampling_name(header.components),
        sampling_factors=tuple((part.horizontal, part.vertical) for part in header.components),
        qtables=qtables,
        orientation=header.orientation or 1,
        progressive=header.sof in (segments.SOF_PROGRESSIVE, segments.SOF_PROGRESSIVE_ARITHMETIC),
        scans=header.scans if scans else None,
        truncated=truncated if scans else None,
        qf=match.qf,
        qf_distance=match.distance,
        qf_exact=match.exact,
        adobe_transform=header.adobe_transform,
        arithmetic=header.sof in segments.ARITHMETIC_FRAMES,
        colour_space=colour_space(header.components, header.has_jfif, header.adobe_transform),
        table_of=table_of,
    )


def _tables_in_use(header: _Header) -> tuple[tuple[bytes, ...], tuple[int, ...]]:
    """Return each table that a component uses, once, in the components' order.

    Beside it, which of them each component uses.
    """
    used: list[tuple[int, bytes]] = []
    table_of = []
    for index, part in enumerate(header.components):
        table = header.latched.get(index, header.tables.get(part.slot))
        if table is None:
            raise header.corrupt(f"quantisation table {part.slot} is missing")
        if not _has_all_steps(table):
            raise header.corrupt(f"quantisation table {part.slot} holds a step of 0")
        # Equal tables in two slots stay two: at QF 100 luma and chroma are both all ones.
        key = (part.slot, table)
        if key not in used:
            used.append(key)
        table_of.append(used.index(key))
    return tuple(table for _, table in used), tuple(table_of)


@lru_cache(maxsize=256)
def _has_all_steps(table: bytes) -> bool:
    return bool(np.frombuffer(table, np.uint16).all())


@lru_cache(maxsize=256)
def _matched(tables: tuple[bytes, ...]) -> tuple[npt.NDArray[np.uint16], QfMatch]:
    """Return the tables as (T, 8, 8), read-only, and the quality that they are nearest to."""
    qtables = np.frombuffer(b"".join(tables), np.uint16).reshape(-1, 8, 8)
    return qtables, nearest_qf(qtables)
