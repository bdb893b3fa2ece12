"""Where in a pipeline a JPEG transform may stand: on the pixels that the decoder gave.

JPEG artifacts lie on a grid of 8x8 blocks that starts at the image's corner. Resizing, cropping,
padding, flipping or rotating moves or erases that grid, and a change of colours changes what the
quantisation tables mean; a restorer behind such a step works on the wrong pixels and says nothing.
The config is checked by :func:`check_pipeline`, each image by :func:`require_decoder_pixels`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from jpeg_preproc.errors import PipelineError

JPEG_TRANSFORMS = ("JpegCompress", "JpegCorrupt", "JpegRestore", "JpegDefer")

_MOVE = "move it directly behind LoadImageFromFile"

# Transforms of mmcv, mmdet and mmseg that move pixels or change their values, by name.
_DISPLACING = re.compile(
    r"Resize|Crop|Pad|Flip|Rotat|Shear|Translate|Affine|Perspective|Expand|Mosaic|MixUp|CopyPaste"
    r"|GeomTransform|Shift|InstaBoost|TestTimeAug|Albu"
)
_RECOLOURING = re.compile(
    r"Normalize|PhotoMetric|HSV|RGB2Gray|Grayscale|Gamma|Contrast|Brightness|Sharpness|Posterize"
    r"|Solarize|Equalize|Invert|Color|CLAHE|Rerange|CutOut|Erasing|AutoAugment|RandAugment|^Pack"
)
# Keys that only such transforms write into ``results``.
_DISPLACED_KEYS = ("scale", "scale_factor", "pad_shape", "flip", "homography_matrix", "crop_bbox")
# Where wrappers keep their transforms: mmcv's TestTimeAug, RandomChoice, RandomApply,
# TransformBroadcaster and mmdet's MultiBranch; ``subroutines`` is a built TestTimeAug's.
_NESTED_KEYS = ("transforms", "branch_pipelines", "subroutines")


def transform_name(transform: object) -> str:
    """Return the bare name of a transform: ``'Resize'`` for ``dict(type='mmdet.Resize')``.

    Args:
        transform: A config with ``type`` (a name, a class, or mmengine's lazy object), or a
            built transform.
    """
    kind = transform.get("type", "") if isinstance(transform, Mapping) else type(transform)
    name = kind if isinstance(kind, str) else getattr(kind, "__name__", str(kind))
    return name.rsplit(".", 1)[-1]


def check_pipeline(pipeline: Sequence[Any]) -> None:
    """Check that the transforms of this package stand where they can work.

    Args:
        pipeline: Transforms of a dataset config, as configs or built, in order; those inside
            ``TestTimeAug`` and its like are looked at too.

    Raises:
        PipelineError: One stands behind a transform that moves or recolours pixels, or before
            the image is loaded; the message names both and says where to move.

    >>> check_pipeline([dict(type='LoadImageFromFile'), dict(type='JpegRestore')])
    """
    _check(pipeline, [])


def _check(pipeline: Sequence[Any], before: list[str]) -> list[str]:
    """Check one level; return the names of what has run when it ends."""
    seen = list(before)
    for transform in pipeline:
        name = transform_name(transform)
        if name in JPEG_TRANSFORMS:
            if "JpegDefer" in seen:
                raise PipelineError(
                    f"{name} stands behind JpegDefer, which leaves the image to the model's data "
                    f"preprocessor, to be restored there: put JpegCompress before JpegDefer, and "
                    "take JpegRestore out"
                )
            for earlier in seen:
                if _DISPLACING.search(earlier):
                    raise PipelineError(
                        f"{name} stands behind {earlier}, which moves the 8x8 grid of the JPEG; "
                        f"{_MOVE}, before {earlier}"
                    )
                if _RECOLOURING.search(earlier):
                    raise PipelineError(
                        f"{name} stands behind {earlier}, which changes the pixels that the "
                        f"decoder gave; {_MOVE}, before {earlier}"
                    )
            if not seen:
                raise PipelineError(f"{name} stands before the image is loaded; {_MOVE}")
        if name == "JpegDefer":  # what it holds runs behind it
            seen.append(name)
        inside = [step for stage in _nested(transform) for step in _check(stage, seen)[len(seen) :]]
        seen += [name, *inside]
    return seen


def _nested(transform: object) -> Iterator[Sequence[Any]]:
    """Yield the pipelines that a wrapper, as config or built, may run."""
    attributes = transform if isinstance(transform, Mapping) else getattr(transform, "__dict__", {})
    for key in _NESTED_KEYS:
        value = attributes.get(key)
        if transform_name(transform) == "TestTimeAug" and key == "transforms" and value:
            # A config holds stages, each a list of alternatives: every path takes one of each.
            yield [step for stage in value for step in stage]
        elif value is not None:
            yield from _alternatives(value)


def _alternatives(value: object) -> Iterator[Sequence[Any]]:
    """Yield the pipelines in a wrapper's setting: one, a list of them, or a mapping to them."""
    if isinstance(value, Mapping):  # MultiBranch: name to pipeline
        for pipeline in value.values():
            yield from _alternatives(pipeline)
    elif isinstance(value, (list, tuple)):
        if value and all(isinstance(step, (list, tuple)) or _is_compose(step) for step in value):
            for pipeline in value:  # RandomChoice
                yield from _alternatives(pipeline)
        else:
            yield value
    elif _is_compose(value):
        yield from _alternatives(value.transforms)  # type: ignore[attr-defined]


def _is_compose(value: object) -> bool:
    return type(value).__name__ == "Compose" and hasattr(value, "transforms")


def require_decoder_pixels(results: Mapping[str, Any], name: str) -> np.ndarray:
    """Return ``results['img']`` as the decoder gave it: uint8, not resized, moved or padded.

    Loaders with ``to_float32=True`` give the same numbers in float32; :func:`as_loaded` makes
    float32 of a result again.

    Args:
        results: The dictionary of an OpenMMLab pipeline.
        name: Name of the transform that asks, for the message.

    Returns:
        uint8, (H, W, 3) BGR, (H, W) or (H, W, 1) grey.

    Raises:
        PipelineError: There is no image yet, another transform has changed it, or it has another
            dtype or number of channels.
    """
    where = f" ({results['img_path']})" if results.get("img_path") else ""
    image = results.get("img")
    if not isinstance(image, np.ndarray):
        raise PipelineError(
            f"{name}{where}: results['img'] is {_kind(image)}, not an array; {_MOVE}"
        )
    moved = [key for key in _DISPLACED_KEYS if key in results]
    if moved:
        raise PipelineError(
            f"{name}{where} stands behind a transform that resizes, crops, pads or flips: it finds "
            f"{', '.join(moved)} in results. The 8x8 grid of the JPEG is gone there; {_MOVE}"
        )
    original = results.get("ori_shape")
    if original is not None and tuple(original[:2]) != image.shape[:2]:
        raise PipelineError(
            f"{name}{where}: the image is {image.shape[:2]} but was loaded as "
            f"{tuple(original[:2])} (H, W): it was cropped, resized or padded before; {_MOVE}"
        )
    if image.dtype == np.float32:  # what loaders with to_float32=True make of uint8
        whole = np.clip(np.nan_to_num(image), 0, 255).astype(np.uint8)
        image = whole if np.array_equal(whole, image) else image
    if image.dtype != np.uint8:
        raise PipelineError(
            f"{name}{where}: the image is {image.dtype}; give uint8 as decoded, or whole numbers "
            "of 0-255 in float32: for 16-bit files set color_type='color' in LoadImageFromFile"
        )
    channels = image.shape[2:] or (1,)
    if image.ndim not in (2, 3) or channels[0] not in (1, 3) or not image.size:
        raise PipelineError(
            f"{name}{where}: the image has shape {image.shape}; give (H, W, 3) or (H, W): set "
            "color_type='color' in LoadImageFromFile, or drop the alpha channel of an array: "
            "image[..., :3]"
        )
    return image


def as_loaded(results: Mapping[str, Any], pixels: np.ndarray) -> np.ndarray:
    """Return uint8 ``pixels`` in the dtype of ``results['img']``, which they are to replace."""
    return pixels.astype(results["img"].dtype, copy=False)


def _kind(value: object) -> str:
    return "missing" if value is None else type(value).__name__
