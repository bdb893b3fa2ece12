"""Image files restored: what is done is skipped, what is damaged is listed, sources stay."""

from __future__ import annotations

import errno
import json
import os
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

from jpeg_preproc.datasets.carry import held
from jpeg_preproc.datasets.tree import Problem
from jpeg_preproc.errors import FileError, ImageReadError
from jpeg_preproc.files.plan import Job
from jpeg_preproc.io import remove_temporary_files, sha256_file, write_bytes_atomic
from jpeg_preproc.jpeg.encode import Encoding, encode_image, read_note
from jpeg_preproc.jpeg.exif import upright_exif
from jpeg_preproc.jpeg.metadata import read_metadata
from jpeg_preproc.jpeg.tables import QfChoice
from jpeg_preproc.restorers import JpegRestorer
from jpeg_preproc.restorers.device import is_out_of_memory
from jpeg_preproc.restorers.weights import strength_settings

#: Called with how many files are done, the parts of large ones included, and the file at hand.
OnProgress = Callable[[float, Path], None]


@dataclass(frozen=True)
class RestoredFile:
    """What became of one file.

    Attributes:
        job: File and its result.
        is_new: Whether it was restored now; otherwise it was found done.
        qf: Quality it was restored by; ``None`` when blind.
        quality_source: Where that quality is from: one of
            :data:`~jpeg_preproc.restorers.quality.QUALITY_SOURCES`.
    """

    job: Job
    is_new: bool
    qf: int | None
    quality_source: str


@dataclass
class RestoreSummary:
    """What a run did.

    Attributes:
        done: Restored files, in the order in which they came.
        skipped: Files that could not be restored, and why.
    """

    done: list[RestoredFile] = field(default_factory=list)
    skipped: list[Problem] = field(default_factory=list)

    @property
    def new(self) -> int:
        """How many files were restored."""
        return sum(outcome.is_new for outcome in self.done)

    def quality_counts(self) -> Counter[str]:
        """Return how many restored files had their quality from where."""
        return Counter(outcome.quality_source for outcome in self.done)


@dataclass(frozen=True)
class FileRestorer:
    """Restores one file after the other with the same settings.

    Attributes:
        restorer: Network with its weights.
        qf: Quality to restore by; see :meth:`~jpeg_preproc.restorers.JpegRestorer.__call__`.
        encoding: Format of the results. Colour profiles are kept: without its own, an image's
            colours would mean others.
        keep_exif: Whether to keep EXIF too, set to the upright orientation in which results are
            stored.
        overwrite: Whether to replace files that were not written by this class too.
    """

    restorer: JpegRestorer
    qf: QfChoice = "auto"
    encoding: Encoding = field(default_factory=Encoding)
    keep_exif: bool = False
    overwrite: bool = False

    def __call__(
        self, job: Job, on_tile: Callable[[int, int], None] = lambda done, total: None
    ) -> RestoredFile:
        """Restore one file, unless its result is there, from the same source and settings.

        Which these were, each result says itself, in a note beside its pixels.

        Raises:
            ImageReadError: The source cannot be read or is of a kind that is not supported, or
                another file is in the place of the result.
            FileError: The result cannot be written.
        """
        settings = self._settings(job.source)
        if _exists(job):
            known = _parse_note(read_note(job.target))
            if known is None and not self.overwrite:
                raise ImageReadError(
                    f"{job.source}: {job.target} exists and was not made by this command; remove "
                    "it, pass --overwrite, or give another output."
                )
            if known is not None and known["settings"] == settings and settings["weights_sha256"]:
                return RestoredFile(job, False, known["qf"], known["quality_from"])
        restored = self.restorer(job.source, qf=self.qf, on_tile=on_tile)
        metadata = read_metadata(job.source)
        height, width = restored.image.shape[:2]
        exif = upright_exif(metadata.exif, width, height) if self.keep_exif else b""
        outcome = RestoredFile(job, True, restored.qf, restored.source)
        note = {"settings": settings, "qf": outcome.qf, "quality_from": outcome.quality_source}
        data = encode_image(
            restored.image, self.encoding, exif, metadata.icc, json.dumps(note, sort_keys=True)
        )
        try:
            write_bytes_atomic(job.target, data)
        except OSError as error:
            if error.errno == errno.ENAMETOOLONG:
                raise _too_long(job) from error
            raise FileError(
                f"{job.target} cannot be written ({error.strerror}); see to it and run again: what "
                "is done is kept."
            ) from error
        return outcome

    def _settings(self, source: Path) -> dict[str, Any]:
        """Return all that the result depends on, as JSON values."""
        try:
            digest = sha256_file(source)
        except OSError as error:
            raise ImageReadError(
                f"{source} cannot be read ({error.strerror}); check its permissions."
            ) from error
        manifest = self.restorer.manifest
        return {
            "source_sha256": digest,
            "restorer": self.restorer.name,
            "weights_sha256": manifest.sha256 if manifest else None,
            "qf": self.qf,
            "dtype": str(self.restorer.dtype).removeprefix("torch."),
            "quality": self.encoding.quality if self.encoding.format == "jpeg" else None,
            "keep_exif": self.keep_exif,
            # Named only where it is on, so that results of earlier versions are still known.
            **({"consistent": True} if self.restorer.consistent else {}),
            **strength_settings(self.restorer.strength, manifest),
        }


