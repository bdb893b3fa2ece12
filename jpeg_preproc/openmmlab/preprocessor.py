"""Data preprocessors that restore on the model's device, then do what the stock ones do.

The pipeline in front hands on the image as the decoder gave it
(:class:`~jpeg_preproc.openmmlab.defer.JpegDefer`), because a data preprocessor would otherwise
see it resized, with its 8x8 grid gone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, ClassVar, TypeGuard

import numpy as np
import torch
from mmengine.dataset import pseudo_collate
from mmengine.model import BaseDataPreprocessor
from mmengine.registry import MODELS
from torch import Tensor

from jpeg_preproc.defaults import MAX_PIXELS, MODEL_RESTORER, TILE
from jpeg_preproc.errors import PipelineError
from jpeg_preproc.jpeg import QfChoice, validate_quality
from jpeg_preproc.openmmlab.defer import DeferredImage, finish
from jpeg_preproc.openmmlab.restore import restore_loaded
from jpeg_preproc.restorers.engine import DTYPES, JpegRestorer

# What an image was restored to: the image, in its own layout, and its ``jpeg_quality``.
_Result = tuple[np.ndarray, dict[str, Any]]


class _JpegRestoreDataPreprocessor(BaseDataPreprocessor):
    """What both share; see :class:`JpegRestoreDetDataPreprocessor`."""

    #: The stock preprocessor that stands behind it if none is given.
    default_stock: ClassVar[str]

    def __init__(
        self,
        data_preprocessor: Mapping[str, Any] | None = None,
        restorer: str = MODEL_RESTORER,
        qf: QfChoice = "auto",
        dtype: str = "fp32",
        tile: int | None = TILE,
        batch_size: int = 8,
        compile: bool = False,
        strength: float | None = None,
        max_pixels: int | None = MAX_PIXELS,
    ) -> None:
        super().__init__()
        if dtype not in DTYPES:
            kind = type(self).__name__
            raise PipelineError(f"{kind}: dtype {dtype!r} is none of {', '.join(DTYPES)}")
        self.stock = MODELS.build(dict(data_preprocessor or {"type": self.default_stock}))
        self.restorer = restorer
        self.qf = validate_quality(qf)
        self._dtype = DTYPES[dtype]
        # The engine is no module, so torch does not see the network in it: it stays out of
        # parameters(), state_dict(), optimizers and checkpoints. _apply() lets it follow.
        self.engine = JpegRestorer(
            restorer,
            dtype=dtype,
            tile=tile,
            batch_size=batch_size,
            consistent=True,  # of images whose JPEG the pipeline hands on
            strength=strength,
            compile=compile,
            max_pixels=max_pixels,
        )
        self._views: list[tuple[Tensor, DeferredImage, _Result]] = []
        #: Entered while images are restored; a clock that is put here measures how long that takes.
        self.restoring: Callable[[], AbstractContextManager[None]] = nullcontext

    def forward(self, data: Mapping[str, Any], training: bool = False) -> dict[str, Any]:
        """Restore the images, run what the pipeline has left, and call the stock preprocessor.

        Args:
            data: Batch of ``inputs``, uint8 (C, H, W) each, of any sizes, and ``data_samples``,
                both from ``JpegDefer``. In training a stock batch is taken too: it goes to the
                stock preprocessor as it is, and its images are not restored.
            training: Whether the model trains, which the stock preprocessor is told.

        Returns:
            What the stock preprocessor returns.

        Raises:
            PipelineError: Images are not from ``JpegDefer``; one is grey and the model takes
                colour; or their sizes differ once resized and the stock preprocessor cannot stack
                them, as mmseg's cannot in testing.
        """
        # Called on this one, .to() moves the stock one's buffers but does not set its device.
        if self.stock.device != self.device:
            self.stock.to(self.device)
        inputs, samples = data["inputs"], data.get("data_samples")
        if not _all_deferred(samples):
            if training:
                return self.stock(data, training)
            raise PipelineError(
                f"{type(self).__name__} got images that are not from JpegDefer, so they were "
                "resized already: put JpegDefer directly behind LoadImageFromFile, with the rest "
                "of the pipeline as its transforms, as with_jpeg_restore(cfg, "
                "where='preprocessor') does"
            )
        restored = self._restore(list(inputs), samples)
        packed = [finish(sample, *result) for sample, result in zip(samples, restored, strict=True)]
        batch = pseudo_collate([{key: one[key] for key in packed[0]} for one in packed])
        self._check_channels(batch["inputs"], samples)
        try:
            return self.stock(batch, training)
        except AssertionError as error:  # mmseg's, where it would have to pad
            sizes = {
                tuple(image.shape[-2:]): sample.path or "an array"
                for image, sample in zip(batch["inputs"], samples, strict=True)
            }
            if len(sizes) == 1:
                raise
            named = ", ".join(f"{size} of {path}" for size, path in sizes.items())
            raise PipelineError(
                f"{type(self.stock).__name__} cannot make a batch of images that differ in size "
                f"once resized, (H, W) {named}: {error} Set batch_size=1 in the dataloader, or "
                "keep_ratio=False in Resize"
            ) from error

    def _restore(self, inputs: Sequence[Tensor], samples: Sequence[DeferredImage]) -> list[_Result]:
        """Return the restored images of a batch.

        Under test-time augmentation the same batch comes once for each view: it is restored for the
        first one, and the results are kept for the others.
        """
        if len(self._views) == len(samples) and all(
            sample.origin == other.origin and torch.equal(image, known)
            for (known, other, _), image, sample in zip(self._views, inputs, samples, strict=True)
        ):
            return [(image.copy(), quality) for _, _, (image, quality) in self._views]
        with self.restoring():
            results = restore_loaded(
                self.engine,
                [
                    np.ascontiguousarray(image.permute(1, 2, 0).cpu().numpy()).reshape(
                        sample.layout
                    )
                    for image, sample in zip(inputs, samples, strict=True)
                ],
                [sample.origin for sample in samples],
                [sample.path for sample in samples],
                self.qf,
                self.restorer,
            )
        if not all(sample.views > 1 for sample in samples):
            self._views = []
            return results
        self._views = list(zip(inputs, samples, results, strict=True))
        # A transform may write into the image that it gets.
        return [(image.copy(), quality) for image, quality in results]

    def _check_channels(self, images: Sequence[Tensor], samples: Sequence[DeferredImage]) -> None:
        """Refuse grey pixels for a colour model, which stock code fails on in its own terms."""
        mean = getattr(self.stock, "mean", None)
        for image, sample in zip(images, samples, strict=True):
            if mean is not None and len(mean) == 3 and len(image) != 3:
                raise PipelineError(
                    f"{sample.path or 'an image'} has {len(image)} channel(s), but this model "
                    f"takes 3 ({type(self.stock).__name__} has 3 means): set color_type='color' "
                    "in LoadImageFromFile, or give (H, W, 3) arrays"
                )

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Any:
        """Let the restorer follow ``.to()``, ``.cuda()``, ``.half()``, ``.float()`` and so on."""
        super()._apply(fn, recurse)
        engine = self.engine
        weights = next(engine.network._apply(fn).parameters())
        if weights.dtype is torch.float64:  # images and tables are fp32
            weights = next(engine.network.float().parameters())
        engine.device = weights.device
        # Autocast takes fp32 images to half weights.
        engine.dtype = self._dtype if weights.dtype is torch.float32 else weights.dtype
        return self

    def state_dict(self, *args: Any, prefix: str = "", **kwargs: Any) -> Any:
        """Return the stock preprocessor's state, under the names it has without this one."""
        return self.stock.state_dict(*args, prefix=prefix, **kwargs)

    def _load_from_state_dict(self, state: dict[str, Any], prefix: str, *rest: Any) -> None:
        """Take a checkpoint of the stock model: its names are those of :meth:`state_dict`."""
        for key in [key for key in state if key.startswith(prefix)]:
            state[f"{prefix}stock.{key.removeprefix(prefix)}"] = state.pop(key)
        super()._load_from_state_dict(state, prefix, *rest)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_views": []}


