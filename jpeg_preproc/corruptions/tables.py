"""JPEG with other quantisation tables than libjpeg's: of cameras, Photoshop and ImageMagick."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, cast

import numpy as np
import numpy.typing as npt
from PIL import Image, JpegPresets

from jpeg_preproc.corruptions.codecs import Codec, chroma_label, decoded_jpeg
from jpeg_preproc.corruptions.contract import Coded
from jpeg_preproc.jpeg.codec import SUBSAMPLINGS, check_image_array
from jpeg_preproc.jpeg.tables import ANNEX_K_CHROMA, ANNEX_K_LUMA, nearest_qf

_Tables = npt.NDArray[np.uint16]

# Canon's at "fine", as JPEGsnoop shows them of a PowerShot A75 and impulseadventure.com lists them
# of EOS and PowerShot models.
_CANON_LUMA = (
    (1, 1, 1, 2, 3, 6, 8, 10),
    (1, 1, 2, 3, 4, 8, 9, 8),
    (2, 2, 2, 3, 6, 8, 10, 8),
    (2, 2, 3, 4, 7, 12, 11, 9),
    (3, 3, 8, 11, 10, 16, 15, 11),
    (3, 5, 8, 10, 12, 15, 16, 13),
    (7, 10, 11, 12, 15, 17, 17, 14),
    (14, 13, 13, 15, 15, 14, 14, 14),
)
_CANON_CHROMA = (
    (4, 4, 5, 9, 15, 26, 26, 26),
    (4, 4, 5, 10, 19, 26, 26, 26),
    (5, 5, 8, 9, 26, 26, 26, 26),
    (9, 10, 9, 13, 26, 26, 26, 26),
    (15, 19, 26, 26, 26, 26, 26, 26),
    *((26,) * 8,) * 3,
)
# A Nikon camera's at "fine", as JPEGsnoop shows them.
_NIKON_LUMA = (
    (2, 1, 1, 2, 3, 5, 6, 7),
    (1, 1, 2, 2, 3, 7, 7, 7),
    (2, 2, 2, 3, 5, 7, 8, 7),
    (2, 2, 3, 3, 6, 10, 10, 7),
    (2, 3, 4, 7, 8, 13, 12, 9),
    (3, 4, 7, 8, 10, 12, 14, 11),
    (6, 8, 9, 10, 12, 15, 14, 12),
    (9, 11, 11, 12, 13, 12, 12, 12),
)
_NIKON_CHROMA = (
    (2, 2, 3, 6, 12, 12, 12, 12),
    (2, 3, 3, 8, 12, 12, 12, 12),
    (3, 3, 7, 12, 12, 12, 12, 12),
    (6, 8, 12, 12, 12, 12, 12, 12),
    *((12,) * 8,) * 4,
)
# N. Robidoux's for ImageMagick, which mozjpeg takes by default for luma and chroma alike. Its last
# entries are over 255, which a baseline file holds only once they are scaled down or cut.
_ROBIDOUX = (
    (16, 16, 16, 18, 25, 37, 56, 85),
    (16, 17, 20, 27, 34, 40, 53, 75),
    (16, 20, 24, 31, 43, 62, 91, 135),
    (18, 27, 31, 40, 53, 74, 106, 156),
    (25, 34, 43, 53, 69, 94, 131, 189),
    (37, 40, 62, 74, 94, 124, 169, 238),
    (56, 53, 91, 106, 131, 169, 226, 311),
    (85, 75, 135, 156, 189, 238, 311, 418),
)


def _pair_of_tables(luma: Any, chroma: Any) -> _Tables:
    tables = np.array([luma, chroma], np.uint16).reshape(2, 8, 8)
    tables.setflags(write=False)
    return tables


#: (2, 8, 8) luma and chroma in natural order, by name. Photoshop's are those that Pillow has:
#: ``photoshop_web_low`` to ``photoshop_web_maximum`` of "Save for Web" and ``photoshop_low`` to
#: ``photoshop_maximum`` of "Save As".
NAMED_TABLES: dict[str, _Tables] = {
    "annex_k": _pair_of_tables(ANNEX_K_LUMA, ANNEX_K_CHROMA),
    "canon": _pair_of_tables(_CANON_LUMA, _CANON_CHROMA),
    "nikon": _pair_of_tables(_NIKON_LUMA, _NIKON_CHROMA),
    "mozjpeg": _pair_of_tables(_ROBIDOUX, _ROBIDOUX),
    "flat": _pair_of_tables(np.full((8, 8), 16), np.full((8, 8), 16)),
    **{
        f"photoshop_{name}": _pair_of_tables(*cast(Any, preset["quantization"]))
        for name, preset in JpegPresets.presets.items()
    },
}


def scaled_tables(tables: npt.NDArray[np.integer], qf: int) -> _Tables:
    """Return tables of the same shape over frequency, as coarse in luma as libjpeg's at a quality.

    The tables are first brought to the geometric mean that Annex K has in luma, both by the same
    factor, and then scaled by libjpeg's rule: Annex K itself becomes libjpeg's tables.

    Args:
        tables: Tables to scale, (T, 8, 8), luma first.
        qf: Quality of libjpeg, 1-100.

    Returns:
        (T, 8, 8), each entry in 1-255.

    >>> from jpeg_preproc.jpeg import qtables_from_qf
    >>> bool((scaled_tables(NAMED_TABLES["annex_k"], 20) == qtables_from_qf(20)).all())
    True
    """
    means = [np.log(table.astype(np.float64)).mean() for table in (ANNEX_K_LUMA, tables[0])]
    base = tables * np.exp(means[0] - means[1])
    percent = 5000 // qf if qf < 50 else 200 - 2 * qf
    # The rounding of libjpeg's (base * percent + 50) // 100; the mean's own error is taken out.
    scaled = np.floor(np.round(base * percent, 6) / 100 + 0.5)
    return np.clip(scaled, 1, 255).astype(np.uint16)


@dataclass(frozen=True)
class TableJpeg(Codec):
    """A JPEG with tables that are not libjpeg's.

    Attributes:
        tables: One of :data:`NAMED_TABLES`; or 64 entries of one table, or 128 of luma and chroma,
            1-255 in natural order, which an array (T, 8, 8) becomes too.
        qf_like: Quality at which libjpeg's tables are as coarse in luma, see
            :func:`scaled_tables`; None takes the tables as they are.
        subsampling: One of :data:`~jpeg_preproc.jpeg.SUBSAMPLINGS`; grey images ignore it.

    Raises:
        CorruptionError: A setting has another value.
    """

    kind: ClassVar[str] = "tables"
    example: ClassVar[str] = "tables:photoshop_low"

    tables: str | tuple[int, ...]
    qf_like: int | None = None
    subsampling: str = "4:2:0"

    def __post_init__(self) -> None:
        self._tables()
        if self.qf_like is not None:
            self._whole("qf_like", 1, 100)
        self._choice("subsampling", SUBSAMPLINGS)

    def _tables(self) -> None:
        """Make the user's own tables a flat tuple, or raise CorruptionError."""
        value: Any = self.tables
        if isinstance(value, str) and value in NAMED_TABLES:
            return
        if isinstance(value, str) and ":" in value:
            value = value.split(":")
        wanted = f"one of {', '.join(NAMED_TABLES)}, or 64 or 128 entries from 1 to 255"
        try:
            entries = np.asarray(value).reshape(-1).astype(np.int64)
        except (TypeError, ValueError):
            raise self._wrong("tables", wanted) from None
        if len(entries) not in (64, 128) or entries.min() < 1 or entries.max() > 255:
            raise self._wrong("tables", wanted)
        object.__setattr__(self, "tables", tuple(entries.tolist()))

    @property
    def libraries(self) -> Sequence[str]:
        """What the result depends on."""
        return ("jpeg",)

    def qtables(self) -> _Tables:
        """Return the (T, 8, 8) tables of a colour file, in natural order, each entry in 1-255."""
        if isinstance(self.tables, str):
            tables = NAMED_TABLES[self.tables]
        else:
            tables = np.array(self.tables, np.uint16).reshape(-1, 8, 8)
        if self.qf_like is not None:
            return scaled_tables(tables, self.qf_like)
        return np.minimum(tables, 255)

    def code(self, pixels: npt.NDArray[np.uint8]) -> Coded:
        """Return the pixels after JPEG, the file and its tables."""
        picture = Image.fromarray(check_image_array(pixels))
        if self.subsampling == "grey" and picture.mode != "L":
            picture = picture.convert("L")
        # Pillow takes tables in natural order, and writes all it is given.
        tables = [table.flatten().tolist() for table in self.qtables()]
        stream = io.BytesIO()
        if picture.mode == "L":
            picture.save(stream, "JPEG", qtables=tables[:1])
        else:
            picture.save(stream, "JPEG", qtables=tables, subsampling=self.subsampling)
        return decoded_jpeg(stream.getvalue())

    @property
    def label(self) -> str:
        """What people read."""
        name = self.tables.replace("_", " ") if isinstance(self.tables, str) else "own"
        like = "" if self.qf_like is None else f", as coarse as QF {self.qf_like}"
        return f"JPEG with {name} tables{like}{chroma_label(self.subsampling)}"

    @property
    def strength(self) -> float:
        """The quality at which libjpeg is as coarse: ``qf_like``, or the nearest to the tables."""
        return float(nearest_qf(self.qtables()).qf if self.qf_like is None else self.qf_like)
