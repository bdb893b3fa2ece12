"""Large images in pieces that start on the JPEG grid and agree with the whole."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

# Of a 4:2:0 file: 8×8 blocks of chroma cover 16×16 pixels.
GRID = 16


@dataclass(frozen=True)
class Tile:
    """A piece: rows and columns read (with surroundings) and those of them that are kept."""

    read: tuple[slice, slice]
    keep: tuple[slice, slice]

    @property
    def inner(self) -> tuple[slice, slice]:
        """The kept part, counted from the corner of the part that is read."""
        rows, cols = (
            slice(kept.start - read.start, kept.stop - read.start)
            for read, kept in zip(self.read, self.keep, strict=True)
        )
        return rows, cols


def tiles(height: int, width: int, size: int, overlap: int) -> Iterator[Tile]:
    """Yield tiles that together keep every pixel of an image once.

    Args:
        height: Height of the image in pixels.
        width: Width of the image in pixels.
        size: Side of the part kept of each tile; rounded up to a multiple of 16.
        overlap: Pixels read beyond it on each side, cut at the image border; rounded up to a
            multiple of 16, so that a tile begins on the grid.
    """
    size, overlap = (-(-value // GRID) * GRID for value in (size, overlap))

    def spans(length: int) -> list[tuple[slice, slice]]:
        return [
            (
                slice(max(0, start - overlap), min(length, start + size + overlap)),
                slice(start, min(length, start + size)),
            )
            for start in range(0, length, size)
        ]

    for read_rows, keep_rows in spans(height):
        for read_cols, keep_cols in spans(width):
            yield Tile((read_rows, read_cols), (keep_rows, keep_cols))


def run_tiled(
    run: Callable[[Tensor], Tensor],
    image: Tensor,
    size: int | None,
    overlap: int,
    on_tile: Callable[[int, int], None] | None = None,
) -> Tensor:
    """Apply ``run`` to a batch whole, or tile by tile where it is larger than a tile.

    The result equals that of the whole image if ``run`` looks no farther than ``overlap``.

    Args:
        run: Function from (N, C, h, w) to (N, C', h, w).
        image: Batch (N, C, H, W).
        size: Side of a tile in pixels; ``None`` never tiles.
        overlap: Pixels of surroundings that each tile sees.
        on_tile: Called after each tile with how many are done, and of how many.
    """
    report = on_tile or (lambda done, total: None)
    height, width = image.shape[-2:]
    if size is None or max(height, width) <= size + 2 * overlap:
        whole = run(image)
        report(1, 1)
        return whole
    pieces = list(tiles(height, width, size, overlap))
    for done, tile in enumerate(pieces, start=1):
        restored = run(image[..., tile.read[0], tile.read[1]])
        if done == 1:
            shape = (*restored.shape[:2], height, width)
            # Colours side by side, as images have them: from_planes then copies nothing.
            result = torch.empty(
                shape,
                dtype=restored.dtype,
                device=restored.device,
                memory_format=torch.channels_last,
            )
        rows, cols = tile.inner
        result[..., tile.keep[0], tile.keep[1]] = restored[..., rows, cols]
        report(done, len(pieces))
    return result
