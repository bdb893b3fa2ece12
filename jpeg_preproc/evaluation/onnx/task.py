"""Measure a deployed model on its own test set, under the conditions of a downstream run."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from torch.utils.data import DataLoader, Dataset

from jpeg_preproc.defaults import MAX_PIXELS
from jpeg_preproc.distributed import ALONE, Processes
from jpeg_preproc.errors import JpegPreprocError, ModelError
from jpeg_preproc.evaluation.apply import (
    ConditionImage,
    condition_image,
    condition_steps,
    load_restorer,
)
from jpeg_preproc.evaluation.conditions import Condition, RestoreSettings
from jpeg_preproc.evaluation.config import config_digest, read_config
from jpeg_preproc.evaluation.onnx.coco import CocoTruth
from jpeg_preproc.evaluation.onnx.labels import LabelTruth
from jpeg_preproc.evaluation.onnx.masks import MaskTruth
from jpeg_preproc.evaluation.onnx.models import (
    Boxes,
    OnnxClassifier,
    OnnxDetector,
    OnnxSegmentor,
)
from jpeg_preproc.evaluation.onnx.session import model_digest
from jpeg_preproc.evaluation.onnx.settings import (
    ClassifierSettings,
    CocoSettings,
    DetectorSettings,
    MaskSettings,
    SegmentorSettings,
    data_settings,
    is_onnx_model,
    model_settings,
)
from jpeg_preproc.evaluation.onnx.truth import Tally, Truth
from jpeg_preproc.evaluation.stages import Seconds, StageClock, add_seconds, time_alone
from jpeg_preproc.evaluation.task import LabelMap, Measurement, advance, bytes_per_pixel
from jpeg_preproc.evaluation.testset import OnCheck
from jpeg_preproc.evaluation.versions import ONNX
from jpeg_preproc.jpeg import LoadedImage, load_image
from jpeg_preproc.restorers.engine import JpegRestorer


def is_onnx_config(config: Mapping[str, Any]) -> bool:
    """Tell whether a config is of an ONNX model, and not of OpenMMLab."""
    return is_onnx_model(config.get("model"))


class OnnxTask:
    """One ONNX model with its test set, ready to be measured under several conditions.

    It is run on one image at a time, in the order of the set.

    Attributes:
        dataset: Last folder of the data root.
        model: The config's file name without its ending.
        images: How many are evaluated.
        skipped: ``{'file': ..., 'reason': ...}`` of each image that cannot be.
        fingerprint: What the result depends on besides the condition.
        stages: How long it took to get ready, in all processes together.

    Args:
        config: Path of a config with ``model`` and ``data``; see
            :mod:`jpeg_preproc.evaluation.onnx.settings`.
        checkpoint: Path of the ``.onnx`` file.
        out_dir: Where boxes are written.
        cfg_options: Dotted keys and new values.
        data_root: Replaces the one in ``data``.
        limit: Evaluate this many images, evenly spaced over the set.
        device: ``'cpu'``, or ``'cuda'`` with onnxruntime-gpu.
        num_workers: Processes that load, compress and restore; 0 does it in this one.
        on_check: Called with each image's name and their number while the set is checked.
        processes: Those that share the images; each makes the same calls.
        max_pixels: An image of more pixels is left out; ``None`` for any number.

    Raises:
        ModelError: The config, or the model, cannot be used, or they do not fit each other.
        AnnotationError: The annotations or all images are unusable, or are of other classes.
    """

    def __init__(
        self,
        config: str | os.PathLike[str],
        checkpoint: str | os.PathLike[str],
        out_dir: str | os.PathLike[str],
        *,
        cfg_options: Mapping[str, Any] | None = None,
        data_root: str | os.PathLike[str] | None = None,
        limit: int | None = None,
        device: str = "cpu",
        num_workers: int = 0,
        on_check: OnCheck | None = None,
        processes: Processes = ALONE,
        max_pixels: int | None = MAX_PIXELS,
    ) -> None:
        clock = StageClock(device=device)
        read = read_config(config, cfg_options)
        model, data = dict(read.get("model") or {}), dict(read.get("data") or {})
        if data_root is not None:
            data["data_root"] = str(data_root)
        try:
            settings, where = model_settings(model), data_settings(data)
        except ModelError as error:
            raise ModelError(f"{config}: {error}") from error
        self._model: OnnxDetector | OnnxSegmentor | OnnxClassifier
        self._truth: Truth
        how = (limit, on_check, processes, max_pixels)
        if isinstance(settings, DetectorSettings) and isinstance(where, CocoSettings):
            with clock.stage("prepare"):
                self._model = OnnxDetector(checkpoint, settings, device)
            with clock.stage("check"):
                self._truth = CocoTruth(where, settings.classes, *how)
        elif isinstance(settings, SegmentorSettings) and isinstance(where, MaskSettings):
            with clock.stage("prepare"):
                self._model = OnnxSegmentor(checkpoint, settings, device)
            with clock.stage("check"):
                self._truth = MaskTruth(where, settings.classes, *how)
        elif isinstance(settings, ClassifierSettings) and not isinstance(
            where, (CocoSettings, MaskSettings)
        ):
            with clock.stage("check"):
                self._truth = labels = LabelTruth(where, settings.classes, *how)
            with clock.stage("prepare"):
                settings = replace(settings, classes=labels.classes)
                self._model = OnnxClassifier(checkpoint, settings, device)
        else:
            raise ModelError(
                f"{config}: an {model['type']} cannot be measured on data of type "
                f"{data['type']!r}; a detector needs 'coco', a segmenter 'masks' or 'voc', a "
                "classifier 'folders' or 'list'"
            )
        self._model(_upright(self._truth.paths[0]))  # what does not fit fails here, and once
        self.dataset = Path(where.data_root).resolve().name
        self.model = Path(config).stem
        self.images = len(self._truth.paths)
        self.skipped = self._truth.skipped
        self._out_dir = Path(out_dir)
        self._num_workers = num_workers
        self._device = device
        self._processes = processes
        self.stages = add_seconds(processes.each(clock.seconds))
        del data["data_root"]
        self.fingerprint: dict[str, Any] = {
            "config": config_digest({"model": model, "data": data}),
            "checkpoint": model_digest(Path(checkpoint)),
            "data": self._truth.digest,
            "images": self.images,
            "device": device.partition(":")[0],
        }

    #: Packages whose versions the result depends on.
    packages: tuple[str, ...] = ONNX

    def measure(
        self,
        condition: Condition,
        settings: RestoreSettings,
        name: str,
        on_image: Callable[[], None] | None = None,
    ) -> Measurement:
        """Evaluate the model on the images as a condition makes them.

        Args:
            condition: What the images go through.
            settings: How its restorer runs.
            name: Name of the condition; detections are kept as ``predictions/NAME.bbox.json``.
            on_image: Called after each image, of those of the other processes too.

        Raises:
            JpegPreprocError: The restorer or the model fails, or there is no ground truth.
        """
        started = time.perf_counter()
        clock = StageClock(self._num_workers, self._device)
        tally = self._truth.tally()

        def share() -> tuple[dict[int, Any], Seconds, tuple[int, int]]:
            images = _ConditionImages(self._truth.paths, condition, settings, clock)
            size = self._run(images, tally, on_image)
            return tally.found, clock.seconds(), size

        shares = self._processes.each(share)
        clock.reset()

        def finish() -> Measurement:
            with clock.stage("metric"):
                for found, _, _ in shares:
                    tally.found.update(found)
                figure, measured = tally.figure(self._out_dir / "predictions" / name)
            return Measurement(
                metric=figure.metric,
                value=figure.value,
                images=self.images,
                seconds=round(time.perf_counter() - started, 2),
                all_metrics=measured,
                replicates=figure.replicates,
                stages=add_seconds([clock.seconds(), *(seconds for _, seconds, _ in shares)]),
                bytes_per_pixel=bytes_per_pixel(size for _, _, size in shares),
                parts=figure.parts,
                **tally.per_image(),
            )

        return self._processes.first(finish)

    @property
    def image_paths(self) -> list[Path]:
        """Files of the images, in the order in which a measurement has its figures of each."""
        return [self._truth.paths[index] for index in self._truth.order]

    @property
    def class_names(self) -> Mapping[int, str]:
        """Name of each class, by the number that boxes and label maps have."""
        return self._truth.class_names

    def label_maps(
        self, condition: Condition, settings: RestoreSettings, indices: Sequence[int]
    ) -> list[LabelMap]:
        """Return what a segmenter finds in some of the images, in this process alone.

        Args:
            condition: What the images go through.
            settings: How its restorer runs.
            indices: Places of the images among :attr:`image_paths`.

        Raises:
            JpegPreprocError: The restorer or the model fails, or the model is no segmenter.
        """
        if not isinstance(self._truth, MaskTruth):
            raise ModelError(f"{self.model} gives no label maps")
        choice = condition.restorer
        restorer = None if choice is None else load_restorer(choice, settings)
        return [
            self._truth.label_map(
                index,
                self._find(
                    condition_image(load_image(self._truth.paths[index]), condition, restorer)
                ),
            )
            for index in indices
        ]

    def stages_alone(self, condition: Condition, settings: RestoreSettings) -> Seconds:
        """Return how long each stage of an image's way takes where nothing else runs between.

        Args:
            condition: What the images go through.
            settings: How its restorer runs.

        Raises:
            JpegPreprocError: The restorer or the model fails.
        """
        clock = StageClock(device=self._device)
        choice = condition.restorer
        restorer = None if choice is None else load_restorer(choice, settings)
        way = [("decode", _loaded), *condition_steps(condition, restorer)]
        time_alone([*way, ("model", self._find)], self._truth.paths, clock)
        return clock.seconds()

    def _run(
        self,
        images: _ConditionImages,
        tally: Tally,
        on_image: Callable[[], None] | None,
    ) -> tuple[int, int]:
        """Run the model on this process's images; return bytes and pixels of the files made."""
        indices = self._processes.share(range(self.images))
        loader = DataLoader(
            images,
            batch_size=None,
            sampler=indices,
            num_workers=self._num_workers,
            collate_fn=_as_it_is,
        )
        num_bytes = num_pixels = 0
        for position, (index, image) in enumerate(zip(indices, loader, strict=True)):
            if isinstance(image, JpegPreprocError):
                raise image
            with images.clock.stage("model"):
                found = self._find(image)
            with images.clock.stage("metric"):
                tally.add(index, found)
            if image.num_bytes is not None:
                height, width = image.geometry.original
                num_bytes, num_pixels = num_bytes + image.num_bytes, num_pixels + height * width
            advance(on_image, position, self.images, self._processes)
        return num_bytes, num_pixels

    def _find(self, image: ConditionImage) -> Any:
        """Return what the model finds, in the coordinates of the original image."""
        found = self._model(image.pixels)
        if image.geometry.is_identity or isinstance(found, int):
            return found
        if isinstance(found, Boxes):
            return replace(found, boxes=image.geometry.boxes_to_original(found.boxes))
        return image.geometry.labels_to_original(found)