@MODELS.register_module()
class JpegRestoreDetDataPreprocessor(_JpegRestoreDataPreprocessor):
    """Restore a detector's images on its device, then do what its own preprocessor does.

    The test pipeline is ``LoadImageFromFile``, ``JpegDefer``. For each batch the images are
    restored as their files store them, those of equal shape together; the transforms left by
    ``JpegDefer`` run in their order, ``Resize`` being mmcv's own; and the batch goes to the stock
    preprocessor, which normalises, pads and stacks. Boxes, masks and ground truth are thus what
    they are with ``JpegRestore`` in the pipeline, and so is the ``jpeg_quality`` of each image.

    The restorer's weights are no part of the model: not of ``parameters()``, ``state_dict()``,
    optimizers and checkpoints, and a checkpoint of the stock model loads strictly. They follow
    ``.to()``, ``.cuda()``, ``.half()`` and ``.float()``. With ``TestTimeAug`` each image is
    restored once for all its views.

    Args:
        data_preprocessor: Config of the stock preprocessor; ``None`` for ``DetDataPreprocessor()``.
        restorer: Name of shipped weights, or a ``.safetensors`` file.
        qf: Quality to restore by, as
            :class:`~jpeg_preproc.openmmlab.transforms.JpegRestore` takes it.
        dtype: ``'fp32'``, ``'bf16'`` or ``'fp16'`` for the restorer's convolutions. A model in
            half precision takes the restorer along.
        tile: Side of the tiles that larger images are cut into, pixels; ``None`` never cuts.
        batch_size: Most images that are restored together.
        compile: Run the restorer through ``torch.compile``; see
            :class:`~jpeg_preproc.restorers.engine.JpegRestorer`.
        strength: Share of the correction that is made, 0-1; ``None`` for what the weights say.
        max_pixels: An image of more pixels is left as it is; ``None`` restores any.

    Raises:
        UnknownRestorerError: There is no such restorer.
        WeightsError: The weights file is damaged.
        QualityError: ``qf`` is not a quality.
        PipelineError: ``dtype`` is unknown. For a batch: see :meth:`forward`.
    """

    default_stock = "mmdet.DetDataPreprocessor"


