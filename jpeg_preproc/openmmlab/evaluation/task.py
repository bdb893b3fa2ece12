"""Measure a detector or segmenter of mmdet or mmseg on its own test set, with transforms added."""

from __future__ import annotations

import contextlib
import copy
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import torch
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmengine.evaluator import Evaluator
from mmengine.logging import MMLogger
from mmengine.registry import MODELS, DefaultScope
from mmengine.runner import Runner, set_random_seed

from jpeg_preproc.defaults import MAX_PIXELS
from jpeg_preproc.distributed import ALONE, Processes, merge
from jpeg_preproc.errors import JpegPreprocError
from jpeg_preproc.evaluation.conditions import Condition, RestoreSettings
from jpeg_preproc.evaluation.stages import Seconds, StageClock, add_seconds, time_alone
from jpeg_preproc.evaluation.task import SEED, LabelMap, Measurement, advance, bytes_per_pixel
from jpeg_preproc.evaluation.versions import OPENMMLAB
from jpeg_preproc.io import sha256_file
from jpeg_preproc.openmmlab.config import (
    dataset_name,
    load_config,
    metric_configs,
    tested_digest,
)
from jpeg_preproc.openmmlab.evaluation.condition import (
    check_handed_on,
    left_by_corruption,
    map_to_original,
    with_condition,
)
from jpeg_preproc.openmmlab.evaluation.metrics import (
    Found,
    check_masks,
    confident_boxes,
    evaluate,
    image_ious,
    in_order_of_draws,
    keep_detections,
    label_map,
    metric_errors_named,
    order_of_draws,
)
from jpeg_preproc.openmmlab.evaluation.network import load_model, quiet
from jpeg_preproc.openmmlab.evaluation.selection import select_images
from jpeg_preproc.openmmlab.evaluation.timing import split_pipelines, time_pipelines
from jpeg_preproc.openmmlab.evaluation.workers import is_worker_death, without_traceback
from jpeg_preproc.restorers.device import usable_device


class _Share(NamedTuple):
    """What a process has of its share of the images.

    Attributes:
        kept: What each metric has kept.
        found: What was found in each image.
        seconds: How long it took.
        size: How many bytes for how many pixels the condition has made.
    """

    kept: list[list[Any]]
    found: list[Found]
    seconds: Seconds
    size: tuple[int, int]


