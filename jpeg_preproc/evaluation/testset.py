"""What test sets of every kind share: an even choice of images, which of them will do, masks."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from jpeg_preproc.distributed import ALONE, Processes
from jpeg_preproc.errors import AnnotationError, ImageReadError, PipelineError
from jpeg_preproc.jpeg.image import opened_picture


def evenly(total: int, limit: int | None) -> list[int]:
    """Return the indices of ``limit`` of ``total`` items, evenly spaced; of all without a limit.

    >>> evenly(6, 3), evenly(2, 3)
    ([0, 2, 4], [0, 1])
    """
    if limit is None or limit >= total:
        return list(range(total))
    return [position * total // limit for position in range(limit)]


#: Called with each image's name and how many there are.
OnCheck = Callable[[str, int], None]


@dataclass(frozen=True)
class ImageFiles:
    """The files of one test image, checked.

    Attributes:
        path: Path of the image.
        hashes: Name and SHA-256 of each file, the image's first.
    """

    path: str
    hashes: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class UsableImages:
    """The images of a set that are evaluated, the same ones in every condition.

    Attributes:
        files: Files of each, by its index in the set, in the order asked for.
        skipped: ``{'file': ..., 'reason': ...}`` of each that was asked for and cannot be used.
    """

    files: dict[int, ImageFiles]
    skipped: tuple[dict[str, str], ...]

    def update(self, digest: Any) -> None:
        """Let a hash take in the names and contents of the files."""
        for image in self.files.values():
            digest.update("".join(f"{name}:{own};" for name, own in image.hashes).encode())


def usable_images(
    wanted: Sequence[int],
    name: Callable[[int], str],
    check: Callable[[int], ImageFiles],
    on_check: OnCheck | None = None,
    total: int | None = None,
    processes: Processes = ALONE,
) -> UsableImages:
    """Check images, each in the one process that has it, and return those that can be used.

    Args:
        wanted: Their indices in the set.
        name: Returns what the annotations call the image of an index.
        check: Returns the files of an index; raises one of this package's errors that says what is
            wrong with them.
        on_check: Called for each image that this process checks.
        total: How many this process checks in all, of several sets; those of ``wanted`` without.
        processes: Those that share the checking; each makes this call.
    """
    own_total = len(processes.share(wanted)) if total is None else total

    def look(index: int) -> ImageFiles | str:
        """Return the files, or what is wrong with them."""
        if on_check:
            on_check(Path(name(index)).name, own_total)
        try:
            return check(index)
        except (AnnotationError, ImageReadError, PipelineError) as error:
            return str(error)

    files: dict[int, ImageFiles] = {}
    skipped: list[dict[str, str]] = []
    for index, found in zip(wanted, processes.spread(look, wanted), strict=True):
        if isinstance(found, str):
            skipped.append({"file": name(index), "reason": found})
        else:
            files[index] = found
    return UsableImages(files, tuple(skipped))


def none_usable(total: int, skipped: Sequence[dict[str, str]]) -> AnnotationError:
    """Return the error of a set none of whose images can be used.

    Args:
        total: How many were asked for.
        skipped: Reasons, the first few of which are told.
    """
    reasons = "; ".join(entry["reason"] for entry in skipped[:3])
    return AnnotationError(
        f"none of the {total} test images can be used: {reasons or 'there are none'}"
    )


def read_mask(data: bytes, path: str, shape: tuple[int, int]) -> np.ndarray:
    """Decode a segmentation mask as it is stored: the palette's indices of a palette image.

    Args:
        data: The file's bytes.
        path: What an error calls the mask.
        shape: Height and width of its image.

    Returns:
        (H, W), or (H, W, channels) for a mask of several channels.

    Raises:
        AnnotationError: It cannot be decoded, or has another shape.
    """
    try:
        with opened_picture(io.BytesIO(data), path) as mask:
            mask.load()
            size = mask.size[::-1]
            labels = np.array(mask)
    except ImageReadError as error:
        raise AnnotationError(f"{path}: the mask cannot be decoded: {error}") from error
    if size != shape:
        raise AnnotationError(f"{path}: the mask is {size}, its image {shape} (H, W)")
    return labels
