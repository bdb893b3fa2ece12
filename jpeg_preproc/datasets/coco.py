"""COCO on disk: which files of a tree are its images, by its annotation files.

An image is a file that an annotation JSON names under ``images[].file_name``, and, unless splits
are chosen, any other JPEG of the tree (``test2017`` and COCO-Stuff have no JSON beside them).
Everything else is carried over, first of all the PNG label maps of the panoptic and stuff sets.
"""

from __future__ import annotations

import json
import posixpath
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from jpeg_preproc.datasets.tree import (
    FileSelection,
    Problem,
    Tree,
    join_inside,
    missing_problems,
    outside_problem,
)
from jpeg_preproc.errors import AnnotationError, DatasetError
from jpeg_preproc.jpeg.image import IMAGE_SUFFIXES, JPEG_SUFFIXES

_OTHER_SUFFIXES = IMAGE_SUFFIXES - JPEG_SUFFIXES


def select_coco_images(
    tree: Tree, splits: Sequence[str] = (), img_dirs: Sequence[str] = ()
) -> FileSelection:
    """Return the images of a COCO tree.

    Args:
        tree: Files of the data root.
        splits: Names of the splits to take: ``val2017`` takes ``instances_val2017.json``,
            ``captions_val2017.json`` and so on, and leaves other images out. All are taken, if
            empty.
        img_dirs: Folders, relative to the root, in which the annotation files' images lie; if
            empty, they are found from the annotations.

    Raises:
        DatasetError: No annotation file has such a split, or an image folder is not there.
    """
    folders = [posixpath.normpath(folder) for folder in img_dirs]
    for folder in folders:
        if folder != "." and folder not in tree.folders:
            raise DatasetError(
                f"There is no folder {folder!r} in {tree.root}; give --img-dirs relative to it."
            )
    selection = FileSelection()
    chosen = _annotations_of(tree, splits)
    _take_annotations(tree, chosen, folders, selection)
    jpegs = {name for name in tree.files if _is_jpeg_name(name)}
    if not splits:
        selection.images |= jpegs
        return selection
    selection.left_out = jpegs - selection.images
    if any(PurePosixPath(name).suffix.lower() in _OTHER_SUFFIXES for name in tree.files):
        # Only the other splits' annotations tell their images from label maps.
        others = FileSelection()
        rest = [name for name in _annotations_of(tree, ()) if name not in chosen]
        _take_annotations(tree, rest, folders, others)
        selection.left_out |= others.images - selection.images
    return selection


def _take_annotations(
    tree: Tree, annotations: Sequence[str], folders: list[str], selection: FileSelection
) -> None:
    """Add the images that annotation files name to ``selection``, and what is wrong with them."""
    for annotation in annotations:
        try:
            names = read_image_names(tree, annotation)
        except AnnotationError as error:
            selection.problems.append(Problem(annotation, str(error)))
            continue
        if names is not None:
            selection.annotation_files += 1
            _resolve(tree, annotation, names, folders, selection)


def read_annotation_json(path: Path) -> Any:
    """Return what a JSON file holds.

    Raises:
        AnnotationError: The file cannot be read, or is no JSON.
    """
    try:
        return json.loads(path.read_bytes())
    except FileNotFoundError as error:
        raise AnnotationError(f"{path} does not exist; check the data root.") from error
    except OSError as error:
        raise AnnotationError(
            f"{path} cannot be read ({error.strerror}); check its permissions."
        ) from error
    except (ValueError, RecursionError) as error:
        raise AnnotationError(
            f"{path} is no valid JSON ({error}); fetch or export it again."
        ) from error


def read_image_names(tree: Tree, annotation: str) -> list[str] | None:
    """Return every ``images[].file_name`` of a JSON file, or None if it does not list images.

    Raises:
        AnnotationError: The file cannot be read, is no JSON, or some of its images have no name.
    """
    path = tree.root / annotation
    content = read_annotation_json(path)
    images = content.get("images") if isinstance(content, dict) else None
    if not isinstance(images, list):
        return None
    names = [image.get("file_name") if isinstance(image, dict) else None for image in images]
    if not any(names):
        return None  # LVIS, for one, has URLs instead; its images are COCO's.
    good = [name for name in names if isinstance(name, str) and name]
    if len(good) < len(names):
        bad = [index for index, name in enumerate(names) if not (name and isinstance(name, str))]
        raise AnnotationError(
            f"{path} has {len(bad)} images without a file_name (the first is images[{bad[0]}]); "
            "add the name or take them out."
        )
    return good


def _annotations_of(tree: Tree, splits: Sequence[str]) -> list[str]:
    """Return the JSON files of the chosen splits, of all if none is chosen."""
    files = sorted(name for name in tree.files if name.lower().endswith(".json"))
    if not splits:
        return files
    chosen: set[str] = set()
    for split in splits:
        of_split = {name for name in files if split in _split_names(name)}
        if not of_split:
            known = sorted({PurePosixPath(name).stem for name in files})
            raise DatasetError(
                f"No annotation file of {tree.root} is of split {split!r}; its JSON files are "
                f"{', '.join(known[:12]) or 'none'}: give what stands behind the underscore."
            )
        chosen |= of_split
    return sorted(chosen)


def _split_names(annotation: str) -> list[str]:
    """Return what a split of this file may be called, most specific last.

    >>> _split_names("annotations/person_keypoints_val2017.json")
    ['annotations', 'person_keypoints_val2017', 'keypoints_val2017', 'val2017']
    """
    path = PurePosixPath(annotation)
    words = path.stem.split("_")
    return [path.parent.name, *("_".join(words[start:]) for start in range(len(words)))]


def _resolve(
    tree: Tree, annotation: str, names: list[str], folders: list[str], selection: FileSelection
) -> None:
    """Add the images that ``annotation`` names to ``selection``, and what is wrong with them."""
    base = _image_folder(tree, annotation, names, folders)
    missing = []
    for name in names:
        place = join_inside(base or ".", name)
        if place is None:
            selection.problems.append(outside_problem(annotation, name))
        elif place in tree.files:
            selection.images.add(place)
        elif not tree.is_refused(place):
            missing.append(name)
    selection.problems += missing_problems(annotation, missing, base)


def _image_folder(tree: Tree, annotation: str, names: list[str], folders: list[str]) -> str | None:
    """Return the one folder under which most of ``names`` lie, as ``data_prefix`` would name it.

    None if none of them lies anywhere.
    """
    best, most = None, 0
    for folder in folders or _likely_folders(tree, annotation, names):
        count = sum(join_inside(folder, name) in tree.files for name in names)
        if count > most:
            best, most = folder, count
        if most == len(names):
            break
    if best is None and folders:
        return folders[0]
    return best


def _likely_folders(tree: Tree, annotation: str, names: list[str]) -> Iterator[str]:
    """Yield the folders that images of ``annotation`` may lie in, the likeliest first."""
    for split in reversed(_split_names(annotation)):
        yield split or "."
        yield f"images/{split}"
    yield posixpath.dirname(annotation) or "."
    yield "images"
    yield "."
    # minival2014 lies in val2014 and test-dev2017 in test2017: look where the first names lie.
    for name in names[:3]:
        for file in sorted(tree.files):
            if file.endswith("/" + name):
                yield file[: -len(name) - 1]


def _is_jpeg_name(name: str) -> bool:
    path = PurePosixPath(name)
    # A leading dot marks what is no image for anyone: macOS's "._1.jpg" holds file attributes.
    return path.suffix.lower() in JPEG_SUFFIXES and not path.name.startswith(".")