class OpenMMLabTask:
    """One config with its checkpoint, ready to be measured under several conditions.

    The loop is mmengine's ``TestLoop`` without hooks, loggers and visualisers: the config's own
    dataset, model, ``test_step`` and metrics, at batch size 1 in the dataset's order. The model is
    built and loaded once.

    Several processes share the images; each makes the same calls, and all get the same results,
    which are those of one process: random numbers are drawn anew for each image, and the metrics
    compute in the first process from what they have kept of each image, in the dataset's order.

    Attributes:
        dataset: Short name of the test data.
        model: The config's file name without its ending.
        images: Number of images that are evaluated.
        skipped: ``{'file': ..., 'reason': ...}`` of each image that cannot be evaluated.
        fingerprint: What the result depends on besides the added transforms.
        stages: How long each stage of getting ready took, in all processes together.
        network: The model, built and loaded.

    Args:
        config: Path of an OpenMMLab config.
        checkpoint: Path of its weights.
        out_dir: Where shortened annotations and boxes are written.
        cfg_options: Dotted keys of the config and their new values.
        data_root: Replaces the test data's root.
        limit: Evaluate this many images, evenly spaced over the set.
        device: Torch's device for the model.
        num_workers: Processes that load, compress and restore; 0 does it in this one.
        on_check: Called with each image's name and their number while the set is checked.
        processes: Processes that share the images.
        trust_checkpoint: Load a checkpoint that holds more than tensors, which runs its code.
        max_pixels: An image of more pixels is left out; ``None`` for any number.

    Raises:
        JpegPreprocError: The config, the checkpoint, the annotations or all images are unusable.
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
        on_check: Callable[[str, int], None] | None = None,
        processes: Processes = ALONE,
        trust_checkpoint: bool = False,
        max_pixels: int | None = MAX_PIXELS,
    ) -> None:
        # The latest instance is what mmengine's print_log writes to.
        MMLogger.get_instance("jpeg_preproc").setLevel("ERROR")
        usable_device(device)
        clock = StageClock(device=device)
        self.out_dir = Path(out_dir)
        with clock.stage("prepare"):
            self.config = load_config(config, cfg_options, data_root)
        self._scope = self.config.get("default_scope", "mmengine")
        self.dataset = dataset_name(self.config)
        self.model = Path(config).stem
        self.device = device
        self.num_workers = num_workers
        self.processes = processes
        digest = tested_digest(self.config)
        with quiet(), DefaultScope.overwrite_default_scope(self._scope):
            with clock.stage("prepare"):
                self.network: Any = load_model(
                    self.config, checkpoint, device, trust_checkpoint=trust_checkpoint
                )
            with clock.stage("check"):
                folder = self.out_dir / "annotations"
                selection = select_images(
                    self.config, folder, limit, on_check, processes, max_pixels
                )
        self.images = selection.images
        self.skipped = selection.skipped
        self.stages = add_seconds(processes.each(clock.seconds))
        self.fingerprint: dict[str, Any] = {
            "config": digest,
            "checkpoint": sha256_file(checkpoint),
            "data": selection.digest,
            "images": selection.images,
            "device": torch.device(device).type,
            "seed": SEED,
        }
        # What was stored when only their boxes were compared lacks the masks.
        if any("segm" in one.get("metric", "bbox") for one in metric_configs(self.config)):
            self.fingerprint["masks"] = True

    #: Packages whose versions the result depends on.
    packages: tuple[str, ...] = OPENMMLAB

    def measure(
        self,
        condition: Condition,
        settings: RestoreSettings,
        name: str,
        on_image: Callable[[], None] | None = None,
    ) -> Measurement:
        """Evaluate with a condition's transforms put directly behind the image loader.

        Args:
            condition: What the images go through.
            settings: How its restorer runs, and where.
            name: Name of the condition; detections are kept as ``predictions/NAME.bbox.json``,
                masks as ``predictions/NAME.segm.json``.
            on_image: Called after each image, those of the other processes included.

        Raises:
            PipelineError: The transforms cannot stand in this pipeline.
            JpegPreprocError: The metric gives no mAP or mIoU, or keeps no results by image where
                several processes share them.
        """
        started = time.perf_counter()
        clock = StageClock(self.num_workers, self.device)
        with quiet(), DefaultScope.overwrite_default_scope(self._scope), torch.no_grad():
            with clock.stage("prepare"):
                config = with_condition(self.config, condition, settings)
                loader = self._loader(config)
                time_pipelines(loader.dataset, clock)
                metrics = metric_configs(config)
                files = [str(metric.get("ann_file") or "") for metric in metrics]
                with metric_errors_named(metrics, files):
                    evaluator = Evaluator(copy.deepcopy(metrics))
                evaluator.dataset_meta = loader.dataset.metainfo
                loaders = [loader]
                keep_detections(evaluator, self.out_dir / "predictions" / name)

            def test(loader: Any) -> _Share:
                with self._preprocessing(config, clock), without_traceback():
                    found, size = self._test(loader, evaluator, condition, clock, on_image)
                kept = [metric.results for metric in evaluator.metrics]
                return _Share(kept, found, clock.seconds(), size)

            def share() -> _Share:
                # Workers die of what happens outside too, as when the system runs out of memory.
                for again in (self.num_workers, 0) if self.num_workers else ():
                    try:
                        return test(loaders.pop())
                    except RuntimeError as error:
                        if not is_worker_death(error):
                            raise
                        loaders.append(self._loader(config, again))
                        time_pipelines(loaders[0].dataset, clock)
                        for metric in evaluator.metrics:
                            metric.results.clear()
                return test(loaders.pop())

            shares = self.processes.each(share)
            clock.reset()

            def finish() -> Measurement:
                with clock.stage("metric"):
                    kept = [share.kept for share in shares]
                    for metric, *parts in zip(evaluator.metrics, *kept, strict=True):
                        metric.results = self.merged(metric, parts)
                    ious = image_ious(evaluator)
                    (figure, *beside), results = evaluate(evaluator, self.images, files)
                return Measurement(
                    metric=figure.metric,
                    value=figure.value,
                    images=self.images,
                    seconds=round(time.perf_counter() - started, 2),
                    all_metrics=results,
                    replicates=figure.replicates,
                    stages=add_seconds([clock.seconds(), *(share.seconds for share in shares)]),
                    bytes_per_pixel=bytes_per_pixel(share.size for share in shares),
                    image_iou=ious,
                    detections=in_order_of_draws(merge([share.found for share in shares])),
                    parts=figure.parts,
                    beside=tuple(beside),
                )

            return self.processes.first(finish)

    @cached_property
    def image_paths(self) -> list[Path]:
        """Files of the images, in the order in which a measurement has its figures of each."""
        with quiet(), DefaultScope.overwrite_default_scope(self._scope):
            dataset = self._loader(self.config, 0).dataset
            records = [dataset.get_data_info(index) for index in range(self.images)]
        order = order_of_draws([record.get("img_id") for record in records])
        return [Path(records[index]["img_path"]) for index in order]

    @cached_property
    def class_names(self) -> dict[int, str]:
        """Name of each class, by the number that boxes and label maps have."""
        with quiet(), DefaultScope.overwrite_default_scope(self._scope):
            classes = self._loader(self.config, 0).dataset.metainfo.get("classes") or ()
        return dict(enumerate(map(str, classes)))

    def label_maps(
        self, condition: Condition, settings: RestoreSettings, indices: Sequence[int]
    ) -> list[LabelMap]:
        """Return what a segmenter finds in some of the images, in this process alone.

        Arguments are those of :class:`~jpeg_preproc.evaluation.task.Task`'s.

        Raises:
            PipelineError: The condition's transforms cannot stand in this pipeline.
            JpegPreprocError: The model gives no label maps.
        """
        maps: list[LabelMap] = []
        with quiet(), DefaultScope.overwrite_default_scope(self._scope), torch.no_grad():
            config = with_condition(self.config, condition, settings)
            loader = self._loader(config, 0, indices)
            with self._preprocessing(config, StageClock(device=self.device)):
                for index, batch in zip(indices, loader, strict=True):
                    set_random_seed(SEED + index)
                    outputs = self.network.test_step(batch)
                    check_handed_on(outputs, condition)
                    map_to_original(outputs)
                    maps += [label_map(one, len(self.class_names)) for one in outputs]
        return maps

    def stages_alone(self, condition: Condition, settings: RestoreSettings) -> Seconds:
        """Return how long each stage of an image's way takes where nothing else runs between.

        Args:
            condition: What the images go through.
            settings: How its restorer runs, and where.

        Raises:
            PipelineError: The condition's transforms cannot stand in this pipeline.
        """
        clock = StageClock(device=self.device)

        def test(packed: Any) -> None:
            self.network.test_step(pseudo_collate([packed]))

        with quiet(), DefaultScope.overwrite_default_scope(self._scope), torch.no_grad():
            config = with_condition(self.config, condition, settings)
            with self._preprocessing(config, clock):
                for records, way in split_pipelines(self._loader(config).dataset):
                    time_alone([*way, ("model", test)], records, clock)
        return clock.seconds()

    def _loader(
        self,
        config: Config,
        num_workers: int | None = None,
        indices: Sequence[int] | None = None,
    ) -> Any:
        """Return a loader of this process's images, or some, one at a time, in order."""
        loader = copy.deepcopy(dict(config.test_dataloader))
        for key in ("batch_sampler", "prefetch_factor", "drop_last"):
            loader.pop(key, None)
        loader.update(
            batch_size=1,
            num_workers=self.num_workers if num_workers is None else num_workers,
            persistent_workers=False,
            sampler=self._indices() if indices is None else list(indices),
        )
        return Runner.build_dataloader(loader, seed=SEED)

    def _indices(self) -> list[int]:
        return list(self.processes.share(range(self.images)))

    @contextlib.contextmanager
    def _preprocessing(self, config: Config, clock: StageClock) -> Iterator[None]:
        """Let the network use a condition's data preprocessor, if it has one that restores."""
        stock = self.network.data_preprocessor
        if config.model.get("data_preprocessor") == self.config.model.get("data_preprocessor"):
            yield
            return
        own = MODELS.build(config.model.data_preprocessor).to(self.device)
        own.restoring = lambda: clock.stage("restore")
        self.network.data_preprocessor = own
        try:
            yield
        finally:
            self.network.data_preprocessor = stock

    def _test(
        self,
        loader: Any,
        evaluator: Evaluator,
        condition: Condition,
        clock: StageClock,
        on_image: Callable[[], None] | None,
    ) -> tuple[list[Found], tuple[int, int]]:
        """Run the model on this process's images.

        Returns:
            What was found in each, and bytes and pixels of the files made.
        """
        num_bytes = num_pixels = 0
        found: list[Found] = []
        for position, (index, batch) in enumerate(zip(self._indices(), loader, strict=True)):
            set_random_seed(SEED + index)  # whatever images came before, in whichever process
            with clock.stage("model"):
                outputs = self.network.test_step(batch)
            with clock.stage("metric"):
                check_handed_on(outputs, condition)
                for left in filter(None, map(left_by_corruption, outputs)):
                    height, width = left["geometry"].original
                    num_bytes, num_pixels = num_bytes + left["bytes"], num_pixels + height * width
                if position == 0:
                    check_masks(evaluator, outputs)
                map_to_original(outputs)
                found += map(confident_boxes, outputs)
                paths = [str(sample.metainfo.get("img_path") or "") for sample in outputs]
                with metric_errors_named(evaluator.metrics, paths):
                    evaluator.process(data_samples=outputs, data_batch=batch)
            advance(on_image, position, self.images, self.processes)
        return found, (num_bytes, num_pixels)

    def merged(self, metric: Any, parts: Sequence[Any]) -> Any:
        """Return what a metric has kept of all images, in their order."""
        if self.processes.size == 1:
            return parts[0]
        counts = [len(self.processes.of(rank, range(self.images))) for rank in range(len(parts))]
        if any(not isinstance(part, list) for part in parts) or counts != list(map(len, parts)):
            raise JpegPreprocError(
                f"{type(metric).__name__} keeps no result of its own for each image, so several "
                "processes cannot share them; run it in one, without --launcher"
            )
        return merge(parts)
