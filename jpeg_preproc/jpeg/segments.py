"""Marker segments of a JPEG stream (ITU-T T.81, annex B): find, read and skip them."""

from __future__ import annotations

import os
import re
from typing import BinaryIO

from jpeg_preproc.errors import ImageReadError

SOI, EOI, SOS, DQT, DNL = 0xD8, 0xD9, 0xDA, 0xDB, 0xDC
DHT, JPG, DAC, COM = 0xC4, 0xC8, 0xCC, 0xFE
APP0, APP1, APP2, APP14 = 0xE0, 0xE1, 0xE2, 0xEE
#: How an APP2 segment with a piece of a colour profile starts (ICC.1:2010, B.4).
ICC_PREFIX = b"ICC_PROFILE\0"
_APPLICATION = range(0xE0, 0xF0)

# Start-of-frame codes; DHT, JPG and DAC lie among them (table B.1).
SOF_BASELINE, SOF_PROGRESSIVE, SOF_PROGRESSIVE_ARITHMETIC = 0xC0, 0xC2, 0xCA
FRAMES = frozenset(range(0xC0, 0xD0)) - {DHT, JPG, DAC}
#: Sequential and progressive DCT, Huffman or arithmetic; the others are lossless or hierarchical.
DCT_FRAMES = frozenset({0xC0, 0xC1, 0xC2, 0xC9, 0xCA})
ARITHMETIC_FRAMES = frozenset({0xC9, 0xCA})

_RESTARTS = range(0xD0, 0xD8)
# Markers without a length: TEM, RST0-7, SOI, EOI.
STANDALONE = frozenset({0x01, SOI, EOI, *_RESTARTS})

# A marker is 0xFF and a code; 0xFF00 is a stuffed data byte and 0xFF0xFF a fill byte (B.1.1).
_MARKER = re.compile(rb"\xff[^\x00\xff]")
_MARKER_AFTER_SCAN = re.compile(rb"\xff[^\x00\xff\xd0-\xd7]")
_CHUNK = 1 << 18


def with_exif(data: bytes, exif: bytes) -> bytes:
    """Return a JPEG with an APP1 segment in front of all others.

    Args:
        data: A JPEG, which starts with its SOI marker.
        exif: Payload with its ``Exif`` prefix, at most 65533 bytes.
    """
    length = (len(exif) + 2).to_bytes(2, "big")
    return data[:2] + bytes((0xFF, APP1)) + length + exif + data[2:]


class EndOfStreamError(EOFError):
    """The stream ended inside a segment."""


class SegmentReader:
    """Walks the markers of a seekable stream and reads only the segments asked for."""

    def __init__(self, stream: BinaryIO, name: str, data: bytes | None = None) -> None:
        """Stand at the start of a stream.

        Args:
            stream: Seekable stream of a JPEG.
            name: What an error calls it.
            data: All that the stream holds, where it is in memory: searched without a copy.
        """
        self._stream = stream
        self._data = data
        self._name = name
        self._size = stream.seek(0, os.SEEK_END)
        stream.seek(0)

    def tell(self) -> int:
        """Return the offset of the next byte."""
        return self._stream.tell()

    def starts_with_soi(self) -> bool:
        """Tell whether the stream starts as a JPEG; stand behind SOI afterwards."""
        head = self._stream.read(3)
        self._stream.seek(2)
        return head == b"\xff\xd8\xff"

    def next_marker(self) -> int | None:
        """Return the next marker's code and stand behind it; None where there is none.

        Fill bytes are legal before a marker; other stray bytes are skipped as libjpeg does.
        """
        pair = self._stream.read(2)
        if len(pair) == 2 and pair[0] == 0xFF and pair[1] not in (0x00, 0xFF):
            return pair[1]
        self._stream.seek(-len(pair), os.SEEK_CUR)
        return self._search(_MARKER)

    def marker_after_scan(self) -> int | None:
        """Return the marker that ends entropy-coded data, over stuffed bytes and restarts."""
        return self._search(_MARKER_AFTER_SCAN)

    def payload(self) -> bytes:
        """Return what the segment holds after its length.

        Raises:
            EndOfStreamError: The stream ends first.
            ImageReadError: The length is below the 2 bytes that it takes itself.
        """
        length = self._length()
        data = self._stream.read(length)
        if len(data) < length:
            raise EndOfStreamError
        return data

    def skip(self) -> None:
        """Step over a segment without reading it; errors are those of :meth:`payload`."""
        target = self._length() + self._stream.tell()
        if target > self._size:
            raise EndOfStreamError
        self._stream.seek(target)

    def _length(self) -> int:
        field = self._stream.read(2)
        if len(field) < 2:
            raise EndOfStreamError
        length = int.from_bytes(field, "big")
        if length < 2:
            raise ImageReadError(
                f"{self._name} is corrupt: the marker segment at byte {self.tell() - 4} has length "
                f"{length}; fetch or export the file again."
            )
        return length - 2

    def _search(self, pattern: re.Pattern[bytes]) -> int | None:
        if self._data is not None:
            found = pattern.search(self._data, self._stream.tell())
            self._stream.seek(found.end() if found else self._size)
            return self._data[found.end() - 1] if found else None
        carry = b""
        while chunk := self._stream.read(_CHUNK):
            window = carry + chunk
            if match := pattern.search(window):
                self._stream.seek(match.end() - len(window), os.SEEK_CUR)
                return window[match.end() - 1]
            carry = b"\xff" if window.endswith(b"\xff") else b""
        return None


def metadata_removed(data: bytes) -> bytes:
    """Return ``data`` without the header segments that say nothing about how to decode it.

    Dropped are comments and all APPn but JFIF's APP0 and Adobe's APP14, which name the colour
    model. ``data`` must have a header that ``read_jpeg_info`` accepts.
    """
    kept: list[bytes] = []
    begin, end = 0, 2  # what is kept next begins at one; what was looked at ends at the other
    while match := _MARKER.search(data, end):
        start, after = match.span()
        marker = data[after - 1]
        if start > end:  # fill bytes, or stray ones that Pillow refuses
            kept.append(data[begin:end])
            begin = start
        if marker == SOS:
            break
        if marker not in STANDALONE:
            after += int.from_bytes(data[after : after + 2], "big")
        is_metadata = marker == COM or (marker in _APPLICATION and marker not in (APP0, APP14))
        if is_metadata or marker in STANDALONE:
            kept.append(data[begin:start])
            begin = after
        end = after
    # Most files of a dataset have nothing to drop, and are not copied.
    return b"".join([*kept, data[begin:]]) if kept else data