class _ConditionImages(Dataset):
    """The images of a set as a condition makes them; the restorer is loaded in each process."""

    def __init__(
        self,
        paths: Sequence[Path],
        condition: Condition,
        settings: RestoreSettings,
        clock: StageClock,
    ) -> None:
        self.clock = clock
        self._paths = paths
        self._condition = condition
        self._settings = settings
        self._restorer: JpegRestorer | None = None

    def __len__(self) -> int:
        return len(self._paths)

    def __getitem__(self, index: int) -> ConditionImage | JpegPreprocError:
        """Return the image, or what went wrong: a worker would hide it in a traceback."""
        path = self._paths[index]
        try:
            choice = self._condition.restorer
            if self._restorer is None and choice is not None:
                with self.clock.stage("prepare"):
                    self._restorer = load_restorer(choice, self._settings)
            with self.clock.stage("decode"):
                image = _loaded(path)
            return condition_image(image, self._condition, self._restorer, self.clock)
        except JpegPreprocError as error:
            return error if str(path) in str(error) else type(error)(f"{path}: {error}")


def _as_it_is(image: Any) -> Any:
    """Keep DataLoader from making a tensor of an image; a function, because workers pickle it."""
    return image


def _upright(path: Path) -> np.ndarray:
    return condition_image(_loaded(path), Condition()).pixels


def _loaded(path: Path) -> LoadedImage:
    """Read an image of the set: those that are too large were left out as it was checked."""
    return load_image(path, max_pixels=None)
