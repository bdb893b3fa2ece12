"""Image files of every format that is opened, and the same damaged: equal seeds, equal bytes."""

from __future__ import annotations

import io
import random
import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from PIL import Image

_HEIGHT, _WIDTH = 45, 59
# Values at which lengths, sizes and counts turn over.
_EDGES = (0, 1, 2, 7, 8, 0x7F, 0x80, 0xFF, 0x100, 0x7FFF, 0x8000, 0xFF00, 0xFFFE, 0xFFFF)
_PNG = b"\x89PNG\r\n\x1a\n"


@dataclass(frozen=True)
class Sample:
    """An image file.

    Attributes:
        name: What it is, and how it was made; its suffix is that of the format.
        data: Its bytes.
    """

    name: str
    data: bytes


@lru_cache(maxsize=1)
def samples() -> tuple[Sample, ...]:
    """Return small sound files by Pillow, several of each format that it can write here."""
    rng = np.random.default_rng(19)
    rows, columns = np.mgrid[0:_HEIGHT, 0:_WIDTH]
    waves = [128 + 90 * np.sin(columns / 5 + shift) * np.cos(rows / 7) for shift in range(3)]
    noisy = np.stack(waves, axis=-1) + rng.normal(0, 8, (_HEIGHT, _WIDTH, 3))
    colour = Image.fromarray(np.clip(noisy, 0, 255).astype(np.uint8))
    grey = colour.convert("L")
    exif = Image.Exif()
    exif[0x112] = 6
    alpha = colour.convert("RGBA")
    deep = Image.fromarray(np.asarray(grey).astype(np.uint16) * 257)
    ways: list[tuple[str, Image.Image, dict[str, Any]]] = [
        ("plain.jpg", colour, {"quality": 30}),
        ("full.jpg", colour, {"quality": 92, "subsampling": "4:4:4", "optimize": True}),
        ("halved.jpg", colour, {"quality": 60, "subsampling": "4:2:2"}),
        ("grey.jpg", grey, {"quality": 10}),
        ("progressive.jpg", colour, {"quality": 50, "progressive": True}),
        ("restarts.jpg", colour, {"quality": 50, "restart_marker_blocks": 2}),
        ("turned.jpg", colour, {"quality": 70, "exif": exif, "comment": b"a comment"}),
        ("profile.jpg", colour, {"quality": 70, "icc_profile": bytes(range(200))}),
        ("cmyk.jpg", colour.convert("CMYK"), {"quality": 70}),
        ("pair.mpo", colour, {"quality": 70, "save_all": True, "append_images": [colour]}),
        ("colour.png", colour, {}),
        ("grey.png", grey, {"dpi": (72, 72)}),
        ("palette.png", colour.convert("P"), {"transparency": 3}),
        ("bits.png", grey.convert("1"), {}),
        ("alpha.png", alpha, {"exif": exif}),
        ("deep.png", deep, {}),
        ("moving.png", colour, {"save_all": True, "append_images": [grey.convert("RGB")]}),
        ("lossy.webp", colour, {"quality": 40}),
        ("lossless.webp", alpha, {"lossless": True}),
        ("moving.webp", colour, {"save_all": True, "append_images": [colour.rotate(90)]}),
        ("plain.tif", colour, {}),
        ("lzw.tif", colour, {"compression": "tiff_lzw"}),
        ("deflate.tif", grey, {"compression": "tiff_adobe_deflate"}),
        ("jpeg.tif", colour, {"compression": "jpeg"}),
        ("packbits.tif", grey, {"compression": "packbits"}),
        ("fax.tif", grey.convert("1"), {"compression": "group4"}),
        ("plain.gif", colour.convert("P"), {}),
        ("moving.gif", colour, {"save_all": True, "append_images": [colour.rotate(90)]}),
        ("colour.bmp", colour, {}),
        ("palette.bmp", colour.convert("P"), {}),
        ("colour.ppm", colour, {}),
        ("grey.pgm", grey, {}),
        ("bits.pbm", grey.convert("1"), {}),
        ("plain.avif", colour, {"quality": 40}),
        ("boxed.jp2", colour, {}),
        ("bare.j2k", grey, {"quality_layers": [20]}),
    ]
    Image.init()
    made = []
    for name, picture, options in ways:
        suffix = name[name.index(".") :]
        kind = Image.EXTENSION.get(suffix)
        if kind in Image.SAVE:
            stream = io.BytesIO()
            stream.name = name  # by which JPEG 2000 tells its two kinds apart
            picture.save(stream, kind, **options)
            made.append(Sample(name, stream.getvalue()))
    return tuple(made)


