"""Corrupt clean images, restore them, and measure both against the originals.

Images are corrupted in memory. Every value is stored as soon as it is known, under a key of all
that decides it, so that a run that was stopped goes on where it was and a second run with one
more restorer computes that restorer only.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import numpy as np

from jpeg_preproc.corruptions import Corrupted, Corruption, Original, parse_corruption
from jpeg_preproc.defaults import MAX_PIXELS
from jpeg_preproc.errors import CorruptionError, ImageReadError, JpegPreprocError
from jpeg_preproc.evaluation.apply import ImageRestorer, as_decoded, load_restorer, restored_by
from jpeg_preproc.evaluation.conditions import (
    REFERENCES,
    Condition,
    RestorerChoice,
    RestoreSettings,
)
from jpeg_preproc.evaluation.folders import dataset_folders, find_images
from jpeg_preproc.evaluation.metrics import measure
from jpeg_preproc.evaluation.protocols import (
    EvaluationProtocol,
    Pixels,
    decode_for,
    get_protocol,
    prepare_reference,
)
from jpeg_preproc.evaluation.rows import RestorationRow, restoration_row
from jpeg_preproc.evaluation.store import ImageFile, ImageScores, ScoreStore
from jpeg_preproc.evaluation.task import SEED
from jpeg_preproc.io import sha256_file
from jpeg_preproc.jpeg import load_image

# Whether a decoder takes a corruption's file does not depend on what the image shows.
_PROBE = np.full((256, 256, 3), 128, np.uint8)


@dataclass(frozen=True)
class RestorationRun:
    """What a run found.

    Attributes:
        rows: One for each data set and condition, by kind of corruption as they appear and by
            strength; for each corruption its reference first. Measures are means over images.
        skipped: Images left out, with the reason. An image that fails under one condition is left
            out of all, so that the rows of a data set average the same images.
        outdated: A line for each reason why stored values hold no longer and were measured again.
    """

    rows: list[RestorationRow] = field(default_factory=list)
    skipped: list[tuple[Path, str]] = field(default_factory=list)
    outdated: list[str] = field(default_factory=list)


def evaluate_restoration(
    folders: Sequence[str | os.PathLike[str]],
    corruptions: Sequence[Corruption | str],
    restorers: Sequence[RestorerChoice] = (),
    protocol: str | EvaluationProtocol = "fbcnn",
    *,
    settings: RestoreSettings = RestoreSettings(),  # noqa: B008 (frozen)
    load: Callable[[RestorerChoice, RestoreSettings], ImageRestorer] = load_restorer,
    store: str | os.PathLike[str] | None = None,
    limit: int | None = None,
    max_pixels: int | None = MAX_PIXELS,
    on_step: Callable[[int, int, str], None] | None = None,
) -> RestorationRun:
    """Measure each corruption itself, and what every restorer makes of it, on every image.

    A history that changes size or origin is compared with the clean image changed in the same
    way. PSNR-B looks for block edges on the grid that begins at the corner of what is measured,
    wherever the grid of an earlier JPEG has come to lie.

    Args:
        folders: One data set each, named by the folder; images directly in it are used.
        corruptions: What happens to the images, also as text such as ``'jpeg:10'``.
        restorers: What to compare with the corrupted images; none measures these alone.
        protocol: A name in ``PROTOCOLS`` or a protocol.
        settings: How restorers run.
        load: Function that returns, ready to restore, what a choice stands for. Where it is not
            the usual one, ``sha256`` of a choice has to stand for all that decides its results,
            or stored values of another restorer are taken for them.
        store: File of one JSON line per value, read at the start and appended to; ``None``
            stores nothing.
        limit: Number of images to take of each folder, the first by name; ``None`` for all.
        max_pixels: Images of more pixels are skipped; ``None`` for none.
        on_step: Called with (values known, values wanted, image) after each value.

    Raises:
        ImageReadError: A folder that is missing or holds no image.
        CorruptionError: A corruption that does not exist or cannot be made here, or one that the
            protocol's decoder cannot take.
        JpegPreprocError: An unknown protocol, or two restorers of one name.

    Example:
        >>> run = evaluate_restoration(["LIVE1"], ["jpeg:10", "webp:30"])  # doctest: +SKIP
        >>> [(row.corruption, round(row.psnr, 1)) for row in run.rows]  # doctest: +SKIP
        [('jpeg:10', 25.7), ('webp:30', 29.5)]
    """
    rules = get_protocol(protocol)
    conditions = [
        Condition(corruption, restorer)
        for corruption in _usable(corruptions, rules)
        for restorer in (None, *_of_different_names(restorers))
    ]
    if limit is not None and limit < 1:
        raise JpegPreprocError(f"The limit on images is {limit}; give at least 1.")
    datasets = {
        name: find_images(folder)[:limit] for name, folder in dataset_folders(folders).items()
    }
    stored = ScoreStore(store, rules, settings)

    @functools.cache
    def loaded(choice: RestorerChoice) -> ImageRestorer:
        return load(choice, settings)

    total = sum(map(len, datasets.values())) * len(conditions)
    run = RestorationRun()
    done = 0
    for dataset, paths in datasets.items():
        measured: list[list[ImageScores]] = []
        for path in paths:
            scores = []
            try:
                image = _Image(path, rules, loaded, max_pixels)
                for count, condition in enumerate(conditions, start=1):
                    found = stored.find(image.file, condition)
                    if found is None:
                        found = image.measure(condition)
                        stored.add(image.file, condition, found, dataset)
                    scores.append(found)
                    if on_step:
                        on_step(done + count, total, path.name)
                measured.append(scores)
            except (ImageReadError, CorruptionError) as error:
                run.skipped.append((path, str(error)))
            done += len(conditions)
        if measured:
            corrupted: tuple[ImageScores, ...] = ()
            for condition, column in zip(conditions, zip(*measured, strict=True), strict=True):
                if condition.restorer is None:
                    corrupted = column
                run.rows.append(restoration_row(dataset, rules.name, condition, column, corrupted))
    run.outdated.extend(stored.outdated)
    return run


def _usable(
    corruptions: Sequence[Corruption | str], protocol: EvaluationProtocol
) -> list[Corruption]:
    """Return the corruptions in the order of the rows, or refuse those that cannot be measured."""
    given = list(dict.fromkeys(map(parse_corruption, corruptions)))
    if not given:
        raise CorruptionError("No corruption was given; give at least one, such as 'jpeg:10'.")
    for corruption in given:
        corruption.key()  # refuses what needs a package that is missing
    refused = [one.spelling for one in given if not _can_decode(protocol, one)]
    if refused:
        raise CorruptionError(
            f"Protocol {protocol.name!r} has a JPEG decoder of its own, which cannot take what "
            f"these leave: {', '.join(refused)}. Leave them out, end them with a JPEG at 4:4:4 or "
            "4:2:0, or take the protocol 'fbcnn'."
        )
    kinds = list(dict.fromkeys(one.kind for one in given))
    return sorted(given, key=lambda one: (kinds.index(one.kind), one.strength))


def _of_different_names(restorers: Sequence[RestorerChoice]) -> Sequence[RestorerChoice]:
    """Return the restorers, or refuse two rows of one name."""
    labels = [restorer.label for restorer in restorers]
    taken = [label for label in labels if labels.count(label) > 1 or label in REFERENCES]
    if taken:
        raise JpegPreprocError(
            f"Restorer name {taken[0]!r} is taken; give each restorer a name of its own, and "
            f"none of {', '.join(map(repr, REFERENCES))}."
        )
    return restorers


def _can_decode(protocol: EvaluationProtocol, corruption: Corruption) -> bool:
    """Return whether the protocol's decoder takes what a corruption leaves."""
    if protocol.decoder == "fancy":
        return True
    try:
        _decoded(corruption.apply(_PROBE), protocol)
    except ImageReadError:
        return False
    return True


