"""A dataset written anew, image by image, with everything else copied: resumable and atomic.

What is done to an image is each variant's ``encode``, so that compressing and restoring a dataset
share this: see :mod:`~jpeg_preproc.datasets.compress` and :mod:`~jpeg_preproc.datasets.restore`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from jpeg_preproc.datasets.carry import locked, make_folders
from jpeg_preproc.datasets.image import Variant
from jpeg_preproc.datasets.manifest import TreeManifest, is_reserved
from jpeg_preproc.datasets.names import target_names
from jpeg_preproc.datasets.scan import DatasetTree
from jpeg_preproc.datasets.share import Execution, Share, Work, writing
from jpeg_preproc.datasets.tree import Problem
from jpeg_preproc.distributed import Processes
from jpeg_preproc.errors import DatasetError
from jpeg_preproc.io import remove_temporary_files


@dataclass
class RewriteSummary:
    """What a run did.

    Attributes:
        new: How many images were written, counted once for each variant.
        kept: How many images an earlier run had written, counted once for each variant.
        carried: How many other files were copied or found copied, counted once.
        left_out: How many files are images of other splits.
        skipped: What could not be taken over, and why.
        interrupted: Whether the run was stopped before its end; no ``manifest.json`` was written
            then.
        manifests: One for each variant, finished unless interrupted; in the first process alone.
    """

    new: int = 0
    kept: int = 0
    carried: int = 0
    left_out: int = 0
    skipped: list[Problem] = field(default_factory=list)
    interrupted: bool = False
    manifests: list[TreeManifest] = field(default_factory=list)


def rewrite_dataset(
    tree: DatasetTree,
    variants: Sequence[Variant],
    execution: Execution,
    suffix: str | None = None,
    chunk: int = 1,
) -> RewriteSummary:
    """Write each variant of a dataset.

    Args:
        tree: Source of the results.
        variants: Trees to write; their folders share a parent, which is locked while this runs.
        execution: How the work is done.
        suffix: What images' names end in in the results; None keeps their names.
        chunk: How many images a worker is handed at once, where there are enough for all workers.

    Raises:
        DatasetError: Two results have one folder, a result lies inside the source or the source
            inside a result, a folder was made otherwise or is being written by another run, two
            images would have one name, or a write fails. What was done by then stays done, and the
            same call goes on from there.
        LauncherError: A process that shares the work has ended.
    """
    processes, out = execution.processes, variants[0].folder.parent
    summary = RewriteSummary(left_out=tree.left_out, skipped=list(tree.problems))
    with ExitStack() as stack:
        targets = target_names(tree, suffix)
        opened: list[TreeManifest] = []
        processes.first(lambda: opened.extend(_prepare(tree, variants, targets, processes, stack)))

        def share() -> Share:
            if not processes.is_first:
                stack.enter_context(locked(out, shared=True))
                opened.extend(_open_manifests(variants, processes.rank, stack))
            work = Work(tree, variants, opened, execution, suffix, chunk)
            return work.do(targets)

        for done in processes.each(share):
            _merge(done, summary, opened if processes.is_first else [])
        summary.skipped.sort(key=lambda problem: (problem.path, problem.reason))
        if processes.is_first:
            summary.manifests = opened
            if not summary.interrupted:
                with writing(out):
                    for variant, manifest in zip(variants, opened, strict=True):
                        # Workers that died have left what they were writing.
                        _remove_leftovers(tree, variant, targets)
                        manifest.finish(summary.skipped)
    return summary


def _prepare(
    tree: DatasetTree,
    variants: Sequence[Variant],
    targets: Mapping[str, str],
    processes: Processes,
    stack: ExitStack,
) -> list[TreeManifest]:
    """Lock the results' parent, open the manifests, and make the folders."""
    out = variants[0].folder.parent
    _refuse_overlap(tree.root, out, variants)
    with writing(out):
        admit_others = stack.enter_context(locked(out))
        manifests = _open_manifests(variants, 0, stack)
        for variant, manifest in zip(variants, manifests, strict=True):
            make_folders(tree, variant.folder)
            if manifest.resumed:
                _remove_leftovers(tree, variant, targets)
        if processes.size > 1:
            admit_others()
    return manifests


def _remove_leftovers(tree: DatasetTree, variant: Variant, targets: Mapping[str, str]) -> None:
    remove_temporary_files([*targets.values(), *tree.carried], variant.folder, is_reserved)


def _open_manifests(variants: Sequence[Variant], rank: int, stack: ExitStack) -> list[TreeManifest]:
    with writing(variants[0].folder.parent):
        return [
            stack.enter_context(TreeManifest(variant.folder, variant.settings, rank))
            for variant in variants
        ]


def _refuse_overlap(root: Path, parent: Path, variants: Sequence[Variant]) -> None:
    out = parent.resolve()
    if out.is_relative_to(root):
        raise DatasetError(
            f"The output {out} lies in the dataset {root}; give a folder outside it."
        )
    folders = [variant.folder for variant in variants]
    for folder in folders:
        if folders.count(folder) > 1:
            raise DatasetError(f"Two results would be written to {folder}; leave one of them out.")
    for variant in variants:
        if root.is_relative_to(variant.folder.resolve()):
            raise DatasetError(
                f"The dataset {root} lies in {variant.folder}, which would be written; give "
                "another output folder."
            )


def _merge(share: Share, summary: RewriteSummary, manifests: Sequence[TreeManifest]) -> None:
    summary.new += share.new
    summary.kept += share.kept
    summary.carried += share.carried
    summary.skipped += share.skipped
    summary.interrupted |= share.interrupted
    for manifest, lines in zip(manifests, share.lines, strict=False):
        manifest.adopt(lines)
        for path in share.forgotten:
            manifest.forget(path)
