"""COCO and VOC compressed as JPEG at given qualities, or corrupted in other ways."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from jpeg_preproc.corruptions import Corruption
from jpeg_preproc.datasets.image import Encoded, Variant, encoder_record
from jpeg_preproc.datasets.manifest import totals
from jpeg_preproc.datasets.rewrite import RewriteSummary, rewrite_dataset
from jpeg_preproc.datasets.scan import DatasetTree
from jpeg_preproc.datasets.share import Execution
from jpeg_preproc.errors import CorruptionError, QualityError
from jpeg_preproc.jpeg.codec import SUBSAMPLINGS, compress_picture
from jpeg_preproc.jpeg.encode import Encoding, encode_image
from jpeg_preproc.jpeg.exif import orientation_exif
from jpeg_preproc.jpeg.image import LoadedImage
from jpeg_preproc.jpeg.segments import with_exif
from jpeg_preproc.jpeg.tables import validate_qf

# An image takes a few milliseconds, of which handing it over one by one would be a tenth.
_IMAGES_AT_ONCE = 16
# Settings of a tree that its row tells.
_COLUMNS = ("qf", "subsampling", "corruption")


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


def corrupt_dataset(
    tree: DatasetTree,
    out: str | os.PathLike[str],
    corruptions: Sequence[Corruption],
    execution: Execution | None = None,
) -> RewriteSummary:
    """Write a dataset corrupted in each of several ways, into ``out/webp_30`` and its like.

    Files keep names and orientation as those of :func:`compress_dataset` do. Each is the last file
    of its corruption, or a PNG where that ends losslessly, or where its format has no place for an
    EXIF orientation that the image has.

    Args:
        tree: What :func:`~jpeg_preproc.datasets.scan.scan_dataset` returned.
        out: Folder of the results, outside the source.
        corruptions: What happens to the images.
        execution: How the work is done; by default in this process alone.

    Raises:
        CorruptionError: A corruption changes size or origin, so that annotations would no longer
            fit, or needs a package that is not installed; nothing is written.
        DatasetError: See :func:`~jpeg_preproc.datasets.rewrite.rewrite_dataset`.
        LauncherError: A process that shares the work has ended.
    """
    return write_compressed(tree, corruption_variants(out, corruptions), execution)


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


def corruption_variants(
    out: str | os.PathLike[str], corruptions: Sequence[Corruption]
) -> list[Variant]:
    """Return one tree for each corruption, in their order.

    Raises:
        CorruptionError: See :func:`corrupt_dataset`.
    """
    probe = np.zeros((64, 64, 3), np.uint8)
    variants = []
    for corruption in dict.fromkeys(corruptions):
        if not corruption.apply(probe).geometry.is_identity:
            raise CorruptionError(
                f"{corruption.spelling} changes an image's size or origin, so that its annotations "
                "would no longer fit; jpeg-preproc eval-downstream --corruptions measures it "
                "without writing a dataset."
            )
        folder = Path(out) / spelled_folder(corruption.spelling)
        settings = {"corruption": corruption.spelling, "key": corruption.key()}
        variants.append(Variant(folder, settings, CorruptionEncoder(corruption)))
    return variants


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
            **{key: manifest.settings[key] for key in _COLUMNS if key in manifest.settings},
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


@dataclass(frozen=True)
class CorruptionEncoder:
    """Makes the last file of a corruption, with the EXIF orientation and no other metadata.

    Attributes:
        corruption: What happens to an image; whatever it draws, it draws from the image's name.
    """

    corruption: Corruption

    def __call__(self, image: LoadedImage, name: str) -> Encoded:
        """Return the file."""
        made = self.corruption.apply(image.pixels, Path(name).name)
        facts = {"num_bytes": made.num_bytes}
        exif = b"" if image.orientation == 1 else orientation_exif(image.orientation)
        if made.data is not None and not exif:
            return Encoded(made.data, facts)
        if made.data is not None and made.qtables is not None:
            return Encoded(with_exif(made.data, exif), facts)
        return Encoded(encode_image(made.pixels, Encoding("png"), exif), facts)
