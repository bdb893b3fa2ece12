"""What the components of a frame header say: chroma subsampling and colour space."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

# Luma's sampling factors over chroma's, where both chroma components have the same.
_SAMPLING_NAMES = {
    (1, 1): "4:4:4",
    (2, 1): "4:2:2",
    (2, 2): "4:2:0",
    (1, 2): "4:4:0",
    (4, 1): "4:1:1",
}

# Adobe's colour code (APP14) by the number of components.
_ADOBE = {3: {0: "RGB", 1: "YCbCr"}, 4: {0: "CMYK", 2: "YCCK"}}


@dataclass(frozen=True)
class Component:
    """One component: its identifier, its sampling factors, and the slot of its table."""

    identifier: int
    horizontal: int
    vertical: int
    slot: int


def sampling_name(components: Sequence[Component]) -> str:
    """Return ``'4:2:0'`` and its like, ``'grey'``, or the factors as ``'HxV,HxV,...'``."""
    if len(components) == 1:
        return "grey"
    luma, *chroma = ((part.horizontal, part.vertical) for part in components)
    if len(chroma) == 2 and chroma[0] == chroma[1]:
        across, across_rest = divmod(luma[0], chroma[0][0])
        down, down_rest = divmod(luma[1], chroma[0][1])
        if not across_rest and not down_rest and (across, down) in _SAMPLING_NAMES:
            return _SAMPLING_NAMES[across, down]
    return ",".join(f"{part.horizontal}x{part.vertical}" for part in components)


def colour_space(
    components: Sequence[Component], has_jfif: bool, adobe_transform: int | None
) -> str:
    """Return what the components are, by the rules of libjpeg's ``default_decompress_parms``.

    JFIF comes first, then Adobe's code, then the components' identifiers.

    >>> colour_space([Component(ord(name), 1, 1, 0) for name in "RGB"], False, None)
    'RGB'
    """
    count = len(components)
    if count == 1:
        return "grey"
    if count == 3 and has_jfif:
        return "YCbCr"
    if count in _ADOBE and adobe_transform is not None:
        # An unknown code counts as the one that carries luma.
        return _ADOBE[count].get(adobe_transform, "YCbCr" if count == 3 else "YCCK")
    if count == 3:
        return "RGB" if bytes(part.identifier for part in components) == b"RGB" else "YCbCr"
    return "CMYK" if count == 4 else "unknown"
