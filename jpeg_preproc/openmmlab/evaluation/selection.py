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

from jpeg_preproc.distributed import ALONE, Processes
from jpeg_preproc.errors import AnnotationError, JpegPreprocError
from jpeg_preproc.evaluation.testset import ImageFiles, evenly, none_usable, usable_images
from jpeg_preproc.openmmlab.config import leaf_datasets, metric_configs
from jpeg_preproc.openmmlab.evaluation.annotations import (
    annotation_digest,
    check_classes,
    drop_bad_xml,
    shorten_annotations,
)
from jpeg_preproc.openmmlab.evaluation.images import ImageCheck
from jpeg_preproc.openmmlab.place import transform_name

# What the datasets of mmdet and mmseg raise on a missing or malformed annotation file.
_ANNOTATION_ERRORS = (OSError, AssertionError, ValueError, LookupError, TypeError)


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
    digest = hashlib.sha256()
    for leaf, (dataset, _), indices in zip(leaves, datasets, chosen, strict=True):
        check = ImageCheck(leaf)

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


def _build(leaf: Any, folder: Path) -> tuple[Any, list[dict[str, str]]]:
    """Build one dataset; return it and what had to be left out for it to be built."""
    where = Path(str(leaf.get("data_root") or "")) / str(leaf.get("ann_file") or "")
    try:
        missing = drop_bad_xml(leaf, folder) if _is_xml_dataset(leaf) else []
        dataset = DATASETS.build(leaf)
        if hasattr(dataset, "full_init"):
            dataset.full_init()
    except _ANNOTATION_ERRORS as error:
        if isinstance(error, JpegPreprocError):
            raise
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


def _is_xml_dataset(leaf: Any) -> bool:
    """Tell whether a dataset is mmdet's ``XMLDataset``, such as ``VOCDataset``, before it is built.

    mmdet is not imported for it: a segmenter's user may not have it.
    """
    kind = leaf["type"]
    if isinstance(kind, str):
        with DATASETS.switch_scope_and_registry(leaf.get("_scope_")) as registry:
            kind = registry.get(kind)
    return hasattr(kind, "sub_data_root")


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
