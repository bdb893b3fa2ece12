"""Read an OpenMMLab config and edit its test side: data root, transforms behind the loader."""

from __future__ import annotations

import copy
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from mmengine.config import Config

from jpeg_preproc.errors import JpegPreprocError, PipelineError
from jpeg_preproc.evaluation.config import config_digest, read_config
from jpeg_preproc.openmmlab.place import JPEG_TRANSFORMS, check_pipeline, transform_name


def load_config(
    path: str | os.PathLike[str],
    cfg_options: Mapping[str, Any] | None = None,
    data_root: str | os.PathLike[str] | None = None,
) -> Config:
    """Read a config and see to it that it says how to test.

    Args:
        path: Path of a Python, JSON or YAML config, of upstream OpenMMLab or a fork.
        cfg_options: Dotted keys and their new values, as ``--cfg-options`` gives them.
        data_root: Replaces the test data's root wherever it occurs; see :func:`set_data_root`.

    Raises:
        JpegPreprocError: The file is missing, is no config, has no test or validation part, or
            has no pipeline in that part.
    """
    config = read_config(path, cfg_options)
    for part in ("dataloader", "evaluator"):
        if not config.get(f"test_{part}"):
            config[f"test_{part}"] = copy.deepcopy(config.get(f"val_{part}"))
    lacking = [key for key in ("model", "test_dataloader", "test_evaluator") if not config.get(key)]
    if lacking:
        raise JpegPreprocError(
            f"{path} has no {', '.join(lacking)}; give the config of a detector or segmenter that "
            "says how to test it"
        )
    evaluator = config.test_evaluator
    if not isinstance(evaluator, (list, tuple)) and evaluator.get("metrics"):
        if transform_name(evaluator) != "Evaluator":
            raise JpegPreprocError(
                f"{path}: test_evaluator is a {transform_name(evaluator)}, which judges several "
                "data sets at once; evaluate one at a time: set test_dataloader.dataset to it and "
                "test_evaluator to its metric"
            )
        config.test_evaluator = evaluator.metrics
    for dataset in leaf_datasets(config):
        if not dataset.get("pipeline"):
            raise JpegPreprocError(
                f"{path}: its {transform_name(dataset)} to test on has no pipeline; set pipeline, "
                "LoadImageFromFile first, in the dataset of test_dataloader"
            )
    if data_root is not None:
        set_data_root(config, data_root)
    return config


def leaf_datasets(config: Config) -> list[Any]:
    """Return the test datasets that hold images, wrappers such as ``ConcatDataset`` taken off."""
    return list(leaves(config.test_dataloader.dataset))


def leaves(dataset: Any) -> Iterator[Any]:
    """Yield the datasets that hold images among ``dataset`` and those it wraps."""
    if "datasets" in dataset:
        for part in dataset.datasets:
            yield from leaves(part)
    elif "dataset" in dataset:
        yield from leaves(dataset.dataset)
    else:
        yield dataset


def metric_configs(config: Config) -> list[Any]:
    """Return the configs of the test metrics, always as a list."""
    evaluator = config.test_evaluator
    return list(evaluator) if isinstance(evaluator, (list, tuple)) else [evaluator]


def set_data_root(config: Config, root: str | os.PathLike[str]) -> None:
    """Point the test datasets, and the annotation files of their metrics, at another folder.

    Every path below the old root moves: ``data/coco/annotations/x.json`` of a metric becomes
    ``ROOT/annotations/x.json``. The old root is the dataset's ``data_root``, or the config's.
    """
    new = str(root)
    evaluators = metric_configs(config)
    for dataset in leaf_datasets(config):
        old = dataset.get("data_root") or config.get("data_root") or ""
        dataset.data_root = new
        if old:
            for part in (dataset, dataset.get("data_prefix", {}), *evaluators):
                _move(part, old, new)


def _move(settings: Any, old: str, new: str) -> None:
    """Replace ``old`` at the start of every path among ``settings`` by ``new``."""
    prefix = old.rstrip("/") + "/"
    for key, value in list(settings.items()):
        if isinstance(value, str) and value.startswith(prefix):
            settings[key] = str(Path(new) / value[len(prefix) :])