def _decoded(corrupted: Corrupted, protocol: EvaluationProtocol) -> Corrupted:
    """Return a corrupted image with the pixels that the protocol's decoder makes of its file.

    Raises:
        ImageReadError: The decoder is not the usual one, and there is no JPEG that it takes.
    """
    if protocol.decoder == "fancy":  # Pillow's, which all corruptions use
        return corrupted
    if corrupted.qtables is None or corrupted.data is None:
        raise ImageReadError(f"protocol {protocol.name!r} needs a JPEG file to decode")
    return replace(corrupted, pixels=decode_for(corrupted.data, protocol))


class _Image:
    """One clean image; it is read, and corrupted, only where a value is not stored yet."""

    def __init__(
        self,
        path: Path,
        protocol: EvaluationProtocol,
        loaded: Callable[[RestorerChoice], ImageRestorer],
        max_pixels: int | None,
    ) -> None:
        self._path = path
        self._protocol = protocol
        self._loaded = loaded
        self._max_pixels = max_pixels
        self._clean: Pixels | None = None
        self._last: tuple[Corruption, Corrupted, Pixels] | None = None
        try:
            self.file = ImageFile(path.name, sha256_file(path))
        except OSError as error:
            raise ImageReadError(f"{path} cannot be read: {error.strerror}.") from error

    def measure(self, condition: Condition) -> ImageScores:
        """Return the measures of the corrupted image, or of the restored one.

        Raises:
            ImageReadError: An image that cannot be read, or not be measured.
            CorruptionError: An image that the corruption cannot take.
        """
        try:
            corrupted, reference = self._corrupted(condition.corruption or Original())
            tested, told = corrupted.pixels, None
            if condition.restorer is not None:
                restorer = self._loaded(condition.restorer)
                restored = restored_by(
                    condition.restorer, restorer, as_decoded(corrupted), reference
                )
                tested, told = restored.image, restored.qf
            scores = measure(reference, tested, self._protocol)
        except (ImageReadError, CorruptionError) as error:
            raise type(error)(f"{self._path}, {condition.title}: {error}") from error
        height, width = corrupted.geometry.original
        return ImageScores(
            **asdict(scores),
            num_bytes=corrupted.num_bytes,
            num_pixels=height * width,
            told_qf=told,
        )

    def _corrupted(self, corruption: Corruption) -> tuple[Corrupted, Pixels]:
        """Return the corrupted image and what it is compared with; the last ones are kept."""
        if self._last is None or self._last[0] != corruption:
            if self._clean is None:
                self._clean = prepare_reference(
                    load_image(self._path, max_pixels=self._max_pixels).pixels, self._protocol
                )
            name = self.file.name
            corrupted = _decoded(corruption.apply(self._clean, name, SEED), self._protocol)
            reference = corruption.reference(self._clean, name, SEED)
            self._last = (corruption, corrupted, reference)
        return self._last[1:]
