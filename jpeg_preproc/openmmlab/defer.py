"""``JpegDefer``: hand an image on as it was decoded, with all that its pipeline still has to do."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from mmcv.transforms import BaseTransform
from mmengine.registry import TRANSFORMS
from mmengine.structures import BaseDataElement
from torch import Tensor

from jpeg_preproc.errors import PipelineError
from jpeg_preproc.openmmlab.place import JPEG_TRANSFORMS, require_decoder_pixels, transform_name
from jpeg_preproc.openmmlab.restore import image_path
from jpeg_preproc.openmmlab.source import JpegOrigin, find_origin

# What the datasets of mmdet and mmseg leave for LoadAnnotations and its like.
_ANNOTATION_KEYS = ("instances", "seg_map_path", "depth_map_path")


class DeferredImage(BaseDataElement):
    """What stands in ``data_samples`` until the data preprocessor has made the real one.

    Attributes:
        results: The pipeline's dictionary without the image.
        steps: The transforms, built, that are still to run, the packing one last.
        origin: The JPEG that the image was decoded from.
        layout: Shape of the image as it was loaded, (H, W, C) or (H, W).
        dtype: Its dtype as it was loaded, uint8 or float32.
        views: How many augmented views of the image there are; 1 without ``TestTimeAug``.
    """

    results: dict[str, Any]
    steps: list[Any]
    origin: JpegOrigin
    layout: tuple[int, ...]
    dtype: np.dtype[Any]
    views: int

    @property
    def path(self) -> str | None:
        """The image's file; ``None`` for an array."""
        return image_path(self.results)

    @property
    def metainfo(self) -> dict[str, Any]:
        """Refuse: only a stock model asks for this, and it cannot use the image.

        Raises:
            PipelineError: Always.
        """
        raise PipelineError(
            f"{self.path or 'an image'} comes from JpegDefer, neither restored nor resized, and "
            "this model's data preprocessor does not know what that is: wrap it in "
            "JpegRestoreDetDataPreprocessor or JpegRestoreSegDataPreprocessor, as "
            "with_jpeg_restore(cfg, where='preprocessor') does"
        )

    def set_metainfo(self, metainfo: dict[str, Any]) -> None:
        """Refuse as :attr:`metainfo` does, but for the empty dictionary of a copy."""
        if metainfo:
            _ = self.metainfo


