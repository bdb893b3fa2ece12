"""Restore a pipeline's images: one way for the transform and for the data preprocessors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from jpeg_preproc.jpeg import QfChoice, apply_orientation
from jpeg_preproc.openmmlab.pixels import in_layout_of, is_colourless, rgb_or_grey
from jpeg_preproc.openmmlab.source import JpegOrigin, undo_orientation
from jpeg_preproc.restorers.engine import JpegRestorer, Restored
from jpeg_preproc.restorers.inputs import DecodedImage


def restore_loaded(
    engine: JpegRestorer,
    images: Sequence[np.ndarray],
    origins: Sequence[JpegOrigin],
    paths: Sequence[str | None],
    qf: QfChoice,
    name: str,
) -> list[tuple[np.ndarray, dict[str, Any]]]:
    """Restore images as their files store them, those of equal shape together.

    Args:
        engine: What restores.
        images: Images as loaded: uint8, each (H, W, 3) BGR, (H, W) or (H, W, 1) grey.
        origins: The JPEG that each was decoded from.
        paths: File of each image, for messages.
        qf: Quality to restore by; see :meth:`~jpeg_preproc.restorers.JpegRestorer.restore`.
        name: Name of the restorer, for the record.

    Returns:
        Each image restored, in its own orientation and layout, and its ``jpeg_quality``; see
        :class:`~jpeg_preproc.openmmlab.transforms.JpegRestore`. A grey image of which three
        channels are wanted gets them.

    Raises:
        QualityError: ``qf`` is not a quality, or the network needs one and was left blind.
    """
    results: dict[int, tuple[np.ndarray, dict[str, Any]]] = {}
    for number, image in enumerate(images):
        if engine.max_pixels is not None and image.shape[0] * image.shape[1] > engine.max_pixels:
            results[number] = _left_alone(image, origins[number], engine, name)
    rest = [number for number in range(len(images)) if number not in results]
    decoded = [_as_stored(images[number], origins[number], qf, paths[number]) for number in rest]
    for number, result in zip(rest, engine.restore(decoded, qf) if rest else (), strict=True):
        image, origin = images[number], origins[number]
        upright = apply_orientation(result.image, origin.orientation)
        results[number] = _laid_out(upright, image, origin.colour), _quality(result, origin, name)
    return [results[number] for number in range(len(images))]


def _left_alone(
    image: np.ndarray, origin: JpegOrigin, engine: JpegRestorer, name: str
) -> tuple[np.ndarray, dict[str, Any]]:
    """Return an image that is too large to be restored, and the ``jpeg_quality`` that says so."""
    pixels = _laid_out(rgb_or_grey(image), image, origin.colour)
    said = f"{image.shape[1]}x{image.shape[0]} pixels are more than max_pixels={engine.max_pixels}"
    nothing = dict.fromkeys(("qf", "confidence", "qtables"))
    about = {"source": "unrestored", **nothing, "part_qfs": (), "restorer": name, "problem": said}
    return pixels, about


def _as_stored(
    image: np.ndarray, origin: JpegOrigin, qf: QfChoice, path: str | None
) -> DecodedImage:
    """Return an image as its file stores it: RGB or grey, and not turned."""
    pixels = undo_orientation(rgb_or_grey(image), origin.orientation)
    tables = origin.qtables if qf in ("auto", "file") else None
    if tables is not None and len(tables) == 1 and is_colourless(pixels):
        pixels = np.ascontiguousarray(pixels[..., 0])  # a grey JPEG loaded as BGR
    return DecodedImage(pixels, origin.qtables, origin.data, path or "")


def _quality(result: Restored, origin: JpegOrigin, name: str) -> dict[str, Any]:
    """Return ``jpeg_quality``; the tables of a ``JpegCompress`` are given, not a file's."""
    source = origin.source if result.source == "file" else result.source
    return {
        "qf": result.qf,
        "source": source,
        "confidence": result.confidence,
        "qtables": result.qtables,
        "part_qfs": result.part_qfs,
        "restorer": name,
        "problem": origin.problem,
    }


def _laid_out(pixels: np.ndarray, image: np.ndarray, colour: bool) -> np.ndarray:
    """Return restored RGB or grey pixels as ``image`` was loaded; with ``colour`` always as BGR."""
    if colour and (image.ndim == 2 or image.shape[2] == 1):
        return np.ascontiguousarray(np.repeat(pixels[..., None], 3, axis=2))
    return in_layout_of(image, pixels)


def image_path(results: Mapping[str, Any]) -> str | None:
    """Return the file of a pipeline's image; ``None`` for one given as an array."""
    path = results.get("img_path")
    return str(path) if path else None