def with_transforms(config: Config, transforms: Sequence[Mapping[str, Any]]) -> Config:
    """Return a copy of ``config`` whose test images pass ``transforms`` right after loading.

    Raises:
        PipelineError: A pipeline has no image loader, or holds a JPEG transform already.
    """
    edited = copy.deepcopy(config)
    for dataset in leaf_datasets(edited):
        dataset.setdefault("pipeline", [])
        holder, key = loading_level(dataset, "pipeline")
        holder[key] = insert_transforms(holder[key], transforms)
    return edited


def loading_level(holder: Any, key: str) -> tuple[Any, str]:
    """Return where the pipeline ``holder[key]`` loads its image: there, or inside a wrapper.

    A wrapper is a transform with transforms of its own, such as the ``TransformBroadcaster`` that
    trackers load the frames of a video in.

    Returns:
        The mapping, and its key, that hold the list in which the loader stands; those given, if
        there is no loader.
    """
    for step in holder[key] or ():
        if _is_loader(transform_name(step)):
            break
        inner = step.get("transforms") if isinstance(step, Mapping) else None
        if isinstance(inner, (list, tuple)) and all(isinstance(one, Mapping) for one in inner):
            found, found_key = loading_level(step, "transforms")
            if any(_is_loader(transform_name(one)) for one in found[found_key]):
                return found, found_key
    return holder, key


def _is_loader(name: str) -> bool:
    return name.startswith("LoadImage") or name == "InferencerLoader"


def loader_backend(load: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return ``backend_args`` of an image loader, also of one that has them in their old form."""
    if load.get("backend_args"):
        return dict(load["backend_args"])
    old = dict(load.get("file_client_args") or {})
    if old.get("backend") == "disk":  # what the local file system was called then
        return None
    return old or None


def insert_transforms(
    pipeline: Sequence[Any], transforms: Sequence[Mapping[str, Any]], keep: Sequence[str] = ()
) -> list[Any]:
    """Return a pipeline with ``transforms`` directly behind its image loader.

    Args:
        pipeline: Configs of the transforms that it has.
        transforms: Configs of the transforms to put in.
        keep: Names of JPEG transforms that may stand behind the loader already; the new ones go
            behind those.

    Raises:
        PipelineError: The pipeline has no image loader, holds a JPEG transform that ``keep`` does
            not name, or holds one where it cannot work.
    """
    place = decoded_index(pipeline, keep)
    edited = [*pipeline[:place], *(dict(step) for step in transforms), *pipeline[place:]]
    check_pipeline(edited)
    return edited


def decoded_index(pipeline: Sequence[Any], keep: Sequence[str] = ()) -> int:
    """Return the position directly behind the image loader and the transforms of ``keep`` there.

    Raises:
        PipelineError: The pipeline has no image loader, or a JPEG transform besides ``keep``.
    """
    names = [transform_name(step) for step in pipeline]
    if present := [name for name in names if name in JPEG_TRANSFORMS and name not in keep]:
        raise PipelineError(
            f"the pipeline has {present[0]} already; take it out of the config, to which JPEG "
            "transforms are being added"
        )
    place = loader_index(pipeline) + 1
    while place < len(names) and names[place] in keep:
        place += 1
    return place


def loader_index(pipeline: Sequence[Any]) -> int:
    """Return the position of the transform that loads the image.

    Raises:
        PipelineError: The pipeline has none.
    """
    names = [transform_name(step) for step in pipeline]
    for index, name in enumerate(names):
        if _is_loader(name):
            return index
    raise PipelineError(
        f"the pipeline ({', '.join(names) or 'empty'}) has no LoadImageFromFile, behind which the "
        "image is compressed and restored"
    )


def dataset_name(config: Config) -> str:
    """Return a short name for the test data: the last folder of its root, or its type.

    >>> dataset_name(Config(dict(test_dataloader=dict(dataset=dict(
    ...     type='CocoDataset', data_root='data/coco/')))))
    'coco'
    """
    names = []
    for dataset in leaf_datasets(config):
        root = Path(str(dataset.get("data_root") or "")).name
        names.append(root or transform_name(dataset).removesuffix("Dataset"))
    return "+".join(dict.fromkeys(names))


def tested_digest(config: Config) -> str:
    """Return a digest of what a config tests, wherever its data lies."""
    anywhere = copy.deepcopy(config)
    set_data_root(anywhere, "data")
    return config_digest(
        {key: anywhere.get(key) for key in ("model", "test_dataloader", "test_evaluator")}
    )