@contextmanager
def output_held(jobs: Sequence[Job], out: Path) -> Iterator[None]:
    """Hold a folder of results against other runs, and clear away what killed ones have left.

    Args:
        jobs: What is going to be written.
        out: The folder; made if missing. A single output file is not held: any number of these may
            be written beside one another.

    Raises:
        DatasetError: Another run writes to the folder.
    """
    names = [os.path.relpath(job.target, out) for job in jobs if job.target != out]
    if not names:
        yield
        return
    out.mkdir(parents=True, exist_ok=True)
    with held(out):
        remove_temporary_files(names, out)
        yield


def restore_files(
    jobs: Sequence[Job],
    restore: FileRestorer,
    workers: int = 1,
    on_progress: OnProgress = lambda done, path: None,
) -> RestoreSummary:
    """Restore files, and go on behind those that cannot be.

    Args:
        jobs: What :func:`~jpeg_preproc.files.plan.plan_jobs` returned.
        restore: Settings of the restoration.
        workers: Number of files at a time, each in a thread; more than one is for a GPU, which
            would wait while files are decoded and encoded.
        on_progress: Called as things get done.

    Raises:
        FileError: A result cannot be written. What was done by then stays done, and the same call
            goes on from there.
    """
    summary = RestoreSummary()
    for job, result in _results(jobs, restore, workers, _Meter(on_progress)):
        if isinstance(result, RestoredFile):
            summary.done.append(result)
        else:
            summary.skipped.append(Problem(str(job.source), result))
    summary.skipped.sort(key=lambda problem: problem.path)
    return summary


def _results(
    jobs: Sequence[Job], restore: FileRestorer, workers: int, meter: _Meter
) -> Iterator[tuple[Job, RestoredFile | str]]:
    """Yield each job with its outcome, or with the reason why there is none."""
    function = partial(_restore_or_say_why, restore=restore, meter=meter)
    if workers == 1:
        for job in jobs:
            yield job, function(job)
        return
    waiting = iter(jobs)
    running: dict[Future[RestoredFile | str], Job] = {}
    with ThreadPoolExecutor(workers) as pool:
        while True:
            for job in islice(waiting, workers - len(running)):
                running[pool.submit(function, job)] = job
            if not running:
                return
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                yield running.pop(future), future.result()


def _restore_or_say_why(job: Job, restore: FileRestorer, meter: _Meter) -> RestoredFile | str:
    try:
        return restore(job, partial(meter.tile_done, job))
    except ImageReadError as error:
        reason = str(error)
        return reason if str(job.source) in reason else f"{job.source}: {reason}"
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        tiled = restore.restorer.network.receptive_radius is not None
        mend = (
            "try a smaller --tile"
            if tiled
            else f"{restore.restorer.name} takes whole images only: try another --restorer"
        )
        return f"{job.source}: too little memory for its size; {mend}."
    finally:
        meter.job_done(job)


class _Meter:
    """How much is done, parts of images included."""

    def __init__(self, on_progress: OnProgress) -> None:
        self._on_progress = on_progress
        self._lock = threading.Lock()
        self._done = 0
        self._parts: dict[Job, float] = {}

    def tile_done(self, job: Job, done: int, total: int) -> None:
        with self._lock:
            # The last tile is not the end: the result is still to be encoded and written.
            self._parts[job] = done / (total + 1)
            self._on_progress(self._done + sum(self._parts.values()), job.source)

    def job_done(self, job: Job) -> None:
        with self._lock:
            self._parts.pop(job, None)
            self._done += 1
            self._on_progress(self._done + sum(self._parts.values()), job.source)


def _exists(job: Job) -> bool:
    try:
        return job.target.exists()
    except OSError as error:
        if error.errno == errno.ENAMETOOLONG:
            raise _too_long(job) from error
        raise


def _too_long(job: Job) -> ImageReadError:
    return ImageReadError(
        f"{job.source}: the name of its result is too long ({job.target}); shorten it, or give an "
        "output file."
    )


def _parse_note(note: str | None) -> dict[str, Any] | None:
    """Return a result's note; None if the file has none, or one of something else."""
    try:
        value = json.loads(note or "")
    except ValueError:
        return None
    expected = {"settings", "qf", "quality_from"}
    return value if isinstance(value, dict) and expected <= value.keys() else None
