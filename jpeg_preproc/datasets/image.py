"""One image of a dataset, read once and written into every variant that does not have it yet."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

from jpeg_preproc.datasets.manifest import Entry, entry_line, parse_line
from jpeg_preproc.defaults import MAX_PIXELS
from jpeg_preproc.errors import DatasetError, ImageReadError
from jpeg_preproc.io import sha256_bytes, sha256_file, write_bytes_atomic
from jpeg_preproc.jpeg.image import LoadedImage, load_image
from jpeg_preproc.jpeg.source import source_bytes
from jpeg_preproc.jpeg.versions import encoder_versions


@dataclass(frozen=True)
class Encoded:
    """An image in the form in which it is written.

    Attributes:
        data: Bytes of the file.
        facts: What the manifest says of this image beside what it says of every image.
    """

    data: bytes
    facts: Mapping[str, Any] = field(default_factory=dict)


#: What makes the bytes of a file from an image in stored orientation and from its name, the path
#: relative to the data root. It gives the same bytes each time, and can be pickled.
Encode: TypeAlias = Callable[[LoadedImage, str], Encoded]


@dataclass(frozen=True)
class Variant:
    """One rewritten tree.

    Attributes:
        folder: Root of the tree.
        settings: All that its images depend on, as JSON values; they head its manifest.
        encode: Makes its images.
    """

    folder: Path
    settings: Mapping[str, Any]
    encode: Encode


class ImageTask(NamedTuple):
    """One source image, to be written into every variant.

    Attributes:
        source: Path of the image file.
        name: Path of the source relative to the data root, with forward slashes.
        target: Path of the result relative to each variant's root, with forward slashes.
        known: Line that an earlier run left in each variant's manifest, or None.
    """

    source: str
    name: str
    target: str
    known: tuple[str | None, ...]


class Written(NamedTuple):
    """What became of an image in one variant.

    Attributes:
        line: Line of the manifest.
        is_new: Whether the file was written now; otherwise it was found done.
    """

    line: str
    is_new: bool


def encoder_record(codec: str) -> dict[str, str]:
    """Return what a manifest says of the encoder: Pillow's version, and that of its library.

    Args:
        codec: One that :func:`~jpeg_preproc.jpeg.versions.encoder_versions` knows.
    """
    versions = encoder_versions(codec)
    return {"pillow": versions["pillow"], "library": versions[codec]}


@dataclass(frozen=True)
class ImageWriter:
    """Writes an image into every variant that does not have it yet, in whatever process.

    Attributes:
        variants: Trees that each image goes into.
        max_pixels: Most pixels of an image that is read; ``None`` for any number.
    """

    variants: tuple[Variant, ...]
    max_pixels: int | None = MAX_PIXELS

    def __call__(self, task: ImageTask) -> list[Written]:
        """Write one image and return its lines in the variants' manifests.

        It counts as written if the manifest has the source's hash and that of the file in place.

        Raises:
            ImageReadError: The source cannot be read or is of a kind that is not supported.
            DatasetError: The result cannot be written.
        """
        source = source_bytes(task.source)
        source_sha256 = sha256_bytes(source)
        written: list[Written] = []
        image: LoadedImage | None = None
        for variant, known in zip(self.variants, task.known, strict=True):
            target = os.path.join(variant.folder, task.target)  # noqa: PTH118 - Path takes longer
            if known is not None and _is_in_place(parse_line(known), source_sha256, target):
                written.append(Written(known, is_new=False))
                continue
            image = image or load_image(source, task.source, self.max_pixels)
            encoded = variant.encode(image, task.name)
            try:
                write_bytes_atomic(target, encoded.data)
            except OSError as error:
                if error.errno == errno.ENAMETOOLONG:  # the fault of this image alone
                    raise ImageReadError(
                        f"{task.source}: the name of its result is too long ({target}); shorten it."
                    ) from error
                raise DatasetError(
                    f"{target} cannot be written ({error.strerror}); see to it and run again: "
                    "what is done is kept."
                ) from error
            entry = _entry(task, image, source_sha256, encoded)
            written.append(Written(entry_line(entry), is_new=True))
        return written


def _entry(task: ImageTask, image: LoadedImage, source_sha256: str, encoded: Encoded) -> Entry:
    """Return an image's line in the manifest; the source's QF is null if it is no JPEG."""
    info = image.info
    return {
        "path": task.target,
        **({"source_path": task.name} if task.name != task.target else {}),
        "width": image.picture.width,
        "height": image.picture.height,
        "orientation": image.orientation,
        "source_sha256": source_sha256,
        "source_qf": info.qf if info else None,
        "source_qf_exact": info.qf_exact if info else None,
        "source_subsampling": info.sampling if info else None,
        "sha256": sha256_bytes(encoded.data),
        "bytes": len(encoded.data),
        **encoded.facts,
    }


def _is_in_place(known: Entry, source_sha256: str, target: str) -> bool:
    if known.get("source_sha256") != source_sha256 or not Path(target).is_file():
        return False
    return known.get("sha256") == sha256_file(target)
