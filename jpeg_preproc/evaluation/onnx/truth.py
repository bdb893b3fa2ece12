"""What test sets of deployed models have in common: their usable images, and how results add up."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from jpeg_preproc.datasets.tree import join_inside
from jpeg_preproc.distributed import ALONE, Processes
from jpeg_preproc.errors import AnnotationError
from jpeg_preproc.evaluation.task import Figure
from jpeg_preproc.evaluation.testset import (
    ImageFiles,
    OnCheck,
    evenly,
    none_usable,
    usable_images,
)
from jpeg_preproc.io import sha256_file


class Tally(Protocol):
    """Collects what a model finds in the images of a set, and compares it with the truth.

    Attributes:
        found: What was taken, by the image's index; one of another process can be merged in.
    """

    found: dict[int, Any]

    def add(self, index: int, found: Any) -> None:
        """Take what the model found in the image of an index."""

    def figure(self, kept: Path) -> tuple[Figure, dict[str, float]]:
        """Return the metric, and all that was measured.

        Args:
            kept: Path without ending, for files that are kept.

        Raises:
            AnnotationError: There is no ground truth to compare with.
        """

    def per_image(self) -> dict[str, Any]:
        """Return what a :class:`~jpeg_preproc.evaluation.task.Measurement` keeps of each image."""


class Truth(Protocol):
    """A test set.

    Attributes:
        paths: Paths of the images that are evaluated, in order.
        skipped: ``{'file': ..., 'reason': ...}`` of each that was asked for and cannot be used.
        digest: SHA-256 over the annotations, and the names and contents of the images.
    """

    paths: list[Path]
    skipped: tuple[dict[str, str], ...]
    digest: str

    @property
    def order(self) -> Sequence[int]:
        """Places of the images in the order in which figures of each are kept."""

    @property
    def class_names(self) -> Mapping[int, str]:
        """Name of each class, by the number that is kept of it."""

    def tally(self) -> Tally:
        """Return an empty tally."""


@dataclass(frozen=True)
class Chosen:
    """The images of a set that are evaluated.

    Attributes:
        indices: Their places among the records that they were chosen from.
        paths: Path of each image.
        skipped: What :class:`Truth` has under this name.
        digest: What :class:`Truth` has under this name.
    """

    indices: list[int]
    paths: list[Path]
    skipped: tuple[dict[str, str], ...]
    digest: str


def choose_images(
    names: Sequence[str],
    check: Callable[[int], tuple[Path, ...]],
    annotations: bytes,
    limit: int | None,
    on_check: OnCheck | None,
    processes: Processes = ALONE,
) -> Chosen:
    """Check the images of a set, so that every condition is measured on the same ones.

    Args:
        names: What the annotations call the images.
        check: Returns the files of an index, the image first; raises what is wrong with them.
        annotations: What the digest covers besides.
        limit: Take this many images, evenly spaced over the set, before checking them.
        on_check: Called for each image that this process checks.
        processes: Those that share the checking; each makes this call.

    Raises:
        AnnotationError: None can be used.
    """
    wanted = evenly(len(names), limit)

    def files(index: int) -> ImageFiles:
        found = check(index)
        hashes = tuple((file.name, sha256_file(file)) for file in found)
        return ImageFiles(str(found[0]), hashes)

    usable = usable_images(wanted, names.__getitem__, files, on_check, processes=processes)
    if not usable.files:
        raise none_usable(len(wanted), usable.skipped)
    digest = hashlib.sha256(annotations)
    usable.update(digest)
    paths = [Path(image.path) for image in usable.files.values()]
    return Chosen(list(usable.files), paths, usable.skipped, digest.hexdigest())


def annotated_path(root: Path, folder: str, name: str) -> Path:
    """Return the path of a file that annotations name.

    Args:
        root: Folder of the data.
        folder: In it; one that is absolute is a root of its own.
        name: In the folder.

    Raises:
        AnnotationError: It lies outside the root, or does not exist.
    """
    if Path(folder).is_absolute():
        root, folder = Path(folder), "."
    inside = join_inside(folder, name)
    if inside is None:
        raise AnnotationError(
            f"{name} in {folder} lies outside the data root {root}; name it relative to that"
        )
    path = root / inside
    if not path.is_file():
        raise AnnotationError(
            f"{path} does not exist, but the annotations name it; put it there, or take it out of "
            "them"
        )
    return path
