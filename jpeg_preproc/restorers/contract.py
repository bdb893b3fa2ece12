"""What every restorer takes, gives back and declares about itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
import torch
from torch import Tensor, nn

from jpeg_preproc.errors import QualityError
from jpeg_preproc.jpeg import nearest_qf, qtables_from_qf


@dataclass(frozen=True)
class Quality:
    """How coarsely each image of a batch was quantised.

    Attributes:
        qtables: Quantisation steps of luma and chroma in natural order, float (N, 2, 8, 8), >= 1.
        qf: The libjpeg quality factor nearest to the tables, float (N,), 1-100.
        known: Whether this is known of each image, bool (N,); ``None`` for all. A network ignores
            ``qtables`` and ``qf`` of an image that is not known and restores it blind.
    """

    qtables: Tensor
    qf: Tensor
    known: Tensor | None = None

    @classmethod
    def from_qf(cls, qf: int | Sequence[int]) -> Quality:
        """Describe N images coded by libjpeg at the quality factors ``qf`` (1-100).

        Raises:
            QualityError: A quality factor outside 1-100.
        """
        factors = [qf] if isinstance(qf, int) else list(qf)
        tables = np.stack([qtables_from_qf(factor) for factor in factors]).astype(np.float32)
        return cls(torch.from_numpy(tables), torch.tensor(factors, dtype=torch.float32))

    @classmethod
    def from_qtables(cls, qtables: Sequence[np.ndarray]) -> Quality:
        """Describe N images by their files' tables, each (T, 8, 8) in natural order.

        A single table (a grey file, or one that codes chroma like luma) serves as both; of more
        than two the third is left out, since JFIF files code both chroma components alike.

        Raises:
            QualityError: A table of another shape, or with an entry below 1.
        """
        pairs = [_luma_chroma(np.asarray(tables)) for tables in qtables]
        factors = [float(nearest_qf(np.asarray(tables)).qf) for tables in qtables]
        return cls(torch.from_numpy(np.stack(pairs)), torch.tensor(factors))

    def to(self, device: torch.device | str, dtype: torch.dtype | None = None) -> Quality:
        """Return the same description on ``device`` and in ``dtype``."""
        known = None if self.known is None else self.known.to(device)
        return Quality(self.qtables.to(device, dtype), self.qf.to(device, dtype), known)

    def __len__(self) -> int:
        return len(self.qf)


def _luma_chroma(tables: np.ndarray) -> np.ndarray:
    """Reduce (T, 8, 8) tables to a (2, 8, 8) float32 pair of luma and chroma."""
    if tables.ndim != 3 or tables.shape[1:] != (8, 8) or not len(tables) or tables.min() < 1:
        raise QualityError(
            f"quantisation tables have shape {tables.shape}; expected (T, 8, 8) with entries >= 1 "
            "in natural order, as read_jpeg_info(file).qtables gives them"
        )
    return np.stack([tables[0], tables[min(1, len(tables) - 1)]]).astype(np.float32)


@dataclass(frozen=True)
class RestorerSpec:
    """What a network needs, as data that the engine, the tests and the docs read.

    Attributes:
        channels: Channel counts it takes: 3 is RGB, 1 is luma (full-range BT.601 Y).
        size_multiple: Height and width must be multiples of this many pixels.
        quality: Whether a description of the quality is needed, used if given, or not looked at.
        paper: Where the network comes from.
    """

    channels: tuple[int, ...]
    size_multiple: int
    quality: Literal["required", "optional", "ignored"]
    paper: str


@dataclass(frozen=True)
class RestorerOutput:
    """A restored batch and what the network believed about its quality.

    Attributes:
        image: Same shape as the input, about [0, 1]; not clipped, so that losses see overshoot.
        qf: The quality factors it went by, (N,); ``None`` where it uses and predicts none.
    """

    image: Tensor
    qf: Tensor | None = None


class Restorer(nn.Module):
    """Base of all restoration networks.

    A subclass sets :attr:`spec`, :attr:`presets` and :attr:`channels` and implements
    ``forward(image, quality) -> RestorerOutput`` with ``image`` (N, C, H, W) in [0, 1].
    """

    spec: ClassVar[RestorerSpec]
    #: Preset name to constructor arguments; the first is the one taken when none is named.
    presets: ClassVar[dict[str, dict[str, object]]]
    #: Channels that this instance takes, one of ``spec.channels``.
    channels: int = 3

    def forward(self, image: Tensor, quality: Quality | None = None) -> RestorerOutput:
        """Restore a batch; see the class for shapes."""
        raise TypeError(f"{type(self).__name__} does not define forward()")

    @property
    def receptive_radius(self) -> int | None:
        """How far an output pixel sees, in pixels along an axis: the overlap that tiles need.

        It is that of this instance: settings that add blocks or change kernels change it. A
        subclass that looks at a bounded part of the image states it, by :func:`reach` of its
        layers. ``None``, as here: the whole image matters, so it is not tiled.
        """
        return None


def reach(*parts: nn.Module) -> int:
    """Return how far beyond a position all convolutions of ``parts`` see that stand in a row.

    A convolution of stride s makes one position of s × s, and adds what its kernel overhangs them:
    1 for 3×3 with padding 1, 0 for 2×2 with stride 2. A network whose coarsest position is that of
    c × c pixels, and that doubles its resolution by layers without an overhang, sees
    ``sum(scale * reach(layers at that scale)) + c - 1`` pixels far.

    Args:
        parts: Layers, or modules that hold them, that work on (or, with a stride, start from) one
            resolution. Layers side by side count as if they stood in a row, which is too much.

    Returns:
        Positions of that resolution.

    >>> reach(nn.Conv2d(3, 8, 9, padding=4), nn.Conv2d(8, 8, 4, stride=2, padding=1))
    5
    """
    layers = [layer for part in parts for layer in part.modules() if isinstance(layer, nn.Conv2d)]
    return sum(max(_overhang(layer, axis) for axis in (0, 1)) for layer in layers)


def _overhang(layer: nn.Conv2d, axis: int) -> int:
    """Return by how much the kernel passes the positions that it makes one of, at either end."""
    before = int(layer.padding[axis])
    size = layer.dilation[axis] * (layer.kernel_size[axis] - 1) + 1
    return max(before, size - layer.stride[axis] - before)
