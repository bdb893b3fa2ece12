"""Compress clean images, restore them, and measure both against the originals.

Images are compressed in memory. Every value is stored as soon as it is known, under a key of all
that decides it, so that a run that was stopped goes on where it was and a second run with one
more restorer computes that restorer only.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import torch
from safetensors.torch import save as save_safetensors

from jpeg_preproc.errors import ImageReadError, JpegPreprocError, QualityError
from jpeg_preproc.evaluation.conditions import FROM_FILE
from jpeg_preproc.evaluation.metrics import Scores, measure
from jpeg_preproc.evaluation.protocols import (
    EvaluationProtocol,
    Pixels,
    decode_for,
    get_protocol,
    prepare_reference,
)
from jpeg_preproc.evaluation.store import ScoreStore
from jpeg_preproc.io import sha256_bytes, sha256_file
from jpeg_preproc.jpeg import compress_jpeg, load_image, read_jpeg_info, validate_qf
from jpeg_preproc.jpeg.image import IMAGE_SUFFIXES
from jpeg_preproc.restorers import DecodedImage, JpegRestorer

#: Where a restorer may have the quality of an image from; see :func:`engine_restorer`.
MeasuredSource = Literal["file", "estimated", "blind"]
MEASURED_SOURCES: tuple[MeasuredSource, ...] = get_args(MeasuredSource)


@dataclass(frozen=True, eq=False)
class CompressedImage:
    """A JPEG and its pixels.

    Attributes:
        data: the file.
        pixels: uint8, (H, W, 3) RGB or (H, W) grey, from the decoder of the protocol. A restorer
            works on these, so that all rows of a table rest on one decoder.
    """

    data: bytes
    pixels: Pixels


@dataclass(frozen=True)
class NamedRestorer:
    """A restorer under evaluation.

    Attributes:
        name: its name in the rows.
        restore: returns uint8 pixels of the shape of ``CompressedImage.pixels``.
        identity: all that decides its output, such as the SHA-256 of its weights; values stored
            for another identity are not used.
    """

    name: str
    restore: Callable[[CompressedImage], Pixels]
    identity: str


@dataclass(frozen=True)
class RestorationRun:
    """What a run found.

    Attributes:
        rows: dicts of ``dataset, qf, restorer, protocol, psnr, ssim, psnr_b, images``; per data
            set and QF the row ``'jpeg'`` first. PSNR and PSNR-B in dB, means over images.
        skipped: images left out, with the reason. An image that fails under one condition is left
            out of all, so that the rows of a data set average the same images.
    """

    rows: list[dict[str, Any]]
    skipped: list[tuple[Path, str]]


def engine_restorer(engine: JpegRestorer, quality_source: MeasuredSource = "file") -> NamedRestorer:
    """Wrap an engine.

    Args:
        engine: The rows of one that makes results consistent with their files are ``NAME+file``.
        quality_source: Where it has the quality from: ``'file'``: the tables of each file, as if
            it had read it (``NAME``); ``'estimated'``: its own estimate, as of pixels without a
            file (``NAME+estimated``); ``'blind'``: nowhere (``NAME+blind``).
    """

    def restore(image: CompressedImage) -> Pixels:
        tables = read_jpeg_info(image.data).qtables if quality_source == "file" else None
        decoded = DecodedImage(image.pixels, tables, None if tables is None else image.data)
        return engine.restore([decoded], "blind" if quality_source == "blind" else "file")[0].image

    # Of the weights as they are loaded: an engine around a bare network has no manifest.
    # Cloned, because safetensors refuses tensors that share memory or are not in order.
    state = {
        key: value.cpu().clone(memory_format=torch.contiguous_format)
        for key, value in engine.network.state_dict().items()
    }
    decisive = {
        "network": type(engine.network).__name__,
        "manifest": engine.manifest and [engine.manifest.preset, engine.manifest.settings],
        "weights": sha256_bytes(save_safetensors(state)),
        "dtype": str(engine.dtype),
        "device": engine.device.type,
        "tile": engine.tile,
        # Named only where they are not as usual, so that values stored by earlier versions are
        # still used.
        **({"consistent": True} if engine.consistent else {}),
        **({"quality_source": quality_source} if quality_source != "file" else {}),
    }
    name = engine.name + (FROM_FILE if engine.consistent else "")
    name += "" if quality_source == "file" else f"+{quality_source}"
    return NamedRestorer(name, restore, json.dumps(decisive, sort_keys=True))


def evaluate_restoration(
    folders: Sequence[str | os.PathLike[str]],
    qfs: Sequence[int],
    restorers: Sequence[NamedRestorer] = (),
    protocol: str | EvaluationProtocol = "fbcnn",
    *,
    subsampling: str = "4:2:0",
    store: str | os.PathLike[str] | None = None,
    limit: int | None = None,
    on_step: Callable[[int, int, str], None] | None = None,
) -> RestorationRun:
    """Measure JPEG itself and every restorer on every image at every quality factor.

    Args:
        folders: one data set each, named by the folder; images directly in it are used.
        qfs: libjpeg quality factors, 1-100.
        restorers: what to compare with the JPEG row; none measures JPEG alone.
        protocol: a name in ``PROTOCOLS`` or a protocol.
        subsampling: ``'4:4:4'``, ``'4:2:2'`` or ``'4:2:0'``; grey images have none.
        store: file of one JSON line per value, read at the start and appended to; ``None``
            stores nothing.
        limit: take the first so many images of each folder by name.
        on_step: called with (values known, values wanted, image) after each value.

    Raises:
        ImageReadError: a folder that is missing or holds no image.
        QualityError: a quality or subsampling out of range, or one the protocol cannot decode.
        JpegPreprocError: an unknown protocol, or two restorers of one name.
    """
    settings = get_protocol(protocol)
    factors = sorted({validate_qf(qf) for qf in qfs})
    _check_conditions(restorers, settings, subsampling, limit)
    datasets = {
        name: find_images(folder)[:limit] for name, folder in _dataset_names(folders).items()
    }
    stored = ScoreStore(store, settings, subsampling)
    conditions = [(qf, restorer) for qf in factors for restorer in (None, *restorers)]
    total = sum(map(len, datasets.values())) * len(conditions)
    run = RestorationRun([], [])
    done = 0
    for dataset, paths in datasets.items():
        measured: list[dict[tuple[int, str], Scores]] = []
        for path in paths:
            scores: dict[tuple[int, str], Scores] = {}
            try:
                image = _Image(path, settings, subsampling, stored)
                for count, (qf, restorer) in enumerate(conditions, start=1):
                    name = restorer.name if restorer else "jpeg"
                    scores[qf, name] = image.score(dataset, qf, restorer)
                    if on_step:
                        on_step(done + count, total, path.name)
                measured.append(scores)
            except ImageReadError as error:
                run.skipped.append((path, str(error)))
            done += len(conditions)
        if measured:
            run.rows.extend(_mean_rows(dataset, settings.name, measured))
    return run


def find_images(folder: str | os.PathLike[str]) -> list[Path]:
    """Return the image files directly in ``folder``, by name.

    Raises:
        ImageReadError: no such folder, or no image in it.
    """
    root = Path(folder)
    if not root.is_dir():
        raise ImageReadError(f"{root} is no folder; give a folder of images.")
    paths = sorted(
        path
        for path in root.iterdir()
        if path.suffix.lower() in IMAGE_SUFFIXES and not path.is_dir()
    )
    if not paths:
        below = sorted(path.name for path in root.iterdir() if path.is_dir())
        hint = f" Give one of its folders: {', '.join(below)}." if below else ""
        raise ImageReadError(f"{root} holds no image ({', '.join(sorted(IMAGE_SUFFIXES))}).{hint}")
    return paths


def _check_conditions(
    restorers: Sequence[NamedRestorer],
    protocol: EvaluationProtocol,
    subsampling: str,
    limit: int | None,
) -> None:
    names = [restorer.name for restorer in restorers]
    twice = sorted(
        {name for name in names if names.count(name) > 1 or name in ("jpeg", "original")}
    )
    if twice:
        raise JpegPreprocError(
            f"Restorer name {twice[0]!r} is taken; give each restorer a name of its own, and "
            "neither 'jpeg' nor 'original'."
        )
    allowed = ("4:4:4", "4:2:0") if protocol.decoder == "nearest" else ("4:4:4", "4:2:2", "4:2:0")
    if subsampling not in allowed:
        raise QualityError(
            f"Subsampling {subsampling!r} does not go with protocol {protocol.name!r}; give one of "
            f"{', '.join(allowed)}."
        )
    if limit is not None and limit < 1:
        raise JpegPreprocError(f"The limit on images is {limit}; give at least 1.")


def _dataset_names(folders: Sequence[str | os.PathLike[str]]) -> dict[str, Path]:
    """Name each folder by as many of its last parts as tell it from the others."""
    given = [Path(folder) for folder in folders]
    # A link keeps the name it was given by; '.' and '..' have none.
    named = [path if path.name not in ("", "..") else path.resolve() for path in given]
    paths = list(dict.fromkeys(path.absolute() for path in named))
    if not paths:
        raise ImageReadError("No folder of images was given; give at least one.")
    for count in range(1, max(len(path.parts) for path in paths) + 1):
        names = ["/".join(path.parts[-count:]) for path in paths]
        if len(set(names)) == len(paths):
            break
    return dict(zip(names, paths, strict=True))


class _Image:
    """One clean image; it is read, and compressed, only where a value is not stored yet."""

    def __init__(
        self, path: Path, protocol: EvaluationProtocol, subsampling: str, stored: ScoreStore
    ) -> None:
        self._path = path
        self._protocol = protocol
        self._subsampling = subsampling
        self._stored = stored
        self._reference: Pixels | None = None
        self._compressed: tuple[int, CompressedImage] | None = None
        try:
            self._digest = sha256_file(path)
        except OSError as error:
            raise ImageReadError(f"{path} cannot be read: {error.strerror}.") from error

    def score(self, dataset: str, qf: int, restorer: NamedRestorer | None) -> Scores:
        """Return the stored or measured scores of the JPEG itself (``None``) or of a restorer."""
        name, identity = (restorer.name, restorer.identity) if restorer else ("jpeg", "")
        key = self._stored.key(self._digest, qf, name, identity)
        scores = self._stored.get(key)
        if scores is None:
            reference, compressed = self._at(qf)
            try:
                tested = restorer.restore(compressed) if restorer else compressed.pixels
                scores = measure(reference, tested, self._protocol)
            except ImageReadError as error:
                raise ImageReadError(f"{self._path}, {name} at QF {qf}: {error}") from error
            self._stored.add(key, scores, dataset=dataset, image=self._path.name)
        return scores

    def _at(self, qf: int) -> tuple[Pixels, CompressedImage]:
        if self._reference is None:
            self._reference = prepare_reference(load_image(self._path).pixels, self._protocol)
        if self._compressed is None or self._compressed[0] != qf:
            data = compress_jpeg(self._reference, qf, self._subsampling)
            self._compressed = (qf, CompressedImage(data, decode_for(data, self._protocol)))
        return self._reference, self._compressed[1]


def _mean_rows(
    dataset: str, protocol: str, measured: Sequence[dict[tuple[int, str], Scores]]
) -> list[dict[str, Any]]:
    """Return one row per QF and restorer, in their order: the mean over images of each measure."""
    rows = []
    for qf, restorer in measured[0]:
        # An exact sum, so that the order of the images cannot change the last digit.
        means = {
            name: math.fsum(getattr(scores[qf, restorer], name) for scores in measured)
            / len(measured)
            for name in ("psnr", "ssim", "psnr_b")
        }
        row = {"dataset": dataset, "qf": qf, "restorer": restorer, "protocol": protocol}
        rows.append({**row, **means, "images": len(measured)})
    return rows
