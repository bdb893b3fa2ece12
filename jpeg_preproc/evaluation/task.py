"""What is measured: a model with its test set, and what comes of measuring it once.

How a task measures is the business of :mod:`jpeg_preproc.openmmlab.evaluation` and of
:mod:`jpeg_preproc.evaluation.onnx`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np

from jpeg_preproc.distributed import Processes
from jpeg_preproc.evaluation.conditions import Condition, RestoreSettings
from jpeg_preproc.evaluation.stages import Seconds
from jpeg_preproc.stats.agreement import Detections

#: Seed of whatever a task draws at random.
SEED = 0


@dataclass(frozen=True)
class Figure:
    """A metric's value.

    Attributes:
        metric: ``'mAP'``, ``'mask mAP'``, ``'mIoU'``, ``'top-1'``, or one of
            :mod:`~jpeg_preproc.evaluation.judges`.
        value: The metric's value in percentage points.
        replicates: The value of each of the bootstrap's draws, see
            :mod:`~jpeg_preproc.stats.bootstrap`; ``None`` if the metric is not known there.
        parts: The same of parts of the test set, by their names: ``class/NAME``, ``size/small``.
            Each has its value and then that of each draw, NaN of a draw that has no such object;
            ``None`` where they are not known.
    """

    metric: str
    value: float
    replicates: Sequence[float] | None
    parts: Mapping[str, Sequence[float]] | None = None


@dataclass(frozen=True)
class Measurement:
    """What a task measured under one condition.

    Attributes:
        metric: The first of the model's own metrics; see :class:`Figure`.
        value: The metric's value in percentage points, 0-100.
        images: How many were evaluated.
        seconds: How long it took.
        all_metrics: Everything the model's own metrics reported, in their own units.
        replicates: ``value`` of the bootstrap's draws of the images, see
            :mod:`~jpeg_preproc.stats.bootstrap`; ``None`` if the metric is not known there.
        stages: How long each stage took, in all processes together; see
            :mod:`~jpeg_preproc.evaluation.stages`.
        bytes_per_pixel: Bytes of the files that the condition has made, for each pixel of the
            originals; ``None`` where it makes none.
        image_iou: IoU of each image in percent, see :mod:`~jpeg_preproc.stats.per_image`, ``None``
            for one without a pixel that counts; ``None`` of what is no segmenter.
        detections: The boxes of each image that :mod:`~jpeg_preproc.stats.agreement` looks at;
            ``None`` of what is no detector. It and ``image_iou`` are in the order of the
            bootstrap's images: that of the data set, or of the images' ids where boxes have COCO's.
        labels: Number of the class found in each image, and of its own, in the order of the data
            set; ``None`` of what is no classifier.
        parts: ``value`` of parts of the test set; see :class:`Figure`.
        beside: The model's further metrics: those of the masks of what finds boxes too.
    """

    metric: str
    value: float
    images: int
    seconds: float
    all_metrics: dict[str, float]
    replicates: Sequence[float] | None
    stages: Seconds = field(default_factory=dict)
    bytes_per_pixel: float | None = None
    image_iou: Sequence[float | None] | None = None
    detections: Sequence[Detections] | None = None
    labels: Sequence[Sequence[int]] | None = None
    parts: Mapping[str, Sequence[float]] | None = None
    beside: Sequence[Figure] = ()

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Measurement:
        """Return the measurement that ``dataclasses.asdict`` has made ``values`` of.

        Raises:
            TypeError: They are of another form.
        """
        beside = tuple(Figure(**one) for one in {**values}.get("beside", ()))
        return cls(**{**values, "beside": beside})

    @property
    def figures(self) -> list[Figure]:
        """What the model's own metrics say, the first of them first."""
        first = Figure(self.metric, self.value, self.replicates, self.parts)
        return [first, *self.beside]


class LabelMap(NamedTuple):
    """What a segmenter found in one image, and the truth.

    Attributes:
        found: Class of each pixel of the original image, (H, W).
        truth: Class that each has in the ground truth, (H, W); -1 for one that does not count.
    """

    found: np.ndarray
    truth: np.ndarray


class Task(Protocol):
    """A model with its test set.

    :class:`jpeg_preproc.openmmlab.evaluation.task.OpenMMLabTask` is one, and
    :class:`jpeg_preproc.evaluation.onnx.OnnxTask`.

    Attributes:
        dataset: Short name of the test data.
        model: Short name of the model.
        images: How many are evaluated.
        fingerprint: What the result depends on besides the condition and versions, as JSON
            values; no path and no name of a file.
        packages: Names of the packages whose versions the result depends on.
        stages: How long it took to get ready, in all processes together.
    """

    dataset: str
    model: str
    images: int
    fingerprint: dict[str, Any]
    packages: tuple[str, ...]
    stages: Seconds

    @property
    def skipped(self) -> Sequence[dict[str, str]]:
        """``{'file': ..., 'reason': ...}`` of each image that cannot be evaluated."""

    @property
    def image_paths(self) -> Sequence[Path]:
        """Files of the images, in the order in which a measurement has its figures of each."""

    @property
    def class_names(self) -> Mapping[int, str]:
        """Name of each class, by the number that boxes and label maps have."""

    def label_maps(
        self, condition: Condition, settings: RestoreSettings, indices: Sequence[int]
    ) -> list[LabelMap]:
        """Return what a segmenter finds in some of the images, in this process alone.

        Args:
            condition: What the images go through.
            settings: How its restorer runs.
            indices: Places of the images among :attr:`image_paths`.

        Raises:
            JpegPreprocError: The condition cannot be measured, or the model is no segmenter.
        """

    def measure(
        self,
        condition: Condition,
        settings: RestoreSettings,
        name: str,
        on_image: Callable[[], None] | None = None,
    ) -> Measurement:
        """Evaluate the model on the images as a condition makes them.

        Args:
            condition: What they go through.
            settings: How its restorer runs.
            name: Stem of the files that are kept.
            on_image: Called after each image, of those of the other processes too.

        Raises:
            JpegPreprocError: The condition cannot be measured.
        """

    def stages_alone(self, condition: Condition, settings: RestoreSettings) -> Seconds:
        """Return how long each stage of an image's way takes where nothing else runs between.

        Args:
            condition: What the images go through.
            settings: How its restorer runs.

        Raises:
            JpegPreprocError: The condition cannot be measured.
        """


def advance(
    on_image: Callable[[], None] | None, position: int, images: int, processes: Processes
) -> None:
    """Call ``on_image`` for one image of a process's share, and for those of the others beside it.

    Args:
        on_image: What counts the images.
        position: Place of the image in the share, from 0.
        images: How many images there are in all shares.
        processes: Those that share them.
    """
    if on_image:
        for _ in range(min(processes.size, images - position * processes.size)):
            on_image()


def bytes_per_pixel(shares: Iterable[tuple[int, int]]) -> float | None:
    """Return the bytes for each pixel of several processes' shares, ``None`` without any bytes.

    Args:
        shares: Bytes and pixels of each process.

    >>> bytes_per_pixel([(30, 100), (10, 100)])
    0.2
    """
    num_bytes, num_pixels = (sum(part) for part in zip(*shares, strict=True))
    return num_bytes / num_pixels if num_bytes and num_pixels else None
