"""What a condition makes of an image file, step by step."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
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
from jpeg_preproc.restorers.engine import JpegRestorer, Restored
from jpeg_preproc.restorers.inputs import DecodedImage
from jpeg_preproc.restorers.keeping import KeepingRestorer


class ImageRestorer(Protocol):
    """What restores images; a :class:`~jpeg_preproc.restorers.JpegRestorer` does."""

    def restore(self, images: Sequence[DecodedImage], qf: QfChoice) -> Sequence[Restored]:
        """Return one result for each image, of its shape.

        Args:
            images: Images as they were decoded.
            qf: ``'auto'`` for what the image tells of its quality, or ``'blind'``.
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
    choice: RestorerChoice, restorer: ImageRestorer, image: DecodedImage
) -> npt.NDArray[np.uint8]:
    """Return an image restored by the quality that the choice lets the restorer know.

    Args:
        choice: Its :attr:`~.conditions.RestorerChoice.quality_source` is obeyed.
        restorer: What restores, such as :func:`load_restorer` returns.
        image: The image with all that is known of it.

    Returns:
        uint8 pixels of the image's shape, in stored orientation.

    Raises:
        QualityError: A restorer that needs the quality is left blind.
    """
    if choice.quality_source != "file":
        image = replace(image, qtables=None, data=None)
    (result,) = restorer.restore([image], "blind" if choice.quality_source == "blind" else "auto")
    return result.image


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
                return replace(image, pixels=restored_by(choice, restorer, image.as_decoded()))

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
