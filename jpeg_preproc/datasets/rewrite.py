"""A dataset written anew, image by image, with everything else copied: resumable and atomic.

What is done to an image is a function from outside, so that compressing and restoring a dataset
share this: :mod:`~jpeg_preproc.datasets.compress` gives one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from jpeg_preproc.datasets.carry import (
    CarryTask,
    carry_file,
    locked,
    make_folders,
    remove_temporary_files,
)
from jpeg_preproc.datasets.image import ImageTask, Variant, Written
from jpeg_preproc.datasets.manifest import Manifest
from jpeg_preproc.datasets.pool import Outcome, WorkerCrashError, rewrite_images
from jpeg_preproc.datasets.scan import DatasetTree
from jpeg_preproc.datasets.tree import Problem
from jpeg_preproc.errors import DatasetError, JpegPreprocError


@dataclass
class RewriteSummary:
    """What a run did.

    Attributes:
        new: images written, counted once for each variant.
        kept: images found done by an earlier run, likewise.
        carried: files copied or found copied, counted once.
        left_out: images of other splits.
        skipped: what could not be taken over, and why.
        interrupted: the run was stopped before its end; no ``manifest.json`` was written.
        manifests: one for each variant, finished unless interrupted.
    """

    new: int = 0
    kept: int = 0
    carried: int = 0
    left_out: int = 0
    skipped: list[Problem] = field(default_factory=list)
    interrupted: bool = False
    manifests: list[Manifest] = field(default_factory=list)


#: Called with the phase (``'annotations'`` or ``'images'``), how many are done, and of how many.
OnProgress = Callable[[str, int, int], None]


def rewrite_dataset(
    tree: DatasetTree,
    variants: Sequence[Variant],
    function: Callable[[ImageTask], list[Written]],
    workers: int,
    stop: Callable[[], bool] = lambda: False,
    on_progress: OnProgress = lambda phase, done, total: None,
) -> RewriteSummary:
    """Write each variant of a dataset.

    Args:
        tree: the source.
        variants: the results; their folders share a parent, which is locked while this runs.
        function: importable by name; see :func:`~jpeg_preproc.datasets.image.rewrite_image`.
        workers: processes; see :func:`~jpeg_preproc.datasets.pool.rewrite_images`.
        stop: once true, no more is begun.
        on_progress: called as things get done.

    Raises:
        DatasetError: a result inside the source or the source inside a result, a folder that was
            made otherwise or is being written by another process, or a write that fails. What was
            done by then stays done, and the same call goes on from there.
    """
    parent = variants[0].folder.parent
    _refuse_overlap(tree.root, parent, variants)
    summary = RewriteSummary(left_out=tree.left_out, skipped=list(tree.problems))
    try:
        with ExitStack() as stack:
            stack.enter_context(locked(parent))
            manifests = [
                stack.enter_context(Manifest(variant.folder, variant.settings))
                for variant in variants
            ]
            for variant, manifest in zip(variants, manifests, strict=True):
                make_folders(tree, variant.folder)
                if manifest.resumed:
                    remove_temporary_files(tree, variant.folder)
            _carry(tree, variants, workers, stop, on_progress, summary)
            _rewrite(tree, variants, manifests, function, workers, stop, on_progress, summary)
            summary.skipped.sort(key=lambda problem: (problem.path, problem.reason))
            summary.interrupted = stop()
            summary.manifests = manifests
            if not summary.interrupted:
                for manifest in manifests:
                    manifest.finish(summary.skipped)
    except OSError as error:
        raise DatasetError(
            f"{error.filename or parent} cannot be written ({error.strerror}); see to it and run "
            "again: what is done is kept."
        ) from error
    return summary


def _refuse_overlap(root: Path, parent: Path, variants: Sequence[Variant]) -> None:
    out = parent.resolve()
    if out.is_relative_to(root):
        raise DatasetError(
            f"The output {out} lies in the dataset {root}; give a folder outside it."
        )
    for variant in variants:
        if root.is_relative_to(variant.folder.resolve()):
            raise DatasetError(
                f"The dataset {root} lies in {variant.folder}, which would be written; give "
                "another output folder."
            )


def _carry(
    tree: DatasetTree,
    variants: Sequence[Variant],
    workers: int,
    stop: Callable[[], bool],
    on_progress: OnProgress,
    summary: RewriteSummary,
) -> None:
    """Copy what is no image into every variant."""
    folders = tuple(variant.folder for variant in variants)
    tasks = (CarryTask(tree.root / name, name, folders) for name in tree.carried)
    total = len(tree.carried)
    with closing(rewrite_images(tasks, carry_file, workers if total else 0, stop)) as outcomes:
        for done, outcome in enumerate(outcomes, start=1):
            if outcome.error is None:
                summary.carried += 1
            else:
                summary.skipped.append(_problem(outcome, outcome.task.name))
            on_progress("annotations", done, total)


def _rewrite(
    tree: DatasetTree,
    variants: Sequence[Variant],
    manifests: Sequence[Manifest],
    function: Callable[[ImageTask], list[Written]],
    workers: int,
    stop: Callable[[], bool],
    on_progress: OnProgress,
    summary: RewriteSummary,
) -> None:
    """Write every image into every variant, and its entry into every manifest."""
    total = len(tree.images)
    tasks = _image_tasks(tree, variants, manifests)
    with closing(rewrite_images(tasks, function, workers, stop)) as outcomes:
        for done, outcome in enumerate(outcomes, start=1):
            if outcome.result is None:
                summary.skipped.append(_problem(outcome, outcome.task.name))
                for manifest in manifests:
                    manifest.forget(outcome.task.name)
            else:
                _record(outcome.result, manifests, summary)
            on_progress("images", done, total)


def _record(
    results: Sequence[Written], manifests: Sequence[Manifest], summary: RewriteSummary
) -> None:
    for manifest, written in zip(manifests, results, strict=True):
        if written.is_new:
            manifest.record(written.entry)
            summary.new += 1
        else:
            summary.kept += 1


def _image_tasks(
    tree: DatasetTree, variants: Sequence[Variant], manifests: Sequence[Manifest]
) -> Iterator[ImageTask]:
    for name in tree.images:
        known = tuple(manifest.known(name) for manifest in manifests)
        yield ImageTask(tree.root / name, name, tuple(variants), known)


def _problem(outcome: Outcome[Any, Any], name: str) -> Problem:
    """Return why a task was skipped; raise what would fail for every other task too."""
    error = outcome.error
    if isinstance(error, DatasetError):
        raise error
    source = outcome.task.source
    if isinstance(error, WorkerCrashError):
        reason = (
            f"{source}: the worker process died on it, of too little memory or of a decoder's "
            "crash; try fewer --workers, or save the image anew."
        )
    elif isinstance(error, JpegPreprocError):
        reason = str(error)
    else:
        reason = f"{source}: unexpected {type(error).__name__}: {error}; please report it."
    return Problem(name, reason)