@TRANSFORMS.register_module()
class JpegDefer(BaseTransform):
    """Leave the rest of the pipeline to the data preprocessor, which restores the image first.

    It stands directly behind ``LoadImageFromFile`` (or ``JpegCompress``) and takes all transforms
    that stood there, in their order: ``Resize``, ``LoadAnnotations``, ``PackDetInputs`` and so on,
    or ``TestTimeAug``. They see what they would have seen behind ``JpegRestore``, and they run in
    the process of the model. The model needs a ``JpegRestoreDetDataPreprocessor`` or
    ``JpegRestoreSegDataPreprocessor``; :func:`~jpeg_preproc.openmmlab.convert.with_jpeg_restore`
    writes both.

    No annotations are loaded for an image that no dataset has annotated, such as those that the
    inferencers of mmdet and mmseg pass.

    Required Keys:

    - img (uint8, or the same numbers in float32; (H, W, 3) BGR, (H, W) or (H, W, 1) grey)
    - img_path (optional; absent or ``None`` for an image that is not from a file)
    - jpeg_quality (optional; left by ``JpegCompress`` or ``JpegCorrupt``, and then used instead of
      the file's)

    Modified Keys:

    - all but img move into ``data_samples``

    Added Keys:

    - inputs (uint8 tensor (C, H, W), as decoded)
    - data_samples (:class:`DeferredImage`); behind ``TestTimeAug`` both are lists over its views

    Args:
        transforms: Configs of the transforms to leave.
        backend_args: File backend to read ``img_path`` with; as in ``LoadImageFromFile``.
        color_type: As in ``LoadImageFromFile``: with ``'color'`` a grey array, which the loader
            leaves grey, gets three equal channels as a grey file does.
        consistent: Hand the JPEG itself on as well, so that the result is made consistent with it;
            see :class:`~jpeg_preproc.openmmlab.transforms.JpegRestore`.
        strict: Refuse an image whose file's tables cannot be used; see there.

    Raises:
        PipelineError: At construction: a JPEG transform, or nothing, among ``transforms``. At a
            place behind ``Resize``, ``Crop``, ``Pad``, ``Flip`` and their like, or an image of
            another dtype or number of channels.
        ImageReadError: The file is missing; with ``strict``, also corrupt, truncated or CMYK.
    """

    def __init__(
        self,
        transforms: Sequence[Mapping[str, Any]],
        backend_args: dict[str, Any] | None = None,
        color_type: str = "unchanged",
        consistent: bool = False,
        strict: bool = False,
    ) -> None:
        names = [transform_name(step) for step in transforms]
        if inside := [name for name in names if name in JPEG_TRANSFORMS]:
            raise PipelineError(
                f"{inside[0]} stands in JpegDefer, behind which the image is restored: put "
                "JpegCompress before JpegDefer, and leave out a second JpegRestore"
            )
        if not names:
            raise PipelineError(
                "JpegDefer has no transforms; give it all that stood behind LoadImageFromFile, "
                "the last being PackDetInputs or PackSegInputs"
            )
        self.transforms = [TRANSFORMS.build(step) for step in transforms]
        self.backend_args = dict(backend_args) if backend_args else None
        self.color_type = color_type
        self.consistent = consistent
        self.strict = strict

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Return the image, unchanged, and what is to be done to it; see the class for keys."""
        image = require_decoder_pixels(results, type(self).__name__)
        origin = find_origin(
            results,
            image,
            type(self).__name__,
            self.backend_args,
            self.color_type,
            with_data=self.consistent,
            strict=self.strict,
        )
        pixels = image[..., None] if image.ndim == 2 else image
        inputs = torch.from_numpy(np.ascontiguousarray(pixels.transpose(2, 0, 1)))
        rest = {key: value for key, value in results.items() if key != "img"}
        samples = []
        for steps in (views := self._views()):
            sample = DeferredImage()
            sample.set_data(
                {
                    # Each view gets its own: transforms append to lists among the results.
                    "results": copy.deepcopy(rest) if len(views) > 1 else rest,
                    "steps": self._needed(steps, rest),
                    "origin": origin,
                    "layout": image.shape,
                    "dtype": results["img"].dtype,
                    "views": len(views),
                }
            )
            samples.append(sample)
        if not self._augments:
            return {"inputs": inputs, "data_samples": samples[0]}
        return {"inputs": [inputs] * len(samples), "data_samples": samples}

    @property
    def _augments(self) -> bool:
        return transform_name(self.transforms[-1]) == "TestTimeAug"

    def _views(self) -> list[list[Any]]:
        """Return the transforms of each view: one list, or one for each path of TestTimeAug."""
        if not self._augments:
            return [self.transforms]
        *first, augment = self.transforms
        return [[*first, *path.transforms] for path in augment.subroutines]

    def _needed(self, steps: list[Any], results: Mapping[str, Any]) -> list[Any]:
        """Leave the annotation loaders out where there is nothing to load, as inferencers do."""
        if any(key in results for key in _ANNOTATION_KEYS):
            return steps
        return [step for step in steps if not _loads_annotations(step)]

    def __repr__(self) -> str:
        return (
            f"{type(self).__name__}(transforms={self.transforms}, backend_args={self.backend_args})"
        )


def _loads_annotations(transform: object) -> bool:
    name = transform_name(transform)
    return name.startswith("Load") and "Annotation" in name


def finish(sample: DeferredImage, image: np.ndarray, quality: dict[str, Any]) -> dict[str, Any]:
    """Run the transforms that :class:`JpegDefer` left, on the restored image.

    Args:
        sample: What :class:`JpegDefer` has put into ``data_samples``.
        image: The restored image, in the layout in which it was loaded.
        quality: What the restorer went by, for the key ``jpeg_quality``.

    Returns:
        ``inputs`` and ``data_samples`` as the pipeline's packing transform makes them.

    Raises:
        PipelineError: The transforms do not pack the image.
    """
    pixels = image.astype(sample.dtype, copy=False)
    results: dict[str, Any] | None = {**sample.results, "img": pixels, "jpeg_quality": quality}
    for step in sample.steps:
        results = step(results)
        if results is None:
            break
    if not results or not isinstance(results.get("inputs"), Tensor):
        raise PipelineError(
            f"{sample.path or 'an image'}: the transforms in JpegDefer "
            f"({', '.join(map(transform_name, sample.steps))}) do not pack it; the last must be "
            "PackDetInputs or PackSegInputs"
        )
    return results
