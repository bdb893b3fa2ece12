"""The pipeline transforms ``JpegCompress``, ``JpegCorrupt`` and ``JpegRestore``."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from mmcv.transforms import BaseTransform
from mmengine.registry import TRANSFORMS

from jpeg_preproc.corruptions import Corruption, Jpeg, parse_corruption
from jpeg_preproc.defaults import MAX_PIXELS, MODEL_RESTORER, TILE
from jpeg_preproc.errors import PipelineError, QualityError, errors_named
from jpeg_preproc.jpeg import (
    SUBSAMPLINGS,
    QfChoice,
    apply_orientation,
    nearest_qf,
    validate_qf,
    validate_quality,
)
from jpeg_preproc.openmmlab.device import require_device
from jpeg_preproc.openmmlab.pixels import in_layout_of, rgb_or_grey
from jpeg_preproc.openmmlab.place import as_loaded, require_decoder_pixels
from jpeg_preproc.openmmlab.restore import image_path, restore_loaded
from jpeg_preproc.openmmlab.source import find_origin, loader_orientation, undo_orientation
from jpeg_preproc.restorers.engine import DTYPES, JpegRestorer
from jpeg_preproc.restorers.keeping import KeepingRestorer
from jpeg_preproc.restorers.quality import validate_strength
from jpeg_preproc.restorers.weights import weights_path

#: Key of the record that :class:`JpegCorrupt` leaves in ``results`` and in data samples.
CORRUPTION_KEY = "jpeg_corruption"


# Registered in mmengine's root: the child registries of mmdet, mmseg, ... look there last.
@TRANSFORMS.register_module()
class JpegCompress(BaseTransform):
    """Compress and decode the image at a JPEG quality, as Pillow and OpenCV do, bit for bit.

    It stands directly behind ``LoadImageFromFile`` and compresses what that gave; a file that is
    JPEG itself is thus compressed a second time. An image that the loader has turned, by its EXIF
    orientation, is compressed as its file stores it and turned again.

    With a range of qualities it draws one for each image, and with ``prob`` below 1 it leaves some
    as they are, so that a detector can be trained on JPEG. Both are drawn from NumPy's global
    generator, which mmengine seeds in every dataloader worker.

    Required Keys:

    - img (uint8, or the same numbers in float32; (H, W, 3) BGR, (H, W) or (H, W, 1) grey)
    - img_path (optional; absent or ``None`` for an image that is not from a file)

    Modified Keys:

    - img (same shape and dtype)

    Added Keys:

    - jpeg_quality (dict): ``qf``, ``source='given'``, ``qtables`` (T, 8, 8) in natural order,
      ``subsampling`` and ``orientation``; what a ``JpegRestore`` behind it goes by.
    - jpeg_data (bytes): the JPEG itself, for a ``JpegRestore`` that is ``consistent``.

    Args:
        qf: Quality of libjpeg, 1-100, or the lowest and the highest of those to draw from, both
            included.
        subsampling: ``'4:4:4'``, ``'4:2:2'``, ``'4:2:0'``, or ``'grey'``, which keeps luma alone.
        prob: Share of the images that are compressed, 0-1.
        backend_args: File backend to read ``img_path`` with, as in ``LoadImageFromFile``.

    Raises:
        QualityError: At construction: a quality, range or subsampling that does not exist.
        PipelineError: At construction: a ``prob`` outside 0-1. At a place behind ``Resize``,
            ``Crop``, ``Pad``, ``Flip`` and their like, or an image of another dtype or number of
            channels.
    """

    def __init__(
        self,
        qf: int | Sequence[int],
        subsampling: str = "4:2:0",
        prob: float = 1.0,
        backend_args: dict[str, Any] | None = None,
    ) -> None:
        self.low, self.high = _quality_range(qf)
        if subsampling not in SUBSAMPLINGS:
            raise QualityError(
                f"JPEG subsampling {subsampling!r} is unknown; give one of "
                f"{', '.join(SUBSAMPLINGS)}"
            )
        if not 0 <= prob <= 1:
            raise PipelineError(f"JpegCompress: prob {prob!r} is no probability; give 0 to 1")
        self.subsampling = subsampling
        self.prob = prob
        self.backend_args = dict(backend_args) if backend_args else None

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Replace ``results['img']`` by its compressed self; see the class for keys."""
        who = type(self).__name__
        image = require_decoder_pixels(results, who)
        if self.prob < 1 and np.random.random_sample() >= self.prob:
            return results
        qf = self.low
        if self.high > self.low:
            qf = int(np.random.randint(self.low, self.high + 1))
        orientation = loader_orientation(results, image, who, self.backend_args)
        with errors_named(image_path(results)):
            made = Jpeg(qf, self.subsampling).apply(
                undo_orientation(rgb_or_grey(image), orientation)
            )
        pixels = in_layout_of(image, apply_orientation(made.pixels, orientation))
        results["img"] = as_loaded(results, pixels)
        results["jpeg_data"] = made.data
        results["jpeg_quality"] = {
            "qf": qf,
            "source": "given",
            "qtables": made.qtables,
            "subsampling": "grey" if made.pixels.ndim == 2 else self.subsampling,
            "orientation": orientation,
        }
        return results

    def __repr__(self) -> str:
        qf = self.low if self.low == self.high else (self.low, self.high)
        return (
            f"{type(self).__name__}(qf={qf}, subsampling={self.subsampling!r}, prob={self.prob}, "
            f"backend_args={self.backend_args})"
        )


