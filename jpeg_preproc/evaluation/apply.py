"""What a condition makes of an image file, step by step."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import torch

from jpeg_preproc.corruptions import Corrupted, Geometry
from jpeg_preproc.errors import PipelineError
from jpeg_preproc.evaluation.condition_store import REVISION, restoring_key
from jpeg_preproc.evaluation.conditions import Condition, RestorerChoice, RestoreSettings
from jpeg_preproc.evaluation.stages import StageClock
from jpeg_preproc.evaluation.task import SEED
from jpeg_preproc.evaluation.versions import result_versions
from jpeg_preproc.io import sha256_bytes
from jpeg_preproc.jpeg import LoadedImage, QfChoice, apply_orientation
from jpeg_preproc.jpeg.tables import octaves_of, qf_of
from jpeg_preproc.restorers.engine import JpegRestorer, Restored
from jpeg_preproc.restorers.inputs import DecodedImage
from jpeg_preproc.restorers.keeping import KeepingRestorer

# Half an octave apart, from QF 3 to 98.
_LADDER = [qf_of(octaves_of(3) - half / 2) for half in range(18)]


class ImageRestorer(Protocol):
    """What restores images; a :class:`~jpeg_preproc.restorers.JpegRestorer` does."""

    def restore(self, images: Sequence[DecodedImage], qf: QfChoice) -> Sequence[Restored]:
        """Return one result for each image, of its shape.

        Args:
            images: Images as they were decoded.
            qf: ``'auto'`` for what the image tells of its quality, ``'blind'``, or a factor.
        """


@dataclass(frozen=True, eq=False)
class ConditionImage:
    """An image as it reaches a model.

    Attributes:
        pixels: Upright pixels: uint8, (H, W, 3) RGB or (H, W) grey.
        geometry: How the condition moved it, as seen in upright images.
        num_bytes: Bytes of the file that the condition has made; ``None`` where it makes none.
    """

    pixels: np.ndarray
    geometry: Geometry
    num_bytes: int | None = None


@dataclass(frozen=True, eq=False)
class _Stored:
    """An image between two steps: pixels as its file stores them, and what is known of it."""

    pixels: np.ndarray
    name: str
    orientation: int
    corrupted: Corrupted | None = None

    def as_decoded(self) -> DecodedImage:
        """Return the image as a restorer that meets it would know it."""
        if self.corrupted is None:
            return DecodedImage(self.pixels, name=self.name)
        return as_decoded(self.corrupted, self.name)


def load_restorer(choice: RestorerChoice, settings: RestoreSettings) -> JpegRestorer:
    """Return a restorer, loaded.

    Raises:
        PipelineError: A device that torch does not have.
        WeightsError: A damaged weights file.
    """
    try:
        torch.empty(0, device=settings.device)
    except (RuntimeError, AssertionError) as error:
        raise PipelineError(
            f"the restorer cannot run on device {settings.device!r}: {error}; give 'cpu'"
        ) from error
    how: dict[str, Any] = {
        "device": settings.device,
        "dtype": settings.dtype,
        "consistent": choice.consistent,
        "strength": choice.strength,
    }
    keep = kept_folder(choice, settings)
    if keep is None:
        return JpegRestorer(choice.name, **how)
    return KeepingRestorer(keep, choice.name, **how)


def kept_folder(choice: RestorerChoice, settings: RestoreSettings) -> Path | None:
    """Return the folder of what a restorer has restored, if it is kept.

    Another restorer, other settings, and other versions have a folder of their own.
    """
    if settings.keep is None:
        return None
    key = {
        "revision": REVISION,
        "versions": result_versions(),
        **restoring_key(choice, settings),
    }
    digest = sha256_bytes(json.dumps(key, sort_keys=True).encode())[:8]
    return settings.keep / f"{re.sub(r'[^a-zA-Z0-9_.+-]', '_', choice.label)}-{digest}"


def as_decoded(corrupted: Corrupted, name: str = "") -> DecodedImage:
    """Return a corrupted image as a restorer that meets it would know it.

    Args:
        corrupted: What became of the image.
        name: What an error calls it.
    """
    if corrupted.qtables is None:  # no JPEG, so no file that a restorer could read
        return DecodedImage(corrupted.pixels, name=name)
    return DecodedImage(corrupted.pixels, corrupted.qtables, corrupted.data, name)


def restored_by(
    choice: RestorerChoice,
    restorer: ImageRestorer,
    image: DecodedImage,
    clean: npt.NDArray[np.uint8] | None = None,
) -> Restored:
    """Return an image restored by the quality that the choice lets the restorer know.

    Args:
        choice: Its :attr:`~.conditions.RestorerChoice.quality_source` is obeyed.
        restorer: What restores, such as :func:`load_restorer` returns.
        image: The image with all that is known of it.
        clean: What it should be, of its shape, for a choice of the best quality.

    Raises:
        QualityError: A restorer that needs the quality is left blind.
        PipelineError: The best quality is asked for, and there is no clean image.
    """
    if choice.quality_source != "file":
        image = replace(image, qtables=None, data=None)
    if choice.quality_source == "best":
        if clean is None:
            raise PipelineError(
                f"{choice.label}: which quality is best is known only beside the clean image; "
                "it is for jpeg-preproc eval-restoration"
            )
        return _by_the_best_quality(restorer, image, clean)
    (result,) = restorer.restore([image], "blind" if choice.quality_source == "blind" else "auto")
    return result


def _by_the_best_quality(
    restorer: ImageRestorer, image: DecodedImage, clean: npt.NDArray[np.uint8]
) -> Restored:
    """Return an image restored by the one quality, on the grid of its corner, that does best.

    The error has one minimum over the quality, so that the search goes downhill from what the
    pixels show.
    """

    @cache
    def tried(rung: int) -> tuple[float, Restored]:
        (result,) = restorer.restore([image], _LADDER[rung])
        return float(np.square(result.image.astype(np.float32) - clean).mean()), result

    (start,) = restorer.restore([image], "auto")
    best = int(np.abs(np.array(_LADDER) - (start.qf or 50)).argmin())
    while True:
        near = range(max(best - 1, 0), min(best + 2, len(_LADDER)))
        lowest = min(near, key=lambda rung: tried(rung)[0])
        if lowest == best:
            return tried(best)[1]
        best = lowest


def condition_image(
    image: LoadedImage,
    condition: Condition,
    restorer: ImageRestorer | None = None,
    clock: StageClock | None = None,
) -> ConditionImage:
    """Return what a condition makes of an image.

    It is corrupted and restored in stored orientation, where the grid of 8x8 blocks starts at
    the corner, and then turned upright. The restorer is told what a user's would know of such an
    image: the tables of the last file where there is one, else nothing; less, where the
    condition's choice of restorer says so.

    Args:
        image: The image as :func:`~jpeg_preproc.jpeg.load_image` gives it.
        condition: What it goes through.
        restorer: What :func:`load_restorer` gave for it, if it has one.
        clock: Clock that times the steps.
    """
    clock = clock or StageClock()
    made: Any = image
    for stage, function in condition_steps(condition, restorer):
        with clock.stage(stage):
            made = function(made)
    return made


def condition_steps(
    condition: Condition, restorer: ImageRestorer | None = None
) -> list[tuple[str, Callable[[Any], Any]]]:
    """Return what :func:`condition_image` does, as stages and functions.

    Each takes what the one before returns; the first takes a loaded image.
    """
    corruption = condition.corruption
    steps: list[tuple[str, Callable[[Any], Any]]] = [
        (
            "decode",
            lambda image: _Stored(
                image.pixels, image.path.name if image.path else "", image.orientation
            ),
        )
    ]
    if corruption is not None:

        def corrupt(image: _Stored) -> _Stored:
            made = corruption.apply(image.pixels, image.name, SEED)
            return replace(image, pixels=made.pixels, corrupted=made)

        steps.append(("compress", corrupt))
        choice = condition.restorer
        if choice is not None and restorer is not None:

            def restore(image: _Stored) -> _Stored:
                return replace(
                    image, pixels=restored_by(choice, restorer, image.as_decoded()).image
                )

            steps.append(("restore", restore))
    return [*steps, ("model", _upright)]


def _upright(image: _Stored) -> ConditionImage:
    pixels = apply_orientation(image.pixels, image.orientation)
    if image.corrupted is None:
        height, width = pixels.shape[:2]
        return ConditionImage(pixels, Geometry.unchanged((height, width)))
    return ConditionImage(
        pixels, image.corrupted.geometry.oriented(image.orientation), image.corrupted.num_bytes
    )
