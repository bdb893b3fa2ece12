"""One process's share of a dataset that is written anew."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from jpeg_preproc.datasets.carry import CarryTask, carry_file
from jpeg_preproc.datasets.image import ImageTask, ImageWriter, Variant, Written
from jpeg_preproc.datasets.manifest import TreeManifest
from jpeg_preproc.datasets.pool import TaskOutcome, WorkerCrashError, rewrite_images
from jpeg_preproc.datasets.scan import DatasetTree
from jpeg_preproc.datasets.tree import Problem
from jpeg_preproc.defaults import MAX_PIXELS
from jpeg_preproc.distributed import ALONE, Processes
from jpeg_preproc.errors import DatasetError, DeviceError, JpegPreprocError, WeightsError

# Fewer files than this are copied before workers for it would have begun.
_FEW_FILES = 64

# What would fail for every other image too.
_FATAL = (DatasetError, DeviceError, WeightsError)


@dataclass(frozen=True)
class Execution:
    """How a dataset is written; none of it changes what is written.

    Attributes:
        workers: Number of processes beside this one; 0 works in this one. See
            :func:`~jpeg_preproc.datasets.pool.rewrite_images`. On Ray the most at a time, where 0
            stands for as many as there is room for.
        stop: Asked between tasks; once it returns true, no more is begun.
        on_progress: Called as things get done, with the phase (``'other files'`` or ``'images'``),
            how many are done, and how many there are.
        processes: Processes that share the work; every one of them makes the same call.
        executor: Who writes the images: ``'ray'`` for the workers of a Ray cluster, see
            :func:`~jpeg_preproc.datasets.cluster.rewrite_on_cluster`; ``'processes'`` for this
            machine's.
        gpus: How many of the cluster's GPUs each of its workers has.
        max_pixels: Images of more pixels are skipped; ``None`` for none.
    """

    workers: int = 0
    stop: Callable[[], bool] = lambda: False
    on_progress: Callable[[str, int, int], None] = lambda phase, done, total: None
    processes: Processes = ALONE
    executor: Literal["processes", "ray"] = "processes"
    gpus: float = 0
    max_pixels: int | None = MAX_PIXELS


@dataclass
class Share:
    """What one process did of a run.

    Attributes:
        lines: For each variant the manifest's lines of the images it wrote, by path; of the first
            process, whose manifests the others' lines are added to, none.
        forgotten: What the manifests call the images that it could not read.
    """

    lines: list[dict[str, str]]
    new: int = 0
    kept: int = 0
    carried: int = 0
    interrupted: bool = False
    skipped: list[Problem] = field(default_factory=list)
    forgotten: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Work:
    """One process's share of a run; see :func:`~jpeg_preproc.datasets.rewrite.rewrite_dataset`."""

    tree: DatasetTree
    variants: Sequence[Variant]
    manifests: Sequence[TreeManifest]
    execution: Execution
    suffix: str | None
    chunk: int

    def do(self, targets: Mapping[str, str]) -> Share:
        """Copy and write what is this process's."""
        share = Share(lines=[{} for _ in self.variants])
        with writing(self.variants[0].folder.parent):
            self._carry(share)
            self._rewrite(targets, share)
        share.interrupted = self.execution.stop()
        return share

    def _carry(self, share: Share) -> None:
        """Copy what is no image into every variant."""
        names = self.execution.processes.share(self.tree.carried)
        folders = tuple(variant.folder for variant in self.variants)
        tasks = (CarryTask(self.tree.root / name, name, folders, self.suffix) for name in names)
        with closing(self._run("other files", tasks, carry_file, len(names), 1)) as outcomes:
            for outcome in outcomes:
                if outcome.error is None:
                    share.carried += 1
                else:
                    share.skipped.append(_problem(outcome, outcome.task.name))

    def _rewrite(self, targets: Mapping[str, str], share: Share) -> None:
        """Write every image into every variant, and its entry into every manifest."""
        names = self.execution.processes.share(self.tree.images)
        tasks = (self._image_task(name, targets[name]) for name in names)
        write = ImageWriter(tuple(self.variants), self.execution.max_pixels)
        run = self._run("images", tasks, write, len(names), self.chunk)
        with closing(run) as outcomes:
            for outcome in outcomes:
                if outcome.result is None:
                    share.skipped.append(_problem(outcome, outcome.task.name))
                    share.forgotten.append(outcome.task.target)
                else:
                    self._record(outcome.task.target, outcome.result, share)

    def _record(self, target: str, results: Sequence[Written], share: Share) -> None:
        for manifest, lines, written in zip(self.manifests, share.lines, results, strict=True):
            if written.is_new:
                manifest.record(target, written.line)
                if not self.execution.processes.is_first:
                    lines[target] = written.line
                share.new += 1
            else:
                share.kept += 1

    def _image_task(self, name: str, target: str) -> ImageTask:
        known = tuple(manifest.known(target) for manifest in self.manifests)
        return ImageTask(f"{self.tree.root}/{name}", name, target, known)

    def _run(
        self,
        phase: str,
        tasks: Iterator[Any],
        function: Callable[[Any], Any],
        total: int,
        chunk: int,
    ) -> Generator[TaskOutcome[Any, Any], None, None]:
        how = self.execution
        workers = how.workers
        if total == 0 or (phase == "other files" and total < _FEW_FILES):
            workers = 0
        # A few images that take long must not all go to one worker.
        chunk = max(1, min(chunk, total // (4 * workers or 1)))
        if how.executor == "ray" and phase == "images":
            from jpeg_preproc.datasets.cluster import rewrite_on_cluster

            run = rewrite_on_cluster(
                tasks, function, how.stop, chunk, how.workers or None, how.gpus
            )
        else:
            run = rewrite_images(tasks, function, workers, how.stop, chunk)
        with closing(run) as outcomes:
            for done, outcome in enumerate(outcomes, start=1):
                yield outcome
                how.on_progress(phase, done, total)


@contextmanager
def writing(out: Path) -> Iterator[None]:
    """Turn what the file system refuses into a :class:`DatasetError` that names the file."""
    try:
        yield
    except OSError as error:
        raise DatasetError(
            f"{error.filename or out} cannot be written ({error.strerror}); see to it and run "
            "again: what is done is kept."
        ) from error


def _problem(outcome: TaskOutcome[Any, Any], name: str) -> Problem:
    """Return why a task was skipped; raise what would fail for every other task too."""
    error = outcome.error
    if isinstance(error, _FATAL):
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
