"""COCO and VOC restored: each image without its JPEG artifacts, in a lossless file."""

from __future__ import annotations

import multiprocessing
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch

from jpeg_preproc.datasets.image import Encoded, Variant, encoder_record
from jpeg_preproc.datasets.manifest import totals
from jpeg_preproc.datasets.pool import worker_index
from jpeg_preproc.datasets.rewrite import RewriteSummary, rewrite_dataset
from jpeg_preproc.datasets.scan import DatasetTree
from jpeg_preproc.datasets.share import Execution
from jpeg_preproc.defaults import MODEL_RESTORER, TILE
from jpeg_preproc.distributed import ALONE, Processes
from jpeg_preproc.errors import DeviceError, ImageReadError, QualityError, WeightsError
from jpeg_preproc.jpeg.encode import SUFFIXES, Encoding, encode_image
from jpeg_preproc.jpeg.exif import apply_orientation, orientation_exif
from jpeg_preproc.jpeg.image import LoadedImage
from jpeg_preproc.jpeg.tables import QfChoice
from jpeg_preproc.restorers.device import is_out_of_memory, usable_device
from jpeg_preproc.restorers.engine import JpegRestorer
from jpeg_preproc.restorers.inputs import DecodedImage
from jpeg_preproc.restorers.quality import QUALITY_SOURCES
from jpeg_preproc.restorers.weights import load_weights, strength_settings, weights_path

#: Formats that a restored image is stored in.
LOSSLESS_FORMATS = ("png", "webp")


@dataclass(frozen=True)
class Restoration:
    """How the images of a dataset are restored.

    Attributes:
        restorer: Name of shipped weights, or the path of a safetensors file.
        qf: Quality to restore by; see :meth:`~jpeg_preproc.restorers.JpegRestorer.__call__`.
        dtype: Number format of the convolutions: ``'fp32'``, ``'bf16'`` or ``'fp16'``.
        tile: Side of the pieces that large images are cut into, pixels.
        format: One of :data:`LOSSLESS_FORMATS`.
        rename: Whether images' names tell their format, in COCO annotations too.
        consistent: Whether results are moved to where their JPEG files say that the originals
            were; see :class:`~jpeg_preproc.restorers.JpegRestorer`.
        strength: Share of the correction that is made; ``None`` for what the weights say.
    """

    restorer: str = MODEL_RESTORER
    qf: QfChoice = "auto"
    dtype: str = "fp32"
    tile: int = TILE
    format: str = "png"
    rename: bool = False
    consistent: bool = False
    strength: float | None = None


def restore_dataset(
    tree: DatasetTree,
    out: str | os.PathLike[str],
    restoration: Restoration | None = None,
    devices: Sequence[str] = ("cpu",),
    execution: Execution | None = None,
) -> RewriteSummary:
    """Write a dataset restored, into a folder of ``out`` that is named after the restorer.

    Images are restored in stored orientation, on the grid of their blocks. PNG keeps the EXIF
    orientation, which OpenCV and Pillow act on as in a JPEG; OpenCV passes over that of WebP,
    so there the pixels are stored upright. Grey stays grey in PNG and becomes RGB in WebP.

    Args:
        tree: What :func:`~jpeg_preproc.datasets.scan.scan_dataset` returned.
        out: Parent folder of the result, outside the source.
        restoration: How images are restored; by default into PNG, with their names kept.
        devices: Devices of torch, which the workers take in turn. On a Ray cluster ``'cuda'`` gives
            a GPU to each.
        execution: How the work is done; by default in this process alone.

    Raises:
        JpegPreprocError: A restorer, device or quality cannot be; nothing is written.
        DatasetError: See :func:`~jpeg_preproc.datasets.rewrite.rewrite_dataset`.
        LauncherError: A process that shares the work has ended.
    """
    how, execution = restoration or Restoration(), execution or Execution()
    on_cluster = execution.executor == "ray"
    variant = restoration_variant(out, how, devices, check_devices=not on_cluster)
    if on_cluster and any(torch.device(device).type == "cuda" for device in devices):
        execution = replace(execution, gpus=1)
    return rewrite_dataset(
        tree,
        [variant],
        execution,
        suffix=SUFFIXES[how.format] if how.rename else None,
    )


