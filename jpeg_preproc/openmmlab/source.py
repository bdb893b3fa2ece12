"""The JPEG that a pipeline's image was decoded from, and how the loader turned its pixels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import mmengine.fileio as fileio
import numpy as np

from jpeg_preproc.errors import ImageReadError, PipelineError
from jpeg_preproc.jpeg import JpegInfo, apply_orientation, decode_jpeg, is_jpeg, read_jpeg_info

# Orientations 6 and 8 turn a quarter one way and the other; all others undo themselves.
_UNDO = {6: 8, 8: 6}
# ITU-R BT.601, red, green, blue.
_LUMA = np.array([0.299, 0.587, 0.114])


@dataclass(frozen=True, eq=False)
class JpegOrigin:
    """The JPEG that an image was decoded from, as far as its pipeline knows.

    Attributes:
        qtables: Quantisation tables, (T, 8, 8) in natural order; ``None`` for an image that is not
            from a JPEG.
        source: Who made the JPEG: ``'file'`` for the image's own file, and for what a
            ``JpegCorrupt`` makes in its place; ``'given'`` for a ``JpegCompress`` before.
        orientation: EXIF orientation that the loader applied; 1 for none.
        colour: Whether the transforms behind want three channels of a grey image too.
        data: The JPEG's bytes, where they were asked for; they are not compared.
    """

    qtables: np.ndarray | None = None
    source: Literal["file", "given"] = "file"
    orientation: int = 1
    colour: bool = False
    data: bytes | None = None

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, JpegOrigin)
            and (self.source, self.orientation, self.colour)
            == (other.source, other.orientation, other.colour)
            and np.array_equal(self.qtables, other.qtables)  # type: ignore[arg-type]
        )


def find_origin(
    results: Mapping[str, Any],
    image: np.ndarray,
    who: str,
    backend_args: dict[str, Any] | None = None,
    color_type: str = "unchanged",
    with_data: bool = False,
) -> JpegOrigin:
    """Tell from which JPEG an image is: what ``JpegCompress`` or ``JpegCorrupt`` says, or its file.

    Args:
        results: The dictionary of an OpenMMLab pipeline; ``jpeg_quality``, ``jpeg_data`` and
            ``img_path`` are read.
        image: The image as loaded: uint8, (H, W, 3) BGR or grey.
        who: Name of the transform that asks, for messages.
        backend_args: Settings of the file backend, as in ``LoadImageFromFile``.
        color_type: The loader's setting; ``'color'`` sets :attr:`JpegOrigin.colour`.
        with_data: Whether :attr:`JpegOrigin.data` is wanted.

    Raises:
        PipelineError: The image was restored before, or is not what the decoder gave.
        ImageReadError: The file is missing, corrupt or truncated, or CMYK.
    """
    colour = color_type.startswith("color")
    compressed = results.get("jpeg_quality")
    if compressed is not None:
        if "restorer" in compressed:
            raise PipelineError(
                f"{who} ({results.get('img_path')}): the image was restored before, by "
                f"{compressed['restorer']!r}; keep one JpegRestore in the pipeline"
            )
        return JpegOrigin(
            compressed["qtables"],
            "file" if compressed.get("source") in ("file", "estimated") else "given",
            compressed.get("orientation", 1),
            colour,
            results.get("jpeg_data") if with_data else None,
        )
    path = results.get("img_path")
    found = read_source(str(path), backend_args) if path else None
    if found is None:
        return JpegOrigin(colour=colour)
    data, info = found
    orientation = loaded_orientation(image, data, info, str(path), who)
    return JpegOrigin(info.qtables, "file", orientation, colour, data if with_data else None)


def read_source(
    path: str, backend_args: dict[str, Any] | None = None
) -> tuple[bytes, JpegInfo] | None:
    """Read the JPEG that an image was loaded from, through mmengine's file backends.

    Args:
        path: ``results['img_path']``.
        backend_args: Settings of the file backend; ``None`` chooses it by the path's prefix.

    Returns:
        The file's bytes and its header, or ``None`` where it is no JPEG.

    Raises:
        ImageReadError: The file is missing, unreadable, corrupt or truncated, or CMYK.
    """
    try:
        data = bytes(fileio.get(path, backend_args=backend_args))
    except OSError as error:
        raise ImageReadError(
            f"{path} cannot be read: {error}; check the path and backend_args"
        ) from error
    if not is_jpeg(data):
        return None
    info = read_jpeg_info(data, name=path)
    if info.components == 4:
        raise ImageReadError(
            f"{path} is a CMYK JPEG, which no restorer here takes; convert it to RGB first"
        )
    if info.truncated:
        raise ImageReadError(
            f"{path} is truncated: it ends before its end marker; fetch or export it again"
        )
    return data, info


def loaded_orientation(
    image: np.ndarray, data: bytes, info: JpegInfo, path: str, who: str = "JpegRestore"
) -> int:
    """Return the EXIF orientation that the loader applied to ``image``: 1 if it applied none.

    Loaders differ: OpenCV and Pillow turn the image with ``color_type='color'``, not with
    ``'unchanged'`` or ``'color_ignore_orientation'``, and turbojpeg never does. The transform is
    not told which one ran, so the image itself is asked: by its shape, and where the stored and
    the turned image have the same shape, by which of the two it equals.

    Args:
        image: The image as loaded: uint8, (H, W, 3) BGR or (H, W) grey.
        data: The file's bytes.
        info: The file's header.
        path: For the message.
        who: Name of the transform that asks, for the message.

    Raises:
        PipelineError: ``image`` has neither shape, so it was resized or cropped.
        ImageReadError: The file had to be decoded for this, and cannot be.
    """
    stored = (info.height, info.width)
    turned = stored[::-1] if info.orientation >= 5 else stored
    if image.shape[:2] not in (stored, turned):
        raise PipelineError(
            f"{who} ({path}): the image is {image.shape[:2]} but its file is {stored} (H, W): it "
            f"was resized, cropped or padded before; move {who} directly behind LoadImageFromFile"
        )
    if info.orientation == 1 or stored != turned:
        return info.orientation if image.shape[:2] == turned else 1
    decoded = decode_jpeg(data, name=path).pixels
    loaded, as_stored = _grey(image[..., ::-1] if image.ndim == 3 else image), _grey(decoded)
    as_turned = apply_orientation(as_stored, info.orientation)
    differs = [np.abs(loaded - other).mean() for other in (as_stored, as_turned)]
    return info.orientation if differs[1] < differs[0] else 1


def loader_orientation(
    results: Mapping[str, Any],
    image: np.ndarray,
    who: str,
    backend_args: dict[str, Any] | None = None,
) -> int:
    """Return the EXIF orientation that the loader applied to a pipeline's image.

    It is 1 for an image that is not from a JPEG, or from one whose header cannot be read: how its
    pixels lie in the file is not known then.

    Args:
        results: The dictionary of an OpenMMLab pipeline; ``img_path`` is read.
        image: The image as loaded: uint8, (H, W, 3) BGR or grey.
        who: Name of the transform that asks, for messages.
        backend_args: Settings of the file backend, as in ``LoadImageFromFile``.

    Raises:
        PipelineError: The image has not its file's size, so it was resized or cropped.
    """
    path = results.get("img_path")
    if not path:
        return 1
    try:
        found = read_source(str(path), backend_args)
        return 1 if found is None else loaded_orientation(image, *found, str(path), who)
    except ImageReadError:
        return 1


def undo_orientation(pixels: np.ndarray, orientation: int) -> np.ndarray:
    """Turn upright ``pixels`` (H, W, ...) back to how a file of this orientation stores them."""
    return apply_orientation(pixels, _UNDO.get(orientation, orientation))


def _grey(pixels: np.ndarray) -> np.ndarray:
    """Return float (H, W) luma of (H, W, 3) RGB or (H, W) pixels."""
    return pixels @ _LUMA if pixels.ndim == 3 else pixels.astype(np.float64)
