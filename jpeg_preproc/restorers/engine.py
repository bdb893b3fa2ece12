"""From real images to restored ones: read, learn the quality, pad, tile, batch, run."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, overload

import numpy as np
import torch
from torch import Tensor

from jpeg_preproc.defaults import IMAGE_RESTORER, MAX_PIXELS, TILE
from jpeg_preproc.errors import QualityError, UnknownRestorerError, errors_named
from jpeg_preproc.jpeg import QfChoice, apply_orientation
from jpeg_preproc.jpeg.samples import FileSamples, read_samples
from jpeg_preproc.restorers.colour import from_planes, stack_planes, to_planes
from jpeg_preproc.restorers.consistency import FileBatch, project_to_pixels, samples_of
from jpeg_preproc.restorers.contract import Quality, Restorer
from jpeg_preproc.restorers.device import autocast, to_channels_last, usable_device
from jpeg_preproc.restorers.inputs import DecodedImage, ImageInput, decode_input
from jpeg_preproc.restorers.memory import FreedMemory, keep_fewer_primitives
from jpeg_preproc.restorers.quality import (
    ImageQuality,
    QualitySource,
    find_quality,
    validate_strength,
)
from jpeg_preproc.restorers.regions import join_parts
from jpeg_preproc.restorers.tiling import run_tiled
from jpeg_preproc.restorers.weights import WeightsManifest, load_weights

#: Called with how many tiles are done, and of how many.
OnTile = Callable[[int, int], None]

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


@dataclass(frozen=True)
class Restored:
    """One result.

    Attributes:
        image: Pixels, uint8, (H, W, 3) RGB, or (H, W) for a grey input; upright as viewers show it
            from a call, in stored orientation from :meth:`JpegRestorer.restore`.
        qf: Quality factor it was restored by; ``None`` when blind.
        source: Where that is from; see :data:`~jpeg_preproc.restorers.quality.QualitySource`. Of a
            network that was left blind and predicts the quality itself, such as FBCNN, it is
            ``'estimated'``.
        qtables: Tables it was restored by, (T, 8, 8); ``None`` when blind.
        consistent: Whether it was made consistent with its file.
        confidence: How sure that quality is, 0-1; ``None`` when blind; see
            :class:`~jpeg_preproc.restorers.quality.ImageQuality`.
        part_qfs: Quality factors of the parts of an image whose parts were compressed unlike, the
            largest one's first; empty where all of it is alike.
    """

    image: np.ndarray
    qf: int | None
    source: QualitySource
    qtables: np.ndarray | None = None
    consistent: bool = False
    confidence: float | None = None
    part_qfs: tuple[int | None, ...] = ()


class JpegRestorer:
    """Remove JPEG artifacts from images.

    Args:
        restorer: A name with shipped weights, the path of a safetensors file with its manifest,
            or a network.
        device: Device of torch, such as ``'cpu'`` or ``'cuda:0'``.
        dtype: ``'fp32'``, ``'bf16'`` or ``'fp16'`` for the convolutions; images stay fp32.
        tile: Side of the tiles that images larger than it are cut into; ``None`` never cuts.
        batch_size: Images of equal shape that are run together.
        consistent: Move what comes out of the network to where the file says that the original
            was: into the intervals in which its DCT coefficients lay. It applies to JPEG files,
            as paths or bytes, restored by their own tables; anything else is restored without it,
            and :attr:`Restored.consistent` tells.
        strength: Share of the correction that is made, 0-1: 0 leaves an image as it is, 1 restores
            it. Without, what the weights' manifest says for an image's quality, else 1.
        compile: Run the network through ``torch.compile``. The first image takes about half a
            minute, and so does the first of a second size; what is compiled then serves all sizes.
        max_pixels: Most pixels of a file that is read; ``None`` for any number. Pixels that are
            given are restored whatever their number.

    Raises:
        UnknownRestorerError: Unknown name or ``dtype``.
        QualityError: ``strength`` is outside 0-1.
        DeviceError: An unknown or absent ``device``, or a ``dtype`` that this torch lacks on it.
        WeightsError: A damaged or ill-fitting weights file.

    Example:
        >>> from jpeg_preproc import JpegRestorer, compress_jpeg
        >>> jpeg = compress_jpeg(np.full((24, 40, 3), 128, np.uint8), qf=10)
        >>> result = JpegRestorer()(jpeg)
        >>> result.image.shape, result.qf, result.source
        ((24, 40, 3), 10, 'file')
    """

    def __init__(
        self,
        restorer: str | os.PathLike[str] | Restorer = IMAGE_RESTORER,
        device: str | torch.device = "cpu",
        dtype: str = "fp32",
        tile: int | None = TILE,
        batch_size: int = 8,
        consistent: bool = False,
        compile: bool = False,
        strength: float | None = None,
        max_pixels: int | None = MAX_PIXELS,
    ) -> None:
        if dtype not in DTYPES:
            raise UnknownRestorerError(f"dtype {dtype!r} is none of {', '.join(DTYPES)}")
        self.strength = None if strength is None else validate_strength(strength)
        if batch_size < 1 or (tile is not None and tile < 1):
            raise ValueError(f"batch_size ({batch_size}) and tile ({tile}) must be at least 1")
        self.device = usable_device(device)
        keep_fewer_primitives()
        self._freed = FreedMemory()
        self.manifest: WeightsManifest | None = None
        if isinstance(restorer, Restorer):
            network = restorer.eval()
        else:
            network, self.manifest = load_weights(restorer)
        self.name = self.manifest.name if self.manifest else type(network).__name__
        self.network = network.to(self.device)
        to_channels_last(self.network)
        # Shares the weights, and follows them when they are moved.
        self._run = torch.compile(self.network) if compile else self.network
        self.dtype = DTYPES[dtype]
        autocast(self.device, self.dtype)  # refuses now, not at the first image
        self.tile = tile
        self.batch_size = batch_size
        self.consistent = consistent
        self.max_pixels = max_pixels

    @overload
    def __call__(
        self,
        image: ImageInput,
        qf: QfChoice = ...,
        qtables: np.ndarray | None = ...,
        on_tile: OnTile | None = ...,
    ) -> Restored: ...

    @overload
    def __call__(
        self,
        image: list[Any] | tuple[Any, ...],
        qf: QfChoice = ...,
        qtables: np.ndarray | None = ...,
        on_tile: OnTile | None = ...,
    ) -> list[Restored]: ...

    def __call__(
        self,
        image: ImageInput | list[Any] | tuple[Any, ...],
        qf: QfChoice = "auto",
        qtables: np.ndarray | None = None,
        on_tile: OnTile | None = None,
    ) -> Restored | list[Restored]:
        """Restore one image, or a list or tuple of them, to one result or a list.

        Args:
            image: A path, the bytes of an image file, or uint8 pixels as the decoder gave them:
                (H, W, 3) RGB or (H, W) grey, of any size.
            qf: ``'auto'`` goes by the quality that the image really has: a JPEG file's own tables,
                unless the pixels look coarser, as after a crop, a resize or a second, weaker
                compression; then by what the pixels show. ``'file'`` trusts the file, and
                estimates the quality of anything else from its pixels; ``'blind'`` lets the
                network judge; or a factor, 1-100.
            qtables: Tables in natural order, (T, 8, 8), that overrule ``qf``.
            on_tile: Called after each tile of an image, or of a batch of equal shape.

        Raises:
            ImageReadError: Not an image, a kind that is not supported, or pixels of another
                dtype or shape.
            QualityError: ``qf`` or ``qtables`` out of range, or quality needed and not given.
        """
        items = image if isinstance(image, (list, tuple)) else [image]
        decoded = [decode_input(item, self.max_pixels) for item in items]
        restored = self.restore([item for item, _ in decoded], qf, qtables, on_tile)
        results = [
            replace(result, image=apply_orientation(result.image, orientation))
            for result, (_, orientation) in zip(restored, decoded, strict=True)
        ]
        return results if isinstance(image, (list, tuple)) else results[0]

    def restore(
        self,
        images: Sequence[DecodedImage],
        qf: QfChoice = "auto",
        qtables: np.ndarray | None = None,
        on_tile: OnTile | None = None,
    ) -> list[Restored]:
        """Restore decoded images, those of equal shape together.

        A restorer that is ``consistent`` makes each image that has the bytes of its file, and is
        restored by that file's tables, consistent with it.

        Args:
            images: Images as they were decoded; they are not changed.
            qf: What to go by, for all images; see :data:`~jpeg_preproc.jpeg.QfChoice`.
            qtables: Tables in natural order, (T, 8, 8), that overrule ``qf`` for all images.
            on_tile: Called after each tile of an image, or of a batch of equal shape.

        Returns:
            One result for each image, in stored orientation like these.

        Raises:
            QualityError: ``qf`` or ``qtables`` out of range, or quality needed and not given.
            ImageReadError: An image whose file is another one's, or corrupt.
        """
        found, pixels, qualities, files = [], [], [], []
        for image in images:
            with errors_named(image.name):
                quality = find_quality(image, qf, qtables, self.network.spec.quality != "ignored")
                if self.network.spec.quality == "required" and quality.qtables is None:
                    raise QualityError(
                        f"{self.name} needs the quality of each image: give qf or qtables"
                    )
                file = self._samples(image, quality)
            found.append((quality, file is not None))
            for one in quality.parts or (quality,):
                pixels.append(_on_its_grid(image.pixels, one.corner))
                qualities.append(one)
                files.append(file)
        with errors_named(images[0].name if len(images) == 1 else None):
            restored = iter(self._restore(pixels, qualities, on_tile, files))
        results = []
        for image, (q, is_consistent) in zip(images, found, strict=True):
            result, own = next(restored)
            if q.of_cell is not None:
                others = [next(restored)[0] for _ in q.parts[1:]]
                result = join_parts([result, *others], q.of_cell)
            factor, source = (own, "estimated") if q.qf is None and own else (q.qf, q.source)
            added = [new - old for new, old in zip(result.shape, image.pixels.shape, strict=True)]
            result = result[added[0] :, added[1] :]
            parts = tuple(one.qf for one in q.parts)
            results.append(
                Restored(result, factor, source, q.qtables, is_consistent, q.confidence, parts)
            )
        return results

    def _strength(self, qf: int | None) -> float:
        """Return the share of the correction that is made of an image of this quality."""
        if self.strength is not None:
            return self.strength
        return 1.0 if self.manifest is None else self.manifest.strength_at(qf)

    def _samples(self, image: DecodedImage, quality: ImageQuality) -> FileSamples | None:
        """Return what the file of an image stores, where the result is to be consistent with it."""
        if not self.consistent or quality.source != "file" or image.data is None or quality.parts:
            return None
        file = read_samples(image.data, image.name or None)
        return None if file is None else samples_of(image.pixels, file)

    def _restore(
        self,
        images: Sequence[np.ndarray],
        qualities: Sequence[ImageQuality],
        on_tile: OnTile | None,
        files: Sequence[FileSamples | None],
    ) -> list[tuple[np.ndarray, int | None]]:
        """Return the restored pixels, and the factor that the network says it went by."""
        groups: dict[tuple[object, ...], list[int]] = defaultdict(list)
        for index, (image, q, file) in enumerate(zip(images, qualities, files, strict=True)):
            if q.is_clean:
                continue
            kind = None if file is None else (len(file.planes), file.chroma_pixels)
            groups[image.shape, q.qtables is None, kind].append(index)
        results: list[tuple[np.ndarray, int | None]] = [(image.copy(), None) for image in images]
        for members in groups.values():
            for start in range(0, len(members), self.batch_size):
                chosen = members[start : start + self.batch_size]
                restored = self._restore_batch(
                    [images[index] for index in chosen],
                    [qualities[index] for index in chosen],
                    on_tile,
                    [file for index in chosen if (file := files[index]) is not None],
                )
                for index, result in zip(chosen, restored, strict=True):
                    results[index] = result
        return results

    @torch.inference_mode()
    def _restore_batch(
        self,
        images: list[np.ndarray],
        qualities: list[ImageQuality],
        on_tile: OnTile | None,
        files: list[FileSamples],
    ) -> list[tuple[np.ndarray, int | None]]:
        """Restore images of one shape whose quality, and whose files, are known of all or none."""
        planes = [to_planes(image, self.network.channels) for image in images]
        multiple = self.network.spec.size_multiple
        batch = torch.from_numpy(stack_planes([plane for plane, _ in planes], multiple))
        height, width = planes[0][0].shape[-2:]
        kept = [rest for _, rest in planes]
        del planes  # of a padded image they are a copy
        tables = [one.qtables for one in qualities if one.qtables is not None]
        quality = Quality.from_qtables(tables).to(self.device) if tables else None
        factors: list[int | None] = [None] * len(images)
        strengths = [self._strength(one.qf) for one in qualities]
        # Asked of the list: to read it back from a GPU would wait for all that the GPU has to do.
        is_whole = all(strength == 1 for strength in strengths)
        shares = torch.tensor(strengths, device=self.device)
        channels = batch.shape[1]
        known = FileBatch.of(files, *batch.shape[-2:]) if files else None
        if known is not None:  # so that it is cut into the same tiles
            batch = torch.cat([batch, known.planes], dim=1)

        # Whole images stay uint8 and on the host, before and after: only tiles become float.
        def run(tile: Tensor) -> Tensor:
            values = tile[:, :channels].to(self.device).float() / 255
            values = values.contiguous(memory_format=torch.channels_last)
            with autocast(self.device, self.dtype):
                output = self._run(values, quality)
            if output.qf is not None:  # networks that predict it see the whole image, so once
                predicted = output.qf.float().round().clamp(1, 100)
                factors[:] = [int(factor) for factor in predicted.tolist()]
            image = output.image.float()
            if not is_whole:
                image = values + shares[:, None, None, None] * (image - values)
            image = image.clamp(0, 1)
            if known is not None:
                return project_to_pixels(image, replace(known, planes=tile[:, channels:])).cpu()
            return (image * 255).round().to(torch.uint8).cpu()

        radius = self.network.receptive_radius
        tile = None if radius is None else self.tile
        restored = run_tiled(run, batch, tile, radius or 0, on_tile).numpy()
        self._freed.after(batch.shape)
        return [
            (from_planes(plane[:, :height, :width], rest), factor)
            for plane, rest, factor in zip(restored, kept, factors, strict=True)
        ]


def _on_its_grid(pixels: np.ndarray, corner: tuple[int, int]) -> np.ndarray:
    """Return pixels with rows and columns added in front, so that the grid starts at the corner."""
    if corner == (0, 0):
        return pixels
    added = [(-start % 8, 0) for start in corner] + [(0, 0)] * (pixels.ndim - 2)
    return np.pad(pixels, added, mode="symmetric")
