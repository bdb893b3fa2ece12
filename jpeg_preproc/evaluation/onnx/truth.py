"""What test sets of deployed models have in common: their usable images, and how results add up."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from jpeg_preproc.datasets.tree import join_inside
from jpeg_preproc.distributed import ALONE, Processes
from jpeg_preproc.errors import AnnotationError, ImageReadError
from jpeg_preproc.evaluation.task import Figure
from jpeg_preproc.evaluation.testset import evenly

#: Called with each image's name and how many there are.
OnCheck = Callable[[str, int], None]


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


class Truth(Protocol):
    """A test set.

    Attributes:
        paths: Paths of the images that are evaluated, in order.
        skipped: ``{'file': ..., 'reason': ...}`` of each that was asked for and cannot be used.
        digest: SHA-256 over the annotations, and the names and sizes of the images.
    """

    paths: list[Path]
    skipped: tuple[dict[str, str], ...]
    digest: str

    def tally(self) -> Tally:
        """Return an empty tally."""


@dataclass(frozen=True)
class Chosen:
    """The images of a set that are evaluated.

    Attributes:
        indices: Into the records they were chosen from.
        paths: Paths of the images.
        skipped: As of :class:`Truth`.
        digest: As of :class:`Truth`.
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
        names: Names of the images, as the annotations have them.
        check: Returns the files of an index, the image first; raises what is wrong with them.
        annotations: What the digest covers besides.
        limit: Take this many images, evenly spaced over the set, before checking them.
        on_check: Called for each image that this process checks.
        processes: Those that share the checking; each makes this call.

    Raises:
        AnnotationError: None can be used.
    """
    wanted = evenly(len(names), limit)
    skipped: list[dict[str, str]] = []
    indices, paths = [], []
    digest = hashlib.sha256(annotations)
    own_total = len(processes.share(wanted))

    def look(index: int) -> tuple[Path, ...] | str:
        """Return the files, or what is wrong with them."""
        if on_check:
            on_check(Path(names[index]).name, own_total)
        try:
            return check(index)
        except (AnnotationError, ImageReadError) as error:
            return str(error)

    for index, files in zip(wanted, processes.spread(look, wanted), strict=True):
        if isinstance(files, str):
            skipped.append({"file": names[index], "reason": files})
            continue
        indices.append(index)
        paths.append(files[0])
        digest.update("".join(f"{file.name}:{file.stat().st_size};" for file in files).encode())
    if not indices:
        reasons = "; ".join(entry["reason"] for entry in skipped[:3])
        raise AnnotationError(
            f"none of the {len(wanted)} test images can be used: {reasons or 'there are none'}"
        )
    return Chosen(indices, paths, tuple(skipped), digest.hexdigest())


def place(root: Path, folder: str, name: str) -> Path:
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