@MODELS.register_module()
class JpegRestoreSegDataPreprocessor(_JpegRestoreDataPreprocessor):
    """Restore a segmenter's images on its device, then do what its own preprocessor does.

    It differs from :class:`JpegRestoreDetDataPreprocessor`, which says the rest, in the stock
    preprocessor alone: here that is ``SegDataPreProcessor``.

    Args:
        data_preprocessor: Config of the stock preprocessor; ``None`` for ``SegDataPreProcessor()``.
        restorer: Name of shipped weights, or a ``.safetensors`` file.
        qf: Quality to restore by, as
            :class:`~jpeg_preproc.openmmlab.transforms.JpegRestore` takes it.
        dtype: ``'fp32'``, ``'bf16'`` or ``'fp16'`` for the restorer's convolutions. A model in
            half precision takes the restorer along.
        tile: Side of the tiles that larger images are cut into, pixels; ``None`` never cuts.
        batch_size: Most images that are restored together.
        compile: Run the restorer through ``torch.compile``; see
            :class:`~jpeg_preproc.restorers.engine.JpegRestorer`.
        strength: Share of the correction that is made, 0-1; ``None`` for what the weights say.
        max_pixels: An image of more pixels is left as it is; ``None`` restores any.
    """

    default_stock = "mmseg.SegDataPreProcessor"


def _all_deferred(samples: object) -> TypeGuard[Sequence[DeferredImage]]:
    return (
        isinstance(samples, (list, tuple))
        and bool(samples)
        and all(isinstance(sample, DeferredImage) for sample in samples)
    )
