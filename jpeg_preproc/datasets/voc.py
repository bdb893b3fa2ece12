"""PASCAL VOC on disk: which files of a tree are its images.

An image is an image file below a folder called ``JPEGImages``; the root may be the folder above
``VOCdevkit``, ``VOCdevkit`` itself or one year of it. All else (``Annotations``, ``ImageSets``,
the PNG masks of ``SegmentationClass`` and ``SegmentationObject``) is carried over.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterator, Sequence
from pathlib import PurePosixPath

from jpeg_preproc.datasets.tree import (
    FileSelection,
    Problem,
    Tree,
    join_inside,
    missing_problems,
    outside_problem,
)
from jpeg_preproc.errors import AnnotationError, DatasetError
from jpeg_preproc.jpeg.image import IMAGE_SUFFIXES

_IMAGES = "JPEGImages"


def is_voc(tree: Tree) -> bool:
    """Tell whether a tree has a ``JPEGImages`` folder."""
    return any(_year_folders(tree))


def select_voc_images(tree: Tree, splits: Sequence[str] = ()) -> FileSelection:
    """Return the images of a VOC tree.

    Every list under ``ImageSets`` is checked against the images, or, if splits are chosen, those
    of the splits.

    Args:
        tree: Files of the data root.
        splits: Names of the splits to take: ``val`` takes the images in ``ImageSets/*/val.txt`` and
            leaves others out. All are taken, if empty.

    Raises:
        DatasetError: There is no ``JPEGImages``, or no such split in ``ImageSets``.
    """
    years = list(_year_folders(tree))
    if not years:
        raise DatasetError(
            f"{tree.root} has no folder {_IMAGES}; give VOCdevkit, the folder above it, or a year "
            "such as VOC2012."
        )
    lists = {year: _split_lists(tree, year) for year in years}
    known = {PurePosixPath(name).stem for names in lists.values() for name in names}
    for split in splits:
        if split not in known:
            raise DatasetError(
                f"No list ImageSets/*/{split}.txt is in {tree.root}; there are "
                f"{', '.join(sorted(known)[:12]) or 'none'}."
            )
    selection = FileSelection()
    for year in years:
        images = _images_by_id(tree, year)
        named = _check_lists(tree, year, images, lists[year], splits, selection)
        for identifier, image in images.items():
            (selection.images if not splits or identifier in named else selection.left_out).add(
                image
            )
    return selection


def _year_folders(tree: Tree) -> Iterator[str]:
    """Yield each folder that holds a ``JPEGImages``; ``"."`` is the root."""
    for folder in tree.folders:
        if posixpath.basename(folder) == _IMAGES:
            yield posixpath.dirname(folder) or "."


def _split_lists(tree: Tree, year: str) -> list[str]:
    """Return the lists ``ImageSets/<task>/<split>.txt`` of a year."""
    prefix = posixpath.normpath(posixpath.join(year, "ImageSets")) + "/"
    return sorted(
        name
        for name in tree.files
        if name.startswith(prefix) and name.endswith(".txt") and name[len(prefix) :].count("/") == 1
    )


def _images_by_id(tree: Tree, year: str) -> dict[str, str]:
    """Return id -> file; the id is the name below ``JPEGImages`` without its suffix."""
    prefix = posixpath.normpath(posixpath.join(year, _IMAGES)) + "/"
    images = {}
    for name in sorted(tree.files):
        path = PurePosixPath(name)
        hidden = path.name.startswith(".")
        if name.startswith(prefix) and path.suffix.lower() in IMAGE_SUFFIXES and not hidden:
            images[name[len(prefix) : -len(path.suffix)]] = name
    return images


def _check_lists(
    tree: Tree,
    year: str,
    images: dict[str, str],
    lists: list[str],
    splits: Sequence[str],
    selection: FileSelection,
) -> set[str]:
    """Return the ids that the lists name, adding to ``selection`` what is wrong with them."""
    folder = posixpath.normpath(posixpath.join(year, _IMAGES))
    named: set[str] = set()
    for name in lists:
        if splits and PurePosixPath(name).stem not in splits:
            continue
        try:
            identifiers = _read_list(tree, name, images)
        except AnnotationError as error:
            selection.problems.append(Problem(name, str(error)))
            continue
        selection.annotation_files += 1
        missing = []
        for identifier in identifiers:
            if identifier in named:
                continue  # said already, if there was anything to say
            named.add(identifier)
            place = join_inside(folder, identifier)
            if place is None:
                selection.problems.append(outside_problem(name, identifier))
            elif identifier not in images and not _is_refused(tree, place):
                missing.append(identifier)
        selection.problems += missing_problems(name, missing, folder)
    return named


def _read_list(tree: Tree, name: str, images: dict[str, str]) -> list[str]:
    """Return the ids of one list: a line's first word, or all of it if an image is called that.

    ``Main/dog_val.txt`` has a label and ``Layout/val.txt`` a count behind the id.
    """
    path = tree.root / name
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise AnnotationError(
            f"{path} cannot be read ({error.strerror}); check its permissions."
        ) from error
    except UnicodeDecodeError as error:
        raise AnnotationError(f"{path} is no text in UTF-8 ({error}); export it again.") from error
    words = (line.strip() for line in lines if line.strip())
    return [line if line in images else line.split()[0] for line in words]


def _is_refused(tree: Tree, stem: str) -> bool:
    return any(tree.is_refused(stem + suffix) for suffix in sorted(IMAGE_SUFFIXES))
