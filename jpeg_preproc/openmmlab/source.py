"""The JPEG that a pipeline's image was decoded from, and how the loader turned its pixels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

import mmengine.fileio as fileio
import numpy as np

from jpeg_preproc.errors import ImageReadError, PipelineError
from jpeg_preproc.jpeg import apply_orientation, decode_jpeg, is_jpeg, read_jpeg_info
from jpeg_preproc.openmmlab.pixels import rgb_or_grey

# Orientations 6 and 8 turn a quarter one way and the other; all others undo themselves.
_UNDO = {6: 8, 8: 6}
# ITU-R BT.601, red, green, blue.
_LUMA = np.array([0.299, 0.587, 0.114])
# Decoders and their roundings differ by less, a transform that changes an image by more, on
# average over a channel.
_SAME_PIXELS = 1.0
_XMP_ORIENTATION = b"tiff:Orientation"


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
        problem: Why the file's tables are not known, or do not hold for the image; ``None`` where
            they do, and for an image that is not from a JPEG.
    """

    qtables: np.ndarray | None = None
    source: Literal["file", "given"] = "file"
    orientation: int = 1
    colour: bool = False
    data: bytes | None = None
    problem: str | None = None

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, JpegOrigin)
            and (self.source, self.orientation, self.colour, self.problem)
            == (other.source, other.orientation, other.colour, other.problem)
            and np.array_equal(self.qtables, other.qtables)  # type: ignore[arg-type]
        )


def find_origin(
    results: Mapping[str, Any],
    image: np.ndarray,
    who: str,
    backend_args: dict[str, Any] | None = None,
    color_type: str = "unchanged",
    with_data: bool = False,
    strict: bool = False,
) -> JpegOrigin:
    """Tell from which JPEG an image is: what ``JpegCompress`` or ``JpegCorrupt`` says, or its file.

    The image is compared with what its JPEG decodes to. Where that cannot be decoded here although
    the loader has, or a transform between has changed the pixels, the tables say nothing of them:
    the origin has none then, and names the problem.

    Args:
        results: The dictionary of an OpenMMLab pipeline; ``jpeg_quality``, ``jpeg_data`` and
            ``img_path`` are read.
        image: The image as loaded: uint8, (H, W, 3) BGR or grey.
        who: Name of the transform that asks, for messages.
        backend_args: Settings of the file backend, as in ``LoadImageFromFile``.
        color_type: The loader's setting; ``'color'`` sets :attr:`JpegOrigin.colour`.
        with_data: Whether :attr:`JpegOrigin.data` is wanted.
        strict: Raise where there is a problem.

    Raises:
        PipelineError: The image was restored or resized before; with ``strict``, also changed.
        ImageReadError: The file is missing; with ``strict``, also corrupt, truncated or CMYK.
    """
    colour = color_type.startswith("color")
    where = f" ({results['img_path']})" if results.get("img_path") else ""
    origin, decoded = JpegOrigin(colour=colour), None
    compressed = results.get("jpeg_quality")
    if compressed is not None:
        if "restorer" in compressed:
            raise PipelineError(
                f"{who} ({results.get('img_path')}): the image was restored before, by "
                f"{compressed['restorer']!r}; keep one JpegRestore in the pipeline"
            )
        data = results.get("jpeg_data")
        origin = JpegOrigin(
            compressed["qtables"],
            "file" if compressed.get("source") in ("file", "estimated") else "given",
            compressed.get("orientation", 1),
            colour,
            data if with_data else None,
        )
        decoded = None if data is None else decode_jpeg(data, max_pixels=None).pixels
    elif (path := results.get("img_path")) and (data := read_jpeg(str(path), backend_args)):
        try:
            jpeg = decode_jpeg(data, str(path), max_pixels=None)
        except ImageReadError as error:
            if strict:
                raise
            return replace(origin, problem=str(error))
        decoded = jpeg.pixels
        orientation = loaded_orientation(image, decoded, jpeg.info.orientation, who + where)
        origin = JpegOrigin(
            jpeg.info.qtables, "file", orientation, colour, data if with_data else None
        )
    if decoded is None or _difference(image, decoded, origin.orientation) < _SAME_PIXELS:
        return origin
    problem = (
        f"{who}{where}: the image is not what its JPEG decodes to: a transform before {who} has "
        f"changed it; move {who} directly behind LoadImageFromFile"
    )
    if strict:
        raise PipelineError(problem)
    return replace(origin, qtables=None, data=None, problem=problem)


