"""One image of a dataset, read once and written into every variant that does not have it yet."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jpeg_preproc.datasets.manifest import Entry
from jpeg_preproc.errors import DatasetError, ImageReadError
from jpeg_preproc.io import sha256_bytes, sha256_file, write_bytes_atomic
from jpeg_preproc.jpeg.image import LoadedImage, load_image


@dataclass(frozen=True)
class Variant:
    """One rewritten tree.

    Attributes:
        folder: its root.
        settings: how its images are made, as JSON values; they head its manifest.
    """

    folder: Path
    settings: Mapping[str, Any]


@dataclass(frozen=True)
class ImageTask:
    """One source image and every tree that it goes into.

    Attributes:
        source: the image file.
        name: relative to the data root, with forward slashes; the same in every tree.
        variants: the trees.
        known: for each of them the entry of an earlier run, or None.
    """

    source: Path
    name: str
    variants: tuple[Variant, ...]
    known: tuple[Entry | None, ...]


@dataclass(frozen=True)
class Written:
    """The entry of an image in one variant, and whether it was written by this run."""

    entry: Entry
    is_new: bool


def rewrite_image(
    task: ImageTask, encode: Callable[[LoadedImage, Mapping[str, Any]], bytes]
) -> list[Written]:
    """Write one image into every variant that does not have it yet.

    It counts as written if the manifest has the source's hash and that of the file in place.

    Args:
        task: the image.
        encode: image and a variant's settings -> the file's bytes.

    Raises:
        ImageReadError: the source cannot be read or is of a kind that is not supported.
        DatasetError: the result cannot be written.
    """
    try:
        source_sha256 = sha256_file(task.source)
    except OSError as error:
        raise ImageReadError(
            f"{task.source} cannot be read ({error.strerror}); check its permissions."
        ) from error
    written: list[Written] = []
    image: LoadedImage | None = None
    for variant, known in zip(task.variants, task.known, strict=True):
        target = variant.folder / task.name
        if known is not None and _is_in_place(known, source_sha256, target):
            written.append(Written(known, is_new=False))
            continue
        image = image or load_image(task.source)
        data = encode(image, variant.settings)
        try:
            write_bytes_atomic(target, data)
        except OSError as error:
            raise DatasetError(
                f"{target} cannot be written ({error.strerror}); see to it and run again: "
                "what is done is kept."
            ) from error
        written.append(Written(_entry(task.name, image, source_sha256, data), is_new=True))
    return written


def _entry(name: str, image: LoadedImage, source_sha256: str, data: bytes) -> Entry:
    """Return an image's line in the manifest; the source's QF is null if it is no JPEG."""
    info = image.info
    return {
        "path": name,
        "width": image.pixels.shape[1],
        "height": image.pixels.shape[0],
        "orientation": image.orientation,
        "source_sha256": source_sha256,
        "source_qf": info.qf if info else None,
        "source_qf_exact": info.qf_exact if info else None,
        "source_subsampling": info.sampling if info else None,
        "sha256": sha256_bytes(data),
        "bytes": len(data),
    }


def _is_in_place(known: Entry, source_sha256: str, target: Path) -> bool:
    if known.get("source_sha256") != source_sha256 or not target.is_file():
        return False
    return known.get("sha256") == sha256_file(target)
