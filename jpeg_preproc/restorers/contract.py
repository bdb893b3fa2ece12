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
        qtables: (N, 2, 8, 8) float, quantisation steps of luma and chroma in natural order, >= 1.
        qf: (N,) float, the libjpeg quality factor nearest to the tables, 1-100.
        known: (N,) bool, or ``None`` for all known. A network ignores ``qtables`` and ``qf`` of an
            image that is not known and restores it blind.
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
        receptive_radius: Pixels farther away than this do not change an output pixel; the overlap
            of tiles. ``None``: the whole image matters, so it is not tiled.
        paper: Where the network comes from.
    """

    channels: tuple[int, ...]
    size_multiple: int
    quality: Literal["required", "optional", "ignored"]
    receptive_radius: int | None
    paper: str


@dataclass(frozen=True)
class RestorerOutput:
    """A restored batch and what the network believed about its quality.

    Attributes:
        image: Same shape as the input, about [0, 1]; not clipped, so that losses see overshoot.
        qf: (N,) the quality factor it went by, or ``None`` where it does not use or predict one.
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
