"""Which images of a test set are evaluated: those asked for that can be loaded, in every condition.

Rows of one table compare only if all are over the same images, so the bad ones are found before
anything runs, named, and left out of the dataset and of the metric alike.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmengine.config import Config
from mmengine.registry import DATASETS

from jpeg_preproc.defaults import MAX_PIXELS
from jpeg_preproc.distributed import ALONE, Processes
from jpeg_preproc.errors import AnnotationError, JpegPreprocError
from jpeg_preproc.evaluation.testset import ImageFiles, evenly, none_usable, usable_images
from jpeg_preproc.openmmlab.config import leaf_datasets, metric_configs
from jpeg_preproc.openmmlab.evaluation.annotations import (
    annotation_digest,
    check_classes,
    check_coco,
    drop_bad_xml,
    shorten_annotations,
)
from jpeg_preproc.openmmlab.evaluation.images import ImageCheck
from jpeg_preproc.openmmlab.place import transform_name


@dataclass(frozen=True)
class Selection:
    """The images that are evaluated.

    Attributes:
        images: Number of the images.
        skipped: ``{'file': ..., 'reason': ...}`` of each that was asked for and cannot be used.
        digest: SHA-256 over the annotation files and the names and contents of the images.
    """

    images: int
    skipped: tuple[dict[str, str], ...]
    digest: str


def select_images(
    config: Config,
    folder: Path,
    limit: int | None = None,
    on_image: Callable[[str, int], None] | None = None,
    processes: Processes = ALONE,
    max_pixels: int | None = MAX_PIXELS,
) -> Selection:
    """Check the test images and narrow ``config``, in place, to the usable ones.

    An image is left out if its file is missing, lies outside the data root, is truncated, cannot
    be decoded by the pipeline's own loader, or has no readable mask of its size (segmentation).
    A metric that reads an annotation file of its own, as ``CocoMetric`` does, would count images
    left out as images without detections: it gets a copy of that file with the others only.

    Args:
        config: The config, whose default scope must be set. Its datasets get ``indices``, its
            metrics ``ann_file``.
        folder: Where shortened annotation files are written.
        limit: Take this many images, evenly spaced over the set, before checking them.
        on_image: Called with each file's name and the number to check, in this process.
        processes: Processes that share the checking; each makes this call.
        max_pixels: An image of more pixels is left out; ``None`` for any number.

    Raises:
        AnnotationError: An annotation file is missing or malformed, names classes that are not
            the dataset's, or no image is left.
        PipelineError: The pipeline has no loader, or one that does not give uint8.
    """
    leaves = leaf_datasets(config)
    datasets = [_build(leaf, folder) for leaf in leaves]
    chosen = _evenly([len(dataset) for dataset, _ in datasets], limit)
    own_total = sum(len(processes.share(indices)) for indices in chosen)
    skipped = [entry for _, missing in datasets for entry in missing]
    images, ids = 0, set()
    sets: list[tuple[str, set[Any]]] = []
    for leaf, (dataset, _), indices in zip(leaves, datasets, chosen, strict=True):
        own = {dataset.get_data_info(index).get("img_id") for index in indices}
        sets.append((str(leaf.get("ann_file")), own))
    _check_metrics(config, sets)
    digest = hashlib.sha256()
    for leaf, (dataset, _), indices in zip(leaves, datasets, chosen, strict=True):
        check = ImageCheck(leaf, dataset, _ignored_values(config), max_pixels)

        def files(index: int, dataset: Any = dataset, check: ImageCheck = check) -> ImageFiles:
            return check(dataset.get_data_info(index))

        def name(index: int, dataset: Any = dataset) -> str:
            return str(dataset.get_data_info(index)["img_path"])

        usable = usable_images(indices, name, files, on_image, own_total, processes)
        digest.update(annotation_digest(dataset))
        usable.update(digest)
        skipped += usable.skipped
        ids |= {dataset.get_data_info(index).get("img_id") for index in usable.files}
        if len(usable.files) < len(dataset):
            leaf.indices = _compose(leaf.get("indices"), list(usable.files))
        images += len(usable.files)
    if not images:
        raise none_usable(sum(map(len, chosen)), skipped)
    if images < sum(len(dataset) for dataset, _ in datasets):

        def shorten() -> None:
            for metric in metric_configs(config):
                shorten_annotations(metric, ids, folder)

        processes.first(shorten)  # the process in which the metrics compute
    return Selection(images, tuple(skipped), digest.hexdigest())


def _ignored_values(config: Config) -> set[int]:
    """Return the values of masks that count as no class in some metric."""
    return {255, *(metric.get("ignore_index", 255) for metric in metric_configs(config))}


def _build(leaf: Any, folder: Path) -> tuple[Any, list[dict[str, str]]]:
    """Build one dataset; return it and what had to be left out for it to be built."""
    where = Path(str(leaf.get("data_root") or "")) / str(leaf.get("ann_file") or "")
    kind = _class_of(leaf)
    classes = (leaf.get("metainfo") or {}).get("classes")
    if isinstance(classes, str):
        raise AnnotationError(
            f"classes={classes!r} is a string, of which each letter would be a class; give a "
            f"tuple: classes=({classes!r},)"
        )
    try:
        missing = []
        if hasattr(kind, "sub_data_root"):  # mmdet's XMLDataset, such as VOCDataset
            read = classes or (getattr(kind, "METAINFO", None) or {}).get("classes", ())
            missing = drop_bad_xml(leaf, folder, read)
        elif hasattr(kind, "COCOAPI") and where.suffix == ".json" and where.is_file():
            check_coco(where)
        dataset = DATASETS.build(leaf)
        if hasattr(dataset, "full_init"):
            dataset.full_init()
    except JpegPreprocError:
        raise
    except Exception as error:  # whatever such a dataset raises on what it does not expect
        raise AnnotationError(
            f"{where} cannot be read as {transform_name(leaf)}: {type(error).__name__}: {error}; "
            "check data_root and ann_file"
        ) from error
    if not hasattr(dataset, "get_data_info"):
        raise AnnotationError(
            f"{transform_name(leaf)} is not one of mmengine's datasets (no get_data_info), so its "
            "images cannot be checked"
        )
    check_classes(dataset)
    return dataset, missing


def _class_of(leaf: Any) -> Any:
    """Return the class of a dataset before it is built; ``None`` where it is not found.

    mmdet is not imported for it: a segmenter's user may not have it.
    """
    kind = leaf["type"]
    if isinstance(kind, str):
        with DATASETS.switch_scope_and_registry(leaf.get("_scope_")) as registry:
            kind = registry.get(kind)
    return kind


def _check_metrics(config: Config, sets: Sequence[tuple[str, set[Any]]]) -> None:
    """Check that each metric can tell the images of all test sets apart, and knows them.

    Args:
        config: The config.
        sets: Annotation file of each test set, and ids of its images that are tested.
    """
    for metric in metric_configs(config):
        if transform_name(metric) != "CocoMetric":
            continue
        seen: dict[Any, str] = {}
        for name, ids in sets:
            for number in ids:
                if number in seen:
                    raise AnnotationError(
                        f"image id {number!r} is in {seen[number]} and in {name}, which are tested "
                        "as one, and CocoMetric tells images apart by their ids; give each its "
                        "own, or evaluate one data set at a time"
                    )
                seen[number] = name
        if not metric.get("ann_file"):
            continue
        lacking = seen.keys() - check_coco(Path(metric["ann_file"]), metric)
        if lacking:
            raise AnnotationError(
                f"{metric['ann_file']}, which CocoMetric compares with, lacks {len(lacking)} of "
                f"the {len(seen)} images that are tested (id {min(lacking, key=str)!r}); evaluate "
                "one data set at a time, or join their annotations in one file"
            )


def _evenly(lengths: Sequence[int], limit: int | None) -> list[list[int]]:
    """Return the chosen indices of each dataset: all, or ``limit`` evenly spaced over them all.

    >>> _evenly([4, 2], 3)
    [[0, 2], [0]]
    """
    wanted = evenly(sum(lengths), limit)
    chosen, start = [], 0
    for length in lengths:
        chosen.append([index - start for index in wanted if start <= index < start + length])
        start += length
    return chosen


def _compose(own: Any, usable: list[int]) -> list[int]:
    """Return ``usable`` as indices of the full set, where the config takes a part already."""
    return usable if own is None or isinstance(own, int) else [own[index] for index in usable]
