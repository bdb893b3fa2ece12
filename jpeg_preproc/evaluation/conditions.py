"""The conditions under which a detector or segmenter is measured: what its images go through.

The original images; the images compressed at each QF; those restored by each restorer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from jpeg_preproc.errors import PipelineError, UnknownRestorerError
from jpeg_preproc.evaluation.stages import StageClock
from jpeg_preproc.io import sha256_file
from jpeg_preproc.jpeg import (
    LoadedImage,
    apply_orientation,
    compress_jpeg,
    decode_jpeg,
    qtables_from_qf,
    validate_qf,
)
from jpeg_preproc.jpeg.samples import read_samples
from jpeg_preproc.restorers.engine import JpegRestorer
from jpeg_preproc.restorers.weights import load_weights, weights_path

# Pixels as a file stores them, the EXIF orientation still to be applied, and the bytes of the JPEG
# that a condition has made.
_Stored = tuple[np.ndarray, int, bytes]

ORIGINAL = "original"
JPEG = "jpeg"
#: Behind the name of a restorer whose results are made consistent with their files.
FROM_FILE = "+file"


@dataclass(frozen=True)
class RestorerChoice:
    """A restorer as it was asked for.

    Attributes:
        name: A name with shipped weights, or a weights file.
        label: What the rows call it: the name, or the file's name without its ending.
        sha256: Of the weights.
        consistent: Whether results are made consistent with their files; see
            :class:`~jpeg_preproc.restorers.JpegRestorer`.
    """

    name: str
    label: str
    sha256: str
    consistent: bool = False


@dataclass(frozen=True)
class Condition:
    """One way the test images reach the model.

    Attributes:
        qf: Quality they are compressed at; ``None`` for the original images.
        restorer: What removes the artifacts; ``None`` for the JPEG images themselves.
    """

    qf: int | None = None
    restorer: RestorerChoice | None = None

    @property
    def label(self) -> str:
        """What the rows call it: ``'original'``, ``'jpeg'``, or the restorer's label."""
        if self.qf is None:
            return ORIGINAL
        return JPEG if self.restorer is None else self.restorer.label

    @property
    def title(self) -> str:
        """The label with the QF, for people."""
        return self.label if self.qf is None else f"{self.label} at QF {self.qf}"


@dataclass(frozen=True)
class JpegSettings:
    """How every condition compresses and restores.

    Attributes:
        subsampling: Of the compression; see :func:`~jpeg_preproc.jpeg.compress_jpeg`.
        device: Of the restorer, for torch.
        dtype: Of the restorer: ``'fp32'``, ``'bf16'`` or ``'fp16'``.
        where: ``'pipeline'``, or ``'preprocessor'`` for the model's data preprocessor.
    """

    subsampling: str = "4:2:0"
    device: str = "cpu"
    dtype: str = "fp32"
    where: str = "pipeline"


def choose_restorers(names: Iterable[str], consistent: bool = False) -> list[RestorerChoice]:
    """Look up restorers and load each once, so that a bad one stops the run before it starts.

    Args:
        names: Of shipped weights, or weights files.
        consistent: Take each once more, with results made consistent with their files; it is then
            labelled ``NAME+file``.

    Raises:
        UnknownRestorerError: No such restorer, or two with the same label.
        WeightsError: A damaged weights file.
    """
    choices: list[RestorerChoice] = []
    for name in dict.fromkeys(names):
        path = weights_path(name)
        load_weights(name)
        label = Path(name).stem if name.endswith(".safetensors") else name
        if label in (ORIGINAL, JPEG) or label in [choice.label for choice in choices]:
            raise UnknownRestorerError(
                f"two rows would be called {label!r}; rename the weights file {path}"
            )
        choices.append(RestorerChoice(name, label, sha256_file(path)))
        if consistent:
            again = replace(choices[-1], label=label + FROM_FILE, consistent=True)
            choices.append(again)
    return choices