def read_jpeg(path: str, backend_args: dict[str, Any] | None = None) -> bytes | None:
    """Read the JPEG that an image was loaded from, through mmengine's file backends.

    Args:
        path: ``results['img_path']``.
        backend_args: Settings of the file backend; ``None`` chooses it by the path's prefix.

    Returns:
        The file's bytes, or ``None`` where it is no JPEG.

    Raises:
        ImageReadError: The file is missing or unreadable.
    """
    try:
        data = bytes(fileio.get(path, backend_args=backend_args))
    except OSError as error:
        raise ImageReadError(
            f"{path} cannot be read: {error}; check the path and backend_args"
        ) from error
    return data if is_jpeg(data) else None


def loaded_orientation(image: np.ndarray, decoded: np.ndarray, stated: int, who: str) -> int:
    """Return the orientation that the loader applied to ``image``: 1 if it applied none.

    Loaders differ: OpenCV and Pillow turn the image with ``color_type='color'``, not with
    ``'unchanged'`` or ``'color_ignore_orientation'``; turbojpeg never does, and Pillow also goes
    by an orientation that only XMP states. The transform is not told which one ran, so the image
    itself is asked: which way of turning the stored pixels comes nearest to it.

    Args:
        image: The image as loaded: uint8, (H, W, 3) BGR or grey.
        decoded: The file's pixels as they are stored: uint8, (H, W, 3) RGB or (H, W) grey.
        stated: Orientation that EXIF states, 1-8.
        who: Name of the transform that asks, and of the file, for the message.

    Raises:
        PipelineError: ``image`` has the file's shape in no orientation, so it was resized or
            cropped.
    """
    for turns in ((1, stated), range(1, 9)):
        differences = {turn: _difference(image, decoded, turn) for turn in turns}
        found = min(differences, key=lambda turn: differences[turn])  # of equal ones the first
        if differences[found] < _SAME_PIXELS:
            return found
    if differences[found] == float("inf"):
        raise PipelineError(
            f"{who}: the image is {image.shape[:2]} but its file is {decoded.shape[:2]} (H, W): it "
            f"was resized, cropped or padded before; move {who.split()[0]} directly behind "
            "LoadImageFromFile"
        )
    return found


def loader_orientation(
    results: Mapping[str, Any],
    image: np.ndarray,
    who: str,
    backend_args: dict[str, Any] | None = None,
) -> int:
    """Return the orientation that the loader applied to a pipeline's image.

    It is 1 for an image that is not from a JPEG, or from one that cannot be decoded here: how its
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
        data = read_jpeg(str(path), backend_args)
        if data is None:
            return 1
        info = read_jpeg_info(data, scans=False, name=str(path))
        is_stored = image.shape[:2] == (info.height, info.width)
        if is_stored and info.orientation == 1 and _XMP_ORIENTATION not in data:
            return 1  # as most files are: nothing to find out
        jpeg = decode_jpeg(data, str(path), max_pixels=None)
    except ImageReadError:
        return 1
    return loaded_orientation(image, jpeg.pixels, jpeg.info.orientation, f"{who} ({path})")


def undo_orientation(pixels: np.ndarray, orientation: int) -> np.ndarray:
    """Turn upright ``pixels`` (H, W, ...) back to how a file of this orientation stores them."""
    return apply_orientation(pixels, _UNDO.get(orientation, orientation))


def _difference(image: np.ndarray, decoded: np.ndarray, orientation: int) -> float:
    """Return by how much a loaded image differs from its file's pixels, turned like it.

    It is the mean absolute difference of the channel in which that is largest; infinite where the
    shapes differ. Where one of them is grey, luma is compared.
    """
    turned = apply_orientation(decoded, orientation)
    loaded = rgb_or_grey(image)
    if loaded.shape[:2] != turned.shape[:2]:
        return float("inf")
    if loaded.ndim != turned.ndim:
        # Luma in the file, and that of its colours clipped to 0-255, differ by more.
        return float(np.abs(_grey(loaded) - _grey(turned)).mean()) / 4
    if np.array_equal(loaded, turned):
        return 0.0
    return float(np.abs(loaded.astype(np.float32) - turned).mean(axis=(0, 1)).max())


def _grey(pixels: np.ndarray) -> np.ndarray:
    """Return float (H, W) luma of (H, W, 3) RGB or (H, W) pixels."""
    return pixels @ _LUMA if pixels.ndim == 3 else pixels.astype(np.float64)
