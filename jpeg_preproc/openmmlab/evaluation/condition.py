"""A condition inside OpenMMLab: transforms behind the loader, and predictions mapped back."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from mmengine.config import Config
from mmengine.registry import TRANSFORMS
from torch import Tensor

from jpeg_preproc.corruptions import Geometry
from jpeg_preproc.errors import PipelineError
from jpeg_preproc.evaluation.apply import kept_folder
from jpeg_preproc.evaluation.conditions import Condition, RestorerChoice, RestoreSettings
from jpeg_preproc.evaluation.task import SEED
from jpeg_preproc.openmmlab.config import leaf_datasets, with_transforms
from jpeg_preproc.openmmlab.convert import with_jpeg_restore
from jpeg_preproc.openmmlab.place import transform_name
from jpeg_preproc.openmmlab.transforms import CORRUPTION_KEY


def condition_transforms(condition: Condition, settings: RestoreSettings) -> list[dict[str, Any]]:
    """Return the transforms, as OpenMMLab configs, that stand behind the loader.

    Restoring is not among them where the data preprocessor does it.

    Raises:
        PipelineError: The restorer is to estimate the quality of JPEG files too.
    """
    if condition.corruption is None:
        return []
    steps: list[dict[str, Any]] = [
        {"type": "JpegCorrupt", "corruption": condition.corruption.spelling, "seed": SEED}
    ]
    if condition.restorer is not None and settings.where == "pipeline":
        steps.append(
            {
                "type": "JpegRestore",
                "restorer": condition.restorer.name,
                "device": settings.device,
                "dtype": settings.dtype,
                "consistent": condition.restorer.consistent,
                "strength": condition.restorer.strength,
                "max_pixels": None,  # larger images were left out, with a word
                **_quality(condition.restorer),
            }
        )
        keep = kept_folder(condition.restorer, settings)
        if keep is not None:
            steps[-1]["keep"] = str(keep)
    return steps


def _quality(choice: RestorerChoice) -> dict[str, Any]:
    """Return the argument by which ``JpegRestore`` has the quality from where the choice says.

    Raises:
        PipelineError: It has no such argument.
    """
    if choice.quality_source == "estimated":
        raise PipelineError(
            f"{choice.label}: JpegRestore goes by the tables that an image has and cannot withhold "
            "them; give quality_source='file' or 'blind', or measure an ONNX model, where "
            "'estimated' is possible"
        )
    return {"qf": "blind"} if choice.quality_source == "blind" else {}


def with_condition(config: Config, condition: Condition, settings: RestoreSettings) -> Config:
    """Return a copy of a config whose test images go through a condition.

    Raises:
        PipelineError: Its transforms cannot stand in this pipeline, or the restorer is to
            estimate the quality of JPEG files too.
    """
    edited = with_transforms(config, condition_transforms(condition, settings))
    if condition.corruption is not None:
        for leaf in leaf_datasets(edited):
            _hand_on(leaf.pipeline)
    if condition.restorer is None or settings.where == "pipeline":
        return edited
    return with_jpeg_restore(
        edited,
        condition.restorer.name,
        "preprocessor",
        dtype=settings.dtype,
        consistent=condition.restorer.consistent,
        strength=condition.restorer.strength,
        max_pixels=None,  # larger images were left out, with a word
        **_quality(condition.restorer),
    )


def _hand_on(pipeline: Sequence[Any]) -> None:
    """Let every packing transform take what ``JpegCorrupt`` has left into the data samples."""
    for step in pipeline:
        if not transform_name(step).startswith("Pack"):
            continue
        keys = step.get("meta_keys") or _default_meta_keys(step)
        if keys is not None:
            step["meta_keys"] = tuple(dict.fromkeys((*keys, CORRUPTION_KEY)))


def _default_meta_keys(step: Any) -> tuple[str, ...] | None:
    """Return the keys a packing transform takes by default; ``None`` if none can be set."""
    kind = step["type"]
    if isinstance(kind, str):
        with TRANSFORMS.switch_scope_and_registry(step.get("_scope_")) as registry:
            kind = registry.get(kind)
    parameter = inspect.signature(kind).parameters.get("meta_keys") if kind else None
    return None if parameter is None else tuple(parameter.default)


def left_by_corruption(sample: Any) -> Mapping[str, Any] | None:
    """Return what ``JpegCorrupt`` has left in a data sample; ``None`` for an original."""
    found: Mapping[str, Any] | None = sample.metainfo.get(CORRUPTION_KEY)
    return found


def map_to_original(samples: Sequence[Any]) -> None:
    """Change predictions, in place, to the coordinates of the images before corruption.

    Boxes, masks and label maps are mapped, so that the annotations of the originals can judge
    them; what a corruption has cut off gets the label of the nearest pixel that was kept.

    Args:
        samples: What a model's ``test_step`` returned: ``DetDataSample`` or ``SegDataSample``.
    """
    for sample in samples:
        left = left_by_corruption(sample)
        if left is None or left["geometry"].is_identity:
            continue
        geometry: Geometry = left["geometry"]
        found = sample.get("pred_instances")
        if found is not None:
            if "bboxes" in found:
                found.bboxes = _boxes(found.bboxes, geometry)
            if "masks" in found:
                found.masks = _labels(found.masks, geometry)
        segments = sample.get("pred_sem_seg")
        if segments is not None:
            mapped = {"data": _labels(segments.data, geometry)}
            sample.pred_sem_seg = type(segments)(**mapped)
        sample.set_metainfo({"ori_shape": geometry.original})


def _boxes(boxes: Tensor, geometry: Geometry) -> Tensor:
    """Map (N, 4) boxes."""
    mapped = geometry.boxes_to_original(boxes.detach().cpu().numpy().astype(np.float64))
    return torch.from_numpy(mapped).to(boxes)


def _labels(maps: Tensor, geometry: Geometry) -> Tensor:
    """Map (N, H', W') label maps or masks to (N, H, W)."""
    planes = maps.detach().cpu().numpy().transpose(1, 2, 0)
    mapped = geometry.labels_to_original(planes)
    return torch.from_numpy(np.ascontiguousarray(mapped.transpose(2, 0, 1))).to(maps.device)


def check_handed_on(samples: Sequence[Any], condition: Condition) -> None:
    """Check that a corrupted image's data sample says what was done to it.

    Raises:
        PipelineError: A data sample does not say it, so that boxes and masks cannot be mapped back.
    """
    if condition.corruption is None or all(left_by_corruption(one) for one in samples):
        return
    raise PipelineError(
        "the pipeline's last transform drops what JpegCorrupt leaves: give it meta_keys that hold "
        f"{CORRUPTION_KEY!r}, as PackDetInputs and PackSegInputs have them"
    )
