"""Which stage each transform of a built pipeline belongs to, and datasets that are timed by it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import groupby
from typing import Any

from mmengine.dataset import Compose

from jpeg_preproc.evaluation.stages import StageClock
from jpeg_preproc.openmmlab.place import transform_name

_STAGES = {"JpegCompress": "compress", "JpegCorrupt": "compress", "JpegRestore": "restore"}

Step = tuple[str, Callable[[Any], Any]]


def time_pipelines(dataset: Any, clock: StageClock) -> None:
    """Make a clock time the transforms of a built dataset, and of those it wraps, in place."""
    for leaf in _leaves(dataset):
        leaf.pipeline.transforms = [
            clock.timed(stage(step), step) for step in leaf.pipeline.transforms
        ]


def split_pipelines(dataset: Any) -> Iterator[tuple[list[Any], list[Step]]]:
    """Yield the records of each leaf of a built dataset, and its pipeline by stages."""
    for leaf in _leaves(dataset):
        records = [leaf.get_data_info(index) for index in range(len(leaf))]
        groups = groupby(leaf.pipeline.transforms, stage)
        yield records, [(name, Compose(list(steps))) for name, steps in groups]


def stage(transform: object) -> str:
    """Return the stage of a built transform: what is none of ours belongs to the model."""
    name = transform_name(transform)
    return "decode" if name.startswith("LoadImage") else _STAGES.get(name, "model")


def _leaves(dataset: Any) -> Iterator[Any]:
    """Yield the built datasets with a pipeline of their own among one and those that it wraps."""
    if hasattr(dataset, "datasets"):
        for part in dataset.datasets:
            yield from _leaves(part)
    elif hasattr(dataset, "dataset"):
        yield from _leaves(dataset.dataset)
    elif hasattr(getattr(dataset, "pipeline", None), "transforms"):
        yield dataset