def _quality_range(qf: int | Sequence[int]) -> tuple[int, int]:
    """Return the lowest and highest quality of what ``JpegCompress`` was given."""
    if not isinstance(qf, Sequence):
        factor = validate_qf(qf)
        return factor, factor
    if isinstance(qf, str) or len(qf) != 2 or validate_qf(qf[0]) > validate_qf(qf[1]):
        raise QualityError(
            f"JPEG quality range {qf!r} is none; give one quality, or the lowest and the highest, "
            "such as (10, 95)"
        )
    return validate_qf(qf[0]), validate_qf(qf[1])


@TRANSFORMS.register_module()
class JpegCorrupt(BaseTransform):
    """Let one of this package's corruptions happen to the image: a codec, or a JPEG's history.

    It stands directly behind ``LoadImageFromFile``. An image that the loader has turned, by its
    EXIF orientation, is corrupted as its file stores it and turned again. A ``JpegRestore`` behind
    it knows of the image what it would know of such a file: the tables of the last JPEG where the
    corruption ends with one, else nothing.

    A corruption may change the image's size and origin. Annotations that are loaded behind it
    remain in the coordinates of the original: for evaluation, which maps predictions back, that is
    right; to train on such corruptions it is not.

    Required Keys:

    - img (uint8, or the same numbers in float32; (H, W, 3) BGR, (H, W) or (H, W, 1) grey)
    - img_path (optional; absent or ``None`` for an image that is not from a file)

    Modified Keys:

    - img (same dtype)
    - img_shape, ori_shape (where the size changes)

    Added Keys:

    - jpeg_corruption (dict): ``corruption`` (its spelling), ``geometry`` (how the upright image was
      moved, a :class:`~jpeg_preproc.corruptions.Geometry`) and ``bytes`` (of the file made).
    - jpeg_quality (dict): ``qf``, ``source``, ``qtables`` and ``orientation``, as ``JpegCompress``
      leaves them, but that ``source`` is ``'file'``, or ``'estimated'`` without tables.
    - jpeg_data (bytes, or ``None``): the last file, if that is a JPEG.

    Args:
        corruption: Spelling of the corruption, such as ``'webp:30'``; see
            :func:`~jpeg_preproc.corruptions.parse_corruption`.
        seed: Number that decides, with the image's name, what the corruption draws.
        backend_args: File backend to read ``img_path`` with, as in ``LoadImageFromFile``.

    Raises:
        CorruptionError: At construction: there is no such corruption, or a package that it needs
            is not installed.
        PipelineError: At a place behind ``Resize``, ``Crop``, ``Pad``, ``Flip`` and their like,
            or an image of another dtype or number of channels.
    """

    def __init__(
        self,
        corruption: str | Corruption,
        seed: int = 0,
        backend_args: dict[str, Any] | None = None,
    ) -> None:
        self.corruption = parse_corruption(corruption)
        self.corruption.key()  # a package that is missing fails here, not in a worker
        self.seed = seed
        self.backend_args = dict(backend_args) if backend_args else None

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Replace ``results['img']`` by its corrupted self; see the class for keys."""
        who = type(self).__name__
        image = require_decoder_pixels(results, who)
        orientation = loader_orientation(results, image, who, self.backend_args)
        path = image_path(results)
        with errors_named(path):
            made = self.corruption.apply(
                undo_orientation(rgb_or_grey(image), orientation),
                Path(path).name if path else "",
                self.seed,
            )
        pixels = in_layout_of(image, apply_orientation(made.pixels, orientation))
        results["img"] = as_loaded(results, pixels)
        for key in ("img_shape", "ori_shape"):
            if key in results:
                results[key] = results["img"].shape[:2]
        results[CORRUPTION_KEY] = {
            "corruption": self.corruption.spelling,
            "geometry": made.geometry.oriented(orientation),
            "bytes": made.num_bytes,
        }
        tables = made.qtables
        results["jpeg_data"] = None if tables is None else made.data
        results["jpeg_quality"] = {
            "qf": None if tables is None else nearest_qf(tables).qf,
            "source": "estimated" if tables is None else "file",
            "qtables": tables,
            "orientation": orientation,
        }
        return results

    def __repr__(self) -> str:
        return (
            f"{type(self).__name__}(corruption={self.corruption.spelling!r}, seed={self.seed}, "
            f"backend_args={self.backend_args})"
        )


@TRANSFORMS.register_module()
class JpegRestore(BaseTransform):
    """Remove JPEG artifacts from the image, knowing the quantisation tables it was coded with.

    It stands directly behind ``LoadImageFromFile``, or behind a ``JpegCompress`` or ``JpegCorrupt``
    that stands there. A file with an EXIF orientation is restored as stored, where its grid of 8x8
    blocks starts at the corner, and turned again as the loader had turned it.

    What the loader has decoded goes on. An image whose file is refused here (CMYK, truncated,
    lossless), or whose pixels a transform between has changed, is restored without the file's
    tables: by what its pixels show, or not at all where they show nothing; ``jpeg_quality`` says
    so, and why. With ``strict`` it is an error.

    Required Keys:

    - img (uint8, or the same numbers in float32; (H, W, 3) BGR, (H, W) or (H, W, 1) grey)
    - img_path (optional; absent or ``None`` for an image that is not from a file)
    - jpeg_quality (optional; left by ``JpegCompress`` or ``JpegCorrupt``, and then used instead of
      the file's)
    - jpeg_data (optional; left by the same, and then used instead of the file)

    Modified Keys:

    - img (same shape and dtype; see ``color_type``)

    Added Keys:

    - jpeg_quality (dict): what the restorer went by: ``qf`` (nearest libjpeg quality, ``None``
      when blind), ``source`` (``'file'``: the file's own tables; ``'given'``: the config's ``qf``
      or those of ``JpegCompress``; ``'earlier'``: an earlier compression than the file's;
      ``'grid'``: a compression whose grid starts elsewhere than at the corner; ``'estimated'``:
      from pixels; ``'blind'``; ``'unrestored'``: it is larger than ``max_pixels``),
      ``confidence`` (0-1, or ``None`` when blind), ``qtables`` ((T, 8, 8) in natural order or
      ``None``), ``part_qfs`` (qualities of parts that were compressed unlike, the largest one's
      first; else empty), ``restorer`` and ``problem`` (why the file's tables were not used, or
      ``None``). To find it in the data samples, add it to ``meta_keys`` of ``PackDetInputs`` or
      ``PackSegInputs``.

    The network is loaded when the first image comes, once in each process, and is not pickled, so
    dataloader workers get their own under ``fork`` and ``spawn`` alike. Same input, same output.
    A dataloader worker computes on one thread (torch's rule); with ``num_workers=0`` the
    restorer uses torch's threads and shares them with the model.

    Args:
        restorer: Name of shipped weights, or a ``.safetensors`` file.
        qf: ``'auto'`` restores by the quality that the image really has: that of the tables which
            ``JpegCompress`` or ``JpegCorrupt`` left, or of the file's, unless the pixels look
            coarser, as after a crop, a resize or a second, weaker compression; then by what the
            pixels show. ``'file'`` trusts the tables, and looks at pixels where there are none. An
            int (1-100) or ``'blind'`` overrules all of it.
        device: ``'cpu'`` or a CUDA device; CUDA needs ``num_workers=0`` or spawned workers.
        dtype: ``'fp32'``, ``'bf16'`` or ``'fp16'``.
        tile: Side of the tiles that larger images are cut into, pixels; ``None`` never cuts.
        backend_args: File backend to read ``img_path`` with; as in ``LoadImageFromFile``.
        color_type: As in ``LoadImageFromFile``: with ``'color'`` a grey array, which the loader
            leaves grey, gets three equal channels as a grey file does.
        consistent: Move the result to where its JPEG, the file or the one made before it, says
            that the original was: into the intervals in which its DCT coefficients lay. Images
            that are not from a JPEG, or not restored by its tables, are restored without it.
        strength: Share of the correction that is made, 0-1; ``None`` for what the weights say.
        keep: Folder in which restored images are kept, and looked for before they are restored;
            to be another one for other settings. ``None`` keeps none.
        strict: Refuse an image whose file's tables cannot be used, instead of letting it pass.
        max_pixels: An image of more pixels is left as it is; ``None`` restores any.

    Raises:
        UnknownRestorerError: At construction: there is no such restorer.
        QualityError: At construction: ``qf`` is none of the above, or ``strength`` outside 0-1.
        PipelineError: At a place behind ``Resize``, ``Crop``, ``Pad``, ``Flip`` and their like, an
            image of another dtype or number of channels, or a device that cannot be used.
        ImageReadError: The file is missing; with ``strict``, also corrupt, truncated or CMYK.
        WeightsError: The weights file is damaged.
    """

    def __init__(
        self,
        restorer: str = MODEL_RESTORER,
        qf: QfChoice = "auto",
        device: str = "cpu",
        dtype: str = "fp32",
        tile: int | None = TILE,
        backend_args: dict[str, Any] | None = None,
        color_type: str = "unchanged",
        consistent: bool = False,
        strength: float | None = None,
        keep: str | None = None,
        strict: bool = False,
        max_pixels: int | None = MAX_PIXELS,
    ) -> None:
        weights_path(restorer)  # an unknown name fails here, not in a worker an hour later
        if dtype not in DTYPES:
            raise PipelineError(f"JpegRestore: dtype {dtype!r} is none of {', '.join(DTYPES)}")
        self.restorer = restorer
        self.qf = validate_quality(qf)
        self.device = device
        self.dtype = dtype
        self.tile = tile
        self.backend_args = dict(backend_args) if backend_args else None
        self.color_type = color_type
        self.consistent = consistent
        self.strength = None if strength is None else validate_strength(strength)
        self.keep = keep
        self.strict = strict
        self.max_pixels = max_pixels
        self._engine: JpegRestorer | None = None

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Replace ``results['img']`` by the restored image; see the class for keys."""
        image = require_decoder_pixels(results, type(self).__name__)
        origin = find_origin(
            results,
            image,
            type(self).__name__,
            self.backend_args,
            self.color_type,
            # An earlier compression is looked for in the file's own coefficients.
            with_data=self.consistent or self.qf == "auto",
            strict=self.strict,
        )
        ((pixels, results["jpeg_quality"]),) = restore_loaded(
            self.engine(), [image], [origin], [image_path(results)], self.qf, self.restorer
        )
        results["img"] = as_loaded(results, pixels)
        return results

    def engine(self) -> JpegRestorer:
        """Return this process's restorer, loading it on the first call.

        Raises:
            PipelineError: The CUDA device is absent, or asked for in a forked worker.
            WeightsError: The weights file is damaged.
        """
        if self._engine is None:
            require_device(self.device)
            build = JpegRestorer if self.keep is None else partial(KeepingRestorer, self.keep)
            self._engine = build(
                self.restorer,
                self.device,
                self.dtype,
                self.tile,
                consistent=self.consistent,
                strength=self.strength,
                max_pixels=self.max_pixels,
            )
        return self._engine

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_engine": None}

    def __repr__(self) -> str:
        return (
            f"{type(self).__name__}(restorer={self.restorer!r}, qf={self.qf!r}, "
            f"device={self.device!r}, dtype={self.dtype!r}, tile={self.tile}, "
            f"backend_args={self.backend_args}, color_type={self.color_type!r}, "
            f"consistent={self.consistent}, strength={self.strength}, strict={self.strict}, "
            f"max_pixels={self.max_pixels})"
        )
