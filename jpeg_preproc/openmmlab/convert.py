"""``with_jpeg_restore``: a config of mmdet or mmseg, turned into one that restores its images."""

from __future__ import annotations

import copy
import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal

from mmengine.config import Config

from jpeg_preproc.defaults import MAX_PIXELS, MODEL_RESTORER, TILE
from jpeg_preproc.errors import JpegPreprocError, PipelineError
from jpeg_preproc.evaluation.config import read_config
from jpeg_preproc.jpeg import QfChoice
from jpeg_preproc.openmmlab.config import (
    decoded_index,
    insert_transforms,
    leaves,
    loader_backend,
    loader_index,
    loading_level,
)
from jpeg_preproc.openmmlab.place import check_pipeline, transform_name

_IMPORT = "jpeg_preproc.openmmlab"
# A pipeline may compress before it restores, to simulate JPEG input.
_KEEP = ("JpegCompress", "JpegCorrupt")
# The color_type of a loader that does not name one.
_COLOUR = {"LoadImageFromFile": "color"}


def with_jpeg_restore(
    cfg: Config | Mapping[str, Any] | str | os.PathLike[str],
    restorer: str = MODEL_RESTORER,
    where: Literal["pipeline", "preprocessor"] = "pipeline",
    *,
    qf: QfChoice = "auto",
    device: str | None = None,
    dtype: str = "fp32",
    tile: int | None = TILE,
    consistent: bool = False,
    compile: bool = False,
    strength: float | None = None,
    strict: bool = False,
    max_pixels: int | None = MAX_PIXELS,
    train: bool = False,
) -> Config:
    """Return a copy of a config of mmdet or mmseg whose images are restored before anything else.

    Changed are the datasets of ``val_dataloader`` and ``test_dataloader``, inside wrappers such
    as ``ConcatDataset`` too, the variables ``val_pipeline``, ``test_pipeline`` and
    ``tta_pipeline``, which the inference functions read, and ``custom_imports``. A loader inside a
    wrapper such as ``TransformBroadcaster`` has the restorer behind it in there. A
    ``JpegCompress`` behind the loader stays before the restorer. The result can be dumped, and
    run by the tools of mmdet and mmseg.

    Args:
        cfg: A config, or the path of one. It is not changed.
        restorer: Name of shipped weights, or a ``.safetensors`` file.
        where: ``'pipeline'`` puts ``JpegRestore`` behind the loader: in the dataloader's
            workers, on the CPU. ``'preprocessor'`` restores on the model's device: the pipeline
            becomes the loader and ``JpegDefer``, which holds the rest, and the model's data
            preprocessor is wrapped in ``JpegRestoreDetDataPreprocessor`` or
            ``JpegRestoreSegDataPreprocessor``.
        qf: Quality to restore by, as
            :class:`~jpeg_preproc.openmmlab.transforms.JpegRestore` takes it.
        device: Device of ``JpegRestore``, ``'cpu'`` unless given; a CUDA device needs
            ``num_workers=0``. It must be left out with ``'preprocessor'``, which follows the
            model.
        dtype: ``'fp32'``, ``'bf16'`` or ``'fp16'`` for the restorer's convolutions.
        tile: Side of the tiles that larger images are cut into, pixels; ``None`` never cuts.
        consistent: Move each result to where its JPEG says that the original was, as
            :class:`~jpeg_preproc.openmmlab.transforms.JpegRestore` does.
        compile: Run the restorer through ``torch.compile``; with ``'preprocessor'`` alone, since
            every worker of a dataloader would compile it again.
        strength: Share of the correction that is made, 0-1; ``None`` for what the weights say.
        strict: Refuse an image whose file's tables cannot be used, as
            :class:`~jpeg_preproc.openmmlab.transforms.JpegRestore` does.
        max_pixels: An image of more pixels is left as it is, and ``jpeg_quality`` says so; ``None``
            restores any.
        train: Change ``train_dataloader``, ``train_pipeline`` and the pipelines that hooks
            switch to as well.

    Raises:
        JpegPreprocError: ``cfg`` cannot be read, or has no pipeline to test with.
        PipelineError: A pipeline has no image loader, restores already, or is one that
            ``'preprocessor'`` cannot take over; or ``where``, ``device`` and ``compile`` do not go
            together.

    >>> from mmengine.config import Config
    >>> load, resize = dict(type="LoadImageFromFile"), dict(type="Resize", scale=(64, 64))
    >>> cfg = Config(dict(test_pipeline=[load, resize]))
    >>> [step.type for step in with_jpeg_restore(cfg).test_pipeline]
    ['LoadImageFromFile', 'JpegRestore', 'Resize']
    """
    if where not in ("pipeline", "preprocessor"):
        raise PipelineError(f"where={where!r} is neither 'pipeline' nor 'preprocessor'")
    if where == "preprocessor" and device is not None:
        raise PipelineError(
            f"device={device!r}: a data preprocessor restores on the model's device; leave device "
            "out, or take where='pipeline'"
        )
    if where == "pipeline" and compile:
        raise PipelineError(
            "compile=True: each worker of the dataloader would compile the restorer; leave it "
            "out, or take where='preprocessor'"
        )
    config = _copy(cfg)
    common: dict[str, Any] = {"restorer": restorer, "qf": qf, "dtype": dtype, "tile": tile}
    if strength is not None:
        common["strength"] = strength
    if max_pixels != MAX_PIXELS:
        common["max_pixels"] = max_pixels
    if where == "pipeline":
        step = {"type": "JpegRestore", **common, "device": device or "cpu"}
    holders = list(_pipelines(config, train))
    if not holders:
        raise JpegPreprocError(
            f"{config.filename or 'the config'} has no pipeline to test with (val_dataloader, "
            "test_dataloader, test_pipeline); give a config that says how to test, or train=True"
        )
    for outer, outer_key in holders:
        holder, key = loading_level(outer, outer_key)
        pipeline = holder[key]
        load = pipeline[loader_index(pipeline)]
        backend_args = loader_backend(load)
        if load.get("file_client_args"):
            # One way for both, and so one connection: some stores are not opened twice.
            load.pop("file_client_args")
            load["backend_args"] = backend_args
        loading = {
            "backend_args": backend_args,
            "color_type": load.get("color_type", _COLOUR.get(transform_name(load), "unchanged")),
            "consistent": consistent,
            **({"strict": True} if strict else {}),
        }
        if where == "pipeline":
            holder[key] = insert_transforms(pipeline, [step | loading], _KEEP)
        else:
            holder[key] = _deferred(pipeline, loading)
    if where == "preprocessor":
        _wrap_preprocessor(config, {**common, "compile": compile})
    _import(config)
    return config


