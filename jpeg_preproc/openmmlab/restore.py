"""Images of a pipeline through the engine: one way for the transform and the preprocessors."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Literal

import numpy as np

from jpeg_preproc.errors import JpegPreprocError
from jpeg_preproc.jpeg import apply_orientation
from jpeg_preproc.openmmlab.pixels import is_colourless, like, rgb_or_grey
from jpeg_preproc.openmmlab.source import Described, undo_orientation
from jpeg_preproc.restorers.engine import BelievedQuality, JpegRestorer


def restore_described(
    engine: JpegRestorer,
    images: Sequence[np.ndarray],
    described: Sequence[Described],
    qf: int | Literal["auto", "blind"],
    name: str,
    paths: Sequence[str | None],
) -> list[tuple[np.ndarray, dict[str, Any]]]:
    """Restore images as their files store them, those of equal shape together.

    Args:
        engine: What restores.
        images: uint8, (H, W, 3) BGR, (H, W) or (H, W, 1) grey each, as loaded.
        described: How each was coded; results are made consistent with the samples that it has.
        qf: ``'auto'`` goes by ``described``, else by an estimate from pixels.
        name: Of the restorer, for the record.
        paths: Of the files, for messages.

    Returns:
        Of each the restored image, in its own orientation and layout (but for a grey one of which
        three channels are wanted), and its ``jpeg_quality``; see
        :class:`~jpeg_preproc.openmmlab.transforms.JpegRestore`.

    Raises:
        QualityError: ``qf`` is none, or the network needs a quality and was left blind.
    """
    stored, beliefs = [], []
    for image, known, path in zip(images, described, paths, strict=True):
        pixels = undo_orientation(rgb_or_grey(image), known.orientation)
        tables = known.qtables if qf == "auto" else None
        if tables is not None and len(tables) == 1 and is_colourless(pixels):
            pixels = np.ascontiguousarray(pixels[..., 0])  # a grey JPEG loaded as BGR
        with naming(path):
            beliefs.append(_believe(engine, pixels, known, qf))
        stored.append(pixels)
    with naming(paths[0] if len(paths) == 1 else None):
        files = [known.samples if qf == "auto" else None for known in described]
        restored = engine.restore_pixels(stored, beliefs, files=files)
    return [
        (
            _laid_out(apply_orientation(result.image, known.orientation), image, known.colour),
            {
                "qf": result.qf,
                "source": result.source,
                "qtables": result.qtables,
                "restorer": name,
            },
        )
        for result, known, image in zip(restored, described, images, strict=True)
    ]


def _believe(
    engine: JpegRestorer, pixels: np.ndarray, known: Described, qf: int | Literal["auto", "blind"]
) -> BelievedQuality:
    """Return the quality to restore by, with where it is from."""
    if qf != "auto" or known.qtables is None:
        return engine.believe(pixels, qf)
    given = known.qtables if known.source == "given" else None
    return engine.believe(pixels, qf, known.qtables, given)


def _laid_out(pixels: np.ndarray, image: np.ndarray, colour: bool) -> np.ndarray:
    """Return restored RGB or grey pixels as ``image`` was loaded; with ``colour`` always as BGR."""
    if colour and (image.ndim == 2 or image.shape[2] == 1):
        return np.ascontiguousarray(np.repeat(pixels[..., None], 3, axis=2))
    return like(pixels, image)


@contextmanager
def naming(path: str | None) -> Iterator[None]:
    """Put an image's path before the message of an error that only knows its pixels."""
    try:
        yield
    except JpegPreprocError as error:
        if not path or path in str(error):
            raise
        raise type(error)(f"{path}: {error}") from error


def image_path(results: Mapping[str, Any]) -> str | None:
    """Return the file of a pipeline's image; ``None`` for one given as an array."""
    path = results.get("img_path")
    return str(path) if path else None