def plan(qfs: Iterable[int], restorers: Sequence[RestorerChoice]) -> list[Condition]:
    """Return the conditions in the order they run: original, then each QF with its restorers.

    Raises:
        QualityError: A QF outside 1-100.

    >>> [condition.title for condition in plan([10, 20], [])]
    ['original', 'jpeg at QF 10', 'jpeg at QF 20']
    """
    conditions = [Condition()]
    for qf in dict.fromkeys(validate_qf(qf) for qf in qfs):
        conditions += [Condition(qf), *(Condition(qf, restorer) for restorer in restorers)]
    return conditions


def condition_transforms(condition: Condition, settings: JpegSettings) -> list[dict[str, Any]]:
    """Return the transforms, as OpenMMLab configs, that stand behind the loader.

    Restoring is not among them where the data preprocessor does it.
    """
    if condition.qf is None:
        return []
    steps: list[dict[str, Any]] = [
        {"type": "JpegCompress", "qf": condition.qf, "subsampling": settings.subsampling}
    ]
    if condition.restorer is not None and settings.where == "pipeline":
        steps.append(
            {
                "type": "JpegRestore",
                "restorer": condition.restorer.name,
                "qf": "auto",
                "device": settings.device,
                "dtype": settings.dtype,
                **({"consistent": True} if condition.restorer.consistent else {}),
            }
        )
    return steps


def load_restorer(condition: Condition, settings: JpegSettings) -> JpegRestorer | None:
    """Return the restorer of a condition, loaded; ``None`` if it has none.

    Raises:
        PipelineError: A device that torch does not have.
        WeightsError: A damaged weights file.
    """
    if condition.restorer is None:
        return None
    try:
        torch.empty(0, device=settings.device)
    except (RuntimeError, AssertionError) as error:
        raise PipelineError(
            f"the restorer cannot run on device {settings.device!r}: {error}; give 'cpu'"
        ) from error
    return JpegRestorer(
        condition.restorer.name,
        device=settings.device,
        dtype=settings.dtype,
        consistent=condition.restorer.consistent,
    )


def condition_image(
    image: LoadedImage,
    condition: Condition,
    settings: JpegSettings,
    restorer: JpegRestorer | None = None,
    clock: StageClock | None = None,
) -> np.ndarray:
    """Return the pixels that a condition makes of an image.

    It is compressed and restored in stored orientation, where the grid of 8x8 blocks starts at
    the corner, and then turned upright.

    Args:
        image: As :func:`~jpeg_preproc.jpeg.load_image` gives it.
        condition: What it goes through.
        settings: How it is compressed.
        restorer: Of :func:`load_restorer`; told the tables of the compression.
        clock: Times the steps.

    Returns:
        uint8, (H, W, 3) RGB or (H, W) grey, upright.
    """
    clock = clock or StageClock()
    made: Any = image
    for stage, function in condition_steps(condition, settings, restorer):
        with clock.stage(stage):
            made = function(made)
    return made


def condition_steps(
    condition: Condition, settings: JpegSettings, restorer: JpegRestorer | None = None
) -> list[tuple[str, Callable[[Any], Any]]]:
    """Return what :func:`condition_image` does, as stages and functions.

    Each takes what the one before returns; the first takes a loaded image.
    """
    qf = condition.qf
    steps: list[tuple[str, Callable[[Any], Any]]] = [
        ("decode", lambda image: (image.pixels, image.orientation, b""))
    ]
    if qf is not None:
        tables = qtables_from_qf(qf)

        def compress(image: _Stored) -> _Stored:
            data = compress_jpeg(image[0], qf, settings.subsampling)
            return decode_jpeg(data).pixels, image[1], data

        steps.append(("compress", compress))
        if restorer is not None:

            def restore(image: _Stored) -> _Stored:
                pixels, orientation, data = image
                belief = restorer.believe(pixels, given=tables[: 1 if pixels.ndim == 2 else 2])
                files = [read_samples(data)] if restorer.consistent else None
                (restored,) = restorer.restore_pixels([pixels], [belief], files=files)
                return restored.image, orientation, data

            steps.append(("restore", restore))
    return [*steps, ("model", lambda image: apply_orientation(*image[:2]))]