def restoration_variant(
    out: str | os.PathLike[str],
    restoration: Restoration,
    devices: Sequence[str] = ("cpu",),
    check_devices: bool = True,
) -> Variant:
    """Return the tree that a restoration makes, with all that its images depend on.

    Args:
        out: Parent folder of the tree.
        restoration: How its images are restored.
        devices: Devices of torch.
        check_devices: Whether the devices must be in this machine.

    Raises:
        UnknownRestorerError: There is no such restorer.
        WeightsError: The weights file is damaged.
        DeviceError: A device is not there.
        QualityError: A quality does not exist or the restorer cannot do with it, or the format is
            not lossless.
    """
    if restoration.format not in LOSSLESS_FORMATS:
        raise QualityError(
            f"Images of format {restoration.format!r} would not be lossless; give one of "
            f"{', '.join(LOSSLESS_FORMATS)}."
        )
    if check_devices:
        kinds = {usable_device(device).type for device in devices}
    else:
        kinds = set(devices)
        if not kinds <= {"cpu", "cuda"}:
            raise DeviceError(
                f"Device {', '.join(devices)} is none of a cluster's; give cpu, or cuda for a GPU "
                "for each of its workers."
            )
    network, weights = load_weights(restoration.restorer)
    if restoration.qf == "blind" and network.spec.quality == "required":
        raise QualityError(
            f"{weights.name} needs the quality of each image and cannot restore blind; give "
            "another --qf, or another restorer."
        )
    settings = {
        **asdict(restoration),
        "restorer": weights.name,
        "network": weights.restorer,
        "preset": weights.preset,
        "weights_sha256": weights.sha256,
        "device": "+".join(sorted(kinds)),
        "torch": str(torch.__version__),
        "encoder": encoder_record(restoration.format),
    }
    if not restoration.consistent:  # named only where it is on: earlier runs go on
        del settings["consistent"]
    del settings["strength"]
    settings |= strength_settings(restoration.strength, weights)
    path = weights_path(restoration.restorer)
    restore = ImageRestorer(str(path.resolve()), tuple(devices), settings)
    return Variant(Path(out) / path.stem, settings, restore)


def local_devices(device: str, processes: Processes = ALONE) -> tuple[str, ...]:
    """Return what ``device`` stands for in this process.

    Args:
        device: Device of torch; ``'cuda'`` is every GPU of the machine, or, where several processes
            share a run, the one whose turn it is.
        processes: Processes that share the run.

    Raises:
        DeviceError: The device is not there.

    >>> local_devices("cpu")
    ('cpu',)
    """
    usable_device(device)
    if device != "cuda":
        return (device,)
    count = torch.cuda.device_count()
    if processes.size > 1:
        return (f"cuda:{processes.local_rank % count}",)
    return tuple(f"cuda:{index}" for index in range(count))


def restoration_rows(tree: DatasetTree, summary: RewriteSummary) -> list[dict[str, Any]]:
    """Return one row: how many images, how large, and how many were restored by which quality."""
    rows = []
    for manifest in summary.manifests:
        entries = manifest.entries()
        origins = Counter(entry["believed_from"] for entry in entries)
        rows.append(
            {
                "dataset": tree.layout,
                "restorer": manifest.settings["restorer"],
                **totals(entries),
                **{f"qf_{source}": origins[source] for source in QUALITY_SOURCES},
            }
        )
    return rows


@dataclass(frozen=True)
class ImageRestorer:
    """Restores an image of a dataset in whatever process it is called.

    Attributes:
        weights: Path of the weights file.
        devices: Devices of torch, which the pool's workers take in turn.
        settings: What heads the manifest: how images are restored and stored.
    """

    weights: str
    devices: tuple[str, ...]
    settings: Mapping[str, Any]

    def __call__(self, image: LoadedImage, name: str) -> Encoded:
        """Return the restored image in its lossless format.

        Raises:
            ImageReadError: There is too little memory for the image.
            WeightsError: The weights file is not the one that the run began with.
        """
        try:
            return self._encode(image, self.settings)
        except (MemoryError, RuntimeError) as error:
            if not is_out_of_memory(error):
                raise
            raise ImageReadError(
                f"{name}: too little memory for its size; try fewer --workers, a smaller "
                "--tile, or a restorer that works tile by tile."
            ) from error

    def _encode(self, image: LoadedImage, settings: Mapping[str, Any]) -> Encoded:
        device = self.devices[worker_index() % len(self.devices)]
        consistent = settings.get("consistent", False)
        engine = _engine(
            self.weights,
            device,
            settings["dtype"],
            settings["tile"],
            consistent,
            settings.get("strength"),
        )
        found = engine.manifest.sha256 if engine.manifest else None
        if found != settings["weights_sha256"]:
            raise WeightsError(
                f"{self.weights} has changed since this run began; run again with another output "
                "folder."
            )
        (restored,) = engine.restore([DecodedImage.of(image)], settings["qf"])
        pixels = restored.image
        facts: dict[str, Any] = {"consistent": restored.consistent} if consistent else {}
        orientation = image.orientation
        if settings["format"] == "webp" and orientation != 1:
            pixels = apply_orientation(pixels, orientation)
            facts |= {"width": pixels.shape[1], "height": pixels.shape[0], "orientation": 1}
            orientation = 1
        exif = b"" if orientation == 1 else orientation_exif(orientation)
        return Encoded(
            encode_image(pixels, Encoding(settings["format"]), exif),
            {**facts, "believed_qf": restored.qf, "believed_from": restored.source},
        )


@lru_cache(maxsize=1)
def _engine(
    weights: str, device: str, dtype: str, tile: int, consistent: bool, strength: float | None
) -> JpegRestorer:
    """Return this process's engine."""
    if torch.device(device).type == "cpu" and multiprocessing.parent_process() is not None:
        torch.set_num_threads(1)  # there is a process for each core
    return JpegRestorer(
        weights, device, dtype, tile, batch_size=1, consistent=consistent, strength=strength
    )