def mutated(seed: int, number: int) -> Sample:
    """Return one damaged file; equal arguments give equal bytes.

    Args:
        seed: Seed of a whole series.
        number: Place in the series, from 0. The samples take turns, JPEG every other time.
    """
    rng = random.Random(f"{seed}/{number}")
    every = samples()
    jpegs = [sample for sample in every if sample.data.startswith(b"\xff\xd8")]
    others = [sample for sample in every if sample not in jpegs]
    source = (others, jpegs)[number % 2]
    sample = source[number // 2 % len(source)]
    data = bytearray(sample.data)
    for _ in range(rng.choice((1, 1, 1, 2, 3, 8))):
        rng.choice(_CHANGES)(data, rng)
    changed = bytes(data)
    if changed.startswith(_PNG) and rng.random() < 0.7:
        changed = _with_right_sums(changed)  # else its decoder looks no farther
    return Sample(f"{number:06}-{sample.name}", changed)


def _place(data: bytearray, rng: random.Random) -> int:
    """Return an index: half of them in the first part, where headers are."""
    if not data:
        return 0
    return rng.randrange(min(len(data), 200) if rng.random() < 0.5 else len(data))


def _flip(data: bytearray, rng: random.Random) -> None:
    for _ in range(rng.choice((1, 1, 2, 16))):
        if data:
            data[_place(data, rng)] ^= 1 << rng.randrange(8)


def _overwrite(data: bytearray, rng: random.Random) -> None:
    start = _place(data, rng)
    size = min(rng.choice((1, 2, 4, 64)), len(data) - start)
    data[start : start + size] = rng.randbytes(size)


def _edge(data: bytearray, rng: random.Random) -> None:
    start, value = _place(data, rng), rng.choice(_EDGES)
    form = rng.choice(("B", ">H", "<H", ">I", "<I"))
    coded = struct.pack(form, value & 0xFF if form == "B" else value)
    data[start : start + len(coded)] = coded


def _remove(data: bytearray, rng: random.Random) -> None:
    start = _place(data, rng)
    del data[start : start + rng.choice((1, 2, 16, 200))]


def _insert(data: bytearray, rng: random.Random) -> None:
    start = _place(data, rng)
    data[start:start] = rng.randbytes(rng.choice((1, 2, 16, 200)))


def _repeat(data: bytearray, rng: random.Random) -> None:
    start = _place(data, rng)
    piece = data[start : start + rng.choice((4, 20, 100))]
    data[start:start] = piece * rng.choice((1, 3, 40))


def _truncate(data: bytearray, rng: random.Random) -> None:
    del data[rng.randrange(len(data) + 1) :]


def _zero(data: bytearray, rng: random.Random) -> None:
    start = _place(data, rng)
    size = min(rng.choice((2, 16, 200)), len(data) - start)
    data[start : start + size] = bytes(size)


def _marker(data: bytearray, rng: random.Random) -> None:
    """Change what follows one of a JPEG's markers: its kind, its length, or its first values."""
    places = [
        index for index in range(len(data) - 4) if data[index] == 0xFF and data[index + 1] >= 0xC0
    ]
    if not places:
        _flip(data, rng)
        return
    start = rng.choice(places)
    what = rng.randrange(3)
    if what == 0:
        data[start + 1] = rng.randrange(0xC0, 0xFF)
    elif what == 1:
        data[start + 2 : start + 4] = struct.pack(">H", rng.choice(_EDGES))
    else:
        place = min(start + 4 + rng.randrange(12), len(data) - 1)
        data[place] = rng.choice(_EDGES) & 0xFF


_CHANGES: tuple[Callable[[bytearray, random.Random], None], ...] = (
    _flip,
    _flip,
    _overwrite,
    _edge,
    _edge,
    _remove,
    _insert,
    _repeat,
    _truncate,
    _zero,
    _marker,
    _marker,
)


def _with_right_sums(data: bytes) -> bytes:
    """Return a PNG whose chunks have the checksums of what they hold, as far as there are any."""
    changed, start = bytearray(data), len(_PNG)
    while start + 12 <= len(changed):
        (size,) = struct.unpack_from(">I", changed, start)
        end = start + 8 + size
        if end + 4 > len(changed):
            break
        struct.pack_into(">I", changed, end, zlib.crc32(changed[start + 4 : end]))
        start = end + 4
    return bytes(changed)
