"""A COCO or VOC folder, sorted into what is rewritten, what is copied and what is left out."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from jpeg_preproc.datasets.coco import select_coco_images
from jpeg_preproc.datasets.manifest import is_reserved
from jpeg_preproc.datasets.tree import FileSelection, Problem, Tree, walk_tree
from jpeg_preproc.datasets.voc import is_voc, select_voc_images
from jpeg_preproc.errors import DatasetError

# Archives that a dataset was unpacked from often still lie in it; the images in them are no use.
_ARCHIVE_SUFFIXES = (".zip", ".tar", ".gz", ".tgz", ".bz2", ".xz", ".7z", ".rar")

#: What ``layout`` may be.
LAYOUTS = ("auto", "coco", "voc")


@dataclass(frozen=True)
class DatasetTree:
    """A dataset on disk. File names are relative to the root, sorted, with forward slashes.

    Attributes:
        root: Data root, resolved.
        layout: ``'coco'`` or ``'voc'``.
        images: Files to be rewritten.
        carried: Files to be copied as they are: annotations, split lists, label maps.
        folders: Every folder, empty ones too.
        left_out: How many files are images of splits that were not asked for, or archives.
        problems: What cannot be taken over.
    """

    root: Path
    layout: str
    images: tuple[str, ...]
    carried: tuple[str, ...]
    folders: tuple[str, ...]
    left_out: int
    problems: tuple[Problem, ...]


def scan_dataset(
    root: str | os.PathLike[str],
    layout: str = "auto",
    splits: Sequence[str] = (),
    img_dirs: Sequence[str] = (),
    follow_links: bool = False,
) -> DatasetTree:
    """Find the images and annotations of a COCO or VOC folder.

    Args:
        root: Folder that a config calls ``data_root``, or one above it.
        layout: One of :data:`LAYOUTS`; ``'auto'`` takes a ``JPEGImages`` folder for VOC, and JSON
            files that list images, or a folder ``annotations``, for COCO.
        splits: Splits whose images are taken; all, if empty. COCO: ``val2017``; VOC: ``val``.
        img_dirs: Folders of COCO images; see
            :func:`~jpeg_preproc.datasets.coco.select_coco_images`.
        follow_links: Whether to take in what symbolic links outside the root point to.

    Raises:
        DatasetError: There is no such folder, no dataset in it, no image, or no such split.
    """
    if layout not in LAYOUTS:
        raise DatasetError(f"Dataset format {layout!r} is unknown; give {', '.join(LAYOUTS)}.")
    if not Path(root).is_dir():
        raise DatasetError(f"{root} is not a folder; give the folder that holds the dataset.")
    tree = walk_tree(Path(root), follow_links)
    voc = is_voc(tree) if layout == "auto" else layout == "voc"
    if voc and img_dirs:
        raise DatasetError("--img-dirs is for COCO; VOC's images are those in JPEGImages.")
    selection = (
        select_voc_images(tree, splits) if voc else select_coco_images(tree, splits, img_dirs)
    )
    if layout == "auto" and not voc:
        _refuse_unless_coco(tree, selection)
    problems = [*tree.problems, *selection.problems]
    if not selection.images and not problems:
        raise DatasetError(f"{root} holds no image of a {'VOC' if voc else 'COCO'} dataset.")
    # A manifest of this tool describes the tree that it lies in, and would lie in the next one.
    archives = {name for name in tree.files if name.lower().endswith(_ARCHIVE_SUFFIXES)}
    left_out = selection.left_out | archives
    carried = {name for name in tree.files - selection.images - left_out if not is_reserved(name)}
    return DatasetTree(
        root=tree.root,
        layout="voc" if voc else "coco",
        images=tuple(sorted(selection.images)),
        carried=tuple(sorted(carried)),
        folders=tuple(tree.folders),
        left_out=len(left_out),
        problems=tuple(sorted(problems, key=lambda problem: (problem.path, problem.reason))),
    )


def _refuse_unless_coco(tree: Tree, selection: FileSelection) -> None:
    if not selection.annotation_files and "annotations" not in tree.folders:
        raise DatasetError(
            f"{tree.root} is neither VOC (no folder JPEGImages) nor COCO (no folder annotations, "
            "no JSON that lists images); give the folder above these, or --format coco to take "
            "every JPEG in it."
        )