def _copy(cfg: Config | Mapping[str, Any] | str | os.PathLike[str]) -> Config:
    if isinstance(cfg, Config):
        return copy.deepcopy(cfg)
    if isinstance(cfg, Mapping):
        return Config(copy.deepcopy(dict(cfg)))
    return read_config(cfg)


def _pipelines(config: Config, train: bool) -> Iterator[tuple[Any, str]]:
    """Yield each place that holds a pipeline to change, as a mapping and its key, once."""
    parts = ("val", "test", "tta", "train") if train else ("val", "test", "tta")
    seen: set[int] = set()
    for part in parts:
        if config.get(f"{part}_pipeline"):
            yield config, f"{part}_pipeline"
        loader = config.get(f"{part}_dataloader")
        for leaf in leaves(loader.dataset) if loader else ():
            if id(leaf) not in seen:
                seen.add(id(leaf))
                leaf.setdefault("pipeline", [])
                yield leaf, "pipeline"
    for hook in (config.get("custom_hooks") or ()) if train else ():
        if hook.get("switch_pipeline"):
            yield hook, "switch_pipeline"


def _deferred(pipeline: Sequence[Any], loading: dict[str, Any]) -> list[Any]:
    """Return a pipeline that ends with JpegDefer, which holds all that stood behind the loader."""
    place = decoded_index(pipeline, _KEEP)
    rest = list(pipeline[place:])
    last = transform_name(rest[-1]) if rest else "nothing"
    if not (last.startswith("Pack") or last == "TestTimeAug"):
        raise PipelineError(
            f"the pipeline ends with {last}, so its images are packed elsewhere (as where "
            "MultiImageMixDataset mixes them) and cannot be left to the data preprocessor whole: "
            "take where='pipeline'"
        )
    edited = [*pipeline[:place], {"type": "JpegDefer", "transforms": rest, **loading}]
    check_pipeline(edited)
    return edited


def _wrap_preprocessor(config: Config, settings: dict[str, Any]) -> None:
    """Put a restoring data preprocessor around the model's own."""
    model = config.get("model")
    if not model:
        raise JpegPreprocError(
            f"{config.filename or 'the config'} has no model, whose data preprocessor could "
            "restore; give a whole config, or take where='pipeline'"
        )
    while "module" in model and not model.get("data_preprocessor"):
        model = model.module  # a model for test-time augmentation holds the real one
    stock = model.get("data_preprocessor") or config.get("data_preprocessor")
    stock = stock or {"type": "BaseDataPreprocessor"}
    segments = "Seg" in transform_name(stock) or config.get("default_scope") == "mmseg"
    kind = "Seg" if segments else "Det"
    model.data_preprocessor = {
        "type": f"JpegRestore{kind}DataPreprocessor",
        **settings,
        "data_preprocessor": stock,
    }


def _import(config: Config) -> None:
    """See to it that whoever reads the config finds this package's transforms."""
    own = dict(config.get("custom_imports") or {"allow_failed_imports": False})
    names = own.get("imports") or []
    names = [names] if isinstance(names, str) else list(names)
    config.custom_imports = {**own, "imports": list(dict.fromkeys([*names, _IMPORT]))}
