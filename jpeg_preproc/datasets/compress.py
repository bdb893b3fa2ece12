"""COCO and VOC compressed as JPEG at given qualities."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jpeg_preproc.datasets.image import Encoded, Variant, encoder_record
from jpeg_preproc.datasets.manifest import totals
from jpeg_preproc.datasets.rewrite import RewriteSummary, rewrite_dataset
from jpeg_preproc.datasets.scan import DatasetTree
from jpeg_preproc.datasets.share import Execution
from jpeg_preproc.errors import QualityError
from jpeg_preproc.jpeg.codec import SUBSAMPLINGS, compress_picture
from jpeg_preproc.jpeg.image import LoadedImage
from jpeg_preproc.jpeg.tables import validate_qf

# An image takes a few milliseconds, of which handing it over one by one would be a tenth.
_IMAGES_AT_ONCE = 16


def compress_dataset(
    tree: DatasetTree,
    out: str | os.PathLike[str],
    qfs: Sequence[int],
    subsampling: str = "4:2:0",
    execution: Execution | None = None,
) -> RewriteSummary:
    """Write a dataset as JPEG at each quality, into ``out/qf10`` and its like.

    Every image keeps its name, since annotations say it: a PNG source becomes a JPEG called
    ``.png``, which OpenCV, Pillow and so mmcv read by content. Pixels are taken in stored
    orientation and the EXIF orientation is kept, so that boxes and masks fit as before; other
    metadata goes. Grey stays grey. The bytes are those of Pillow's ``save`` at that quality.

    Args:
        tree: What :func:`~jpeg_preproc.datasets.scan.scan_dataset` returned.
        out: Folder of the results, outside the source.
        qfs: Qualities of libjpeg, 1-100.
        subsampling: How the chroma of colour images is stored: one of
            :data:`~jpeg_preproc.jpeg.codec.SUBSAMPLINGS`.
        execution: How the work is done; by default in this process alone.

    Raises:
        QualityError: A quality or subsampling does not exist; nothing is written.
        DatasetError: See :func:`~jpeg_preproc.datasets.rewrite.rewrite_dataset`.
        LauncherError: A process that shares the work has ended.
    """
    return write_compressed(tree, compression_variants(out, qfs, subsampling), execution)


def write_compressed(
    tree: DatasetTree, variants: Sequence[Variant], execution: Execution | None = None
) -> RewriteSummary:
    """Write a dataset compressed into each of the variants, whose encoders take milliseconds.

    Args:
        tree: What :func:`~jpeg_preproc.datasets.scan.scan_dataset` returned.
        variants: Trees to write, all in one parent folder.
        execution: How the work is done; by default in this process alone.

    Raises:
        DatasetError: See :func:`~jpeg_preproc.datasets.rewrite.rewrite_dataset`.
        LauncherError: A process that shares the work has ended.
    """
    return rewrite_dataset(tree, variants, execution or Execution(), chunk=_IMAGES_AT_ONCE)


def compression_variants(
    out: str | os.PathLike[str], qfs: Sequence[int], subsampling: str
) -> list[Variant]:
    """Return one tree for each quality, ascending.

    Raises:
        QualityError: There is no quality, or it or the subsampling does not exist.
    """
    if not qfs:
        raise QualityError("No JPEG quality factor is given; give one or more from 1 to 100.")
    if subsampling not in SUBSAMPLINGS:
        raise QualityError(
            f"JPEG subsampling {subsampling!r} is unknown; give one of {', '.join(SUBSAMPLINGS)}."
        )
    return [
        Variant(
            Path(out) / f"qf{qf}",
            {"encoder": encoder_record("jpeg"), "qf": qf, "subsampling": subsampling},
            JpegEncoder(qf, subsampling),
        )
        for qf in sorted({validate_qf(qf) for qf in qfs})
    ]


def spelled_folder(spelling: str) -> str:
    """Return what the tree is called whose images went through what ``spelling`` says.

    >>> spelled_folder("webp:30"), spelled_folder("resized_jpeg:20,0.75,then=95")
    ('webp_30', 'resized_jpeg_20_0.75_then_95')
    """
    return re.sub(r"[^\w.-]+", "_", spelling)


def compression_rows(tree: DatasetTree, summary: RewriteSummary) -> list[dict[str, Any]]:
    """Return one row for each tree: how it was made, how many images it has, and how large."""
    return [
        {
            "dataset": tree.layout,
            **{key: value for key, value in manifest.settings.items() if key != "encoder"},
            **totals(manifest.entries()),
        }
        for manifest in summary.manifests
    ]


@dataclass(frozen=True)
class JpegEncoder:
    """Makes a JPEG of an image as Pillow saves it, with the EXIF orientation and no other metadata.

    Attributes:
        qf: Quality of libjpeg, 1-100.
        subsampling: One of :data:`~jpeg_preproc.jpeg.codec.SUBSAMPLINGS`; a grey image ignores it.
    """

    qf: int
    subsampling: str

    def __call__(self, image: LoadedImage, name: str) -> Encoded:
        """Return the JPEG; ``name`` has no part in it."""
        return Encoded(
            compress_picture(image.picture, self.qf, self.subsampling, image.orientation)
        )
