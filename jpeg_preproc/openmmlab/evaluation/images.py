"""Whether one test image can be evaluated: it is there, whole, and the pipeline can load it."""

from __future__ import annotations

import io
import os
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import cv2
import mmengine.fileio as fileio
import numpy as np
from mmengine.registry import TRANSFORMS

from jpeg_preproc.defaults import MAX_PIXELS
from jpeg_preproc.errors import AnnotationError, ImageReadError
from jpeg_preproc.evaluation.testset import ImageFiles, read_mask
from jpeg_preproc.io import sha256_bytes
from jpeg_preproc.jpeg import is_jpeg, read_jpeg_info
from jpeg_preproc.jpeg.codec import check_pixel_count
from jpeg_preproc.jpeg.image import opened_picture
from jpeg_preproc.openmmlab.config import loader_backend, loader_index
from jpeg_preproc.openmmlab.place import require_decoder_pixels

_MEND = "check that it is an image and undamaged, or take it out of the annotations"
# What the loaders of mmcv raise on a bad file; the assertion is LoadImageFromFile's own.
_LOAD_ERRORS = (OSError, AssertionError, SyntaxError, ValueError, cv2.error)
_PNG = b"\x89PNG\r\n\x1a\n"


class ImageCheck:
    """Load images as the pipeline of one dataset does, and say what is wrong with one."""

    def __init__(
        self,
        leaf: Any,
        dataset: Any,
        ignored: Collection[int] = (255,),
        max_pixels: int | None = MAX_PIXELS,
    ) -> None:
        """Read what the config says of the images.

        Args:
            leaf: Config of the dataset.
            dataset: The dataset, built.
            ignored: Values of segmentation masks that count as no class.
            max_pixels: An image of more pixels is refused; ``None`` for any number.
        """
        step = leaf.pipeline[loader_index(leaf.pipeline)]
        self.load = TRANSFORMS.build(step)
        self.by_opencv = step.get("imdecode_backend", "cv2") == "cv2"
        self.backend_args = loader_backend(step)
        self.root = _root(leaf)
        self.classes = len(dataset.metainfo.get("classes") or ())
        self.ignored = ignored
        self.max_pixels = max_pixels

    def __call__(self, record: Mapping[str, Any]) -> ImageFiles:
        """Return the image's files, its mask among them if it has one.

        Raises:
            AnnotationError: The file or mask is missing or outside the data root.
            ImageReadError: The file is there and cannot be used.
        """
        path = str(record["img_path"])
        if self.root and not _inside(path, self.root):
            raise AnnotationError(
                f"{path} lies outside the data root {self.root}; name it relative to that"
            )
        try:
            data = bytes(fileio.get(path, backend_args=self.backend_args))
        except FileNotFoundError as error:
            raise AnnotationError(
                f"{path} does not exist, but the annotations name it; put it there, or take it out "
                "of them"
            ) from error
        except OSError as error:
            raise ImageReadError(f"{path} cannot be read: {error}") from error
        self._check_header(data, path)
        try:
            results = self.load({"img_path": path})
        except _LOAD_ERRORS as error:
            raise ImageReadError(f"{path} cannot be decoded; {_MEND}") from error
        if results is None:  # LoadImageFromFile(ignore_empty=True)
            raise ImageReadError(f"{path} cannot be decoded; {_MEND}")
        image = require_decoder_pixels(results, "JpegCompress")
        check_pixel_count(image.shape[1], image.shape[0], path, self.max_pixels)
        hashes = [(Path(path).name, sha256_bytes(data))]
        if "reduce_zero_label" in record and record.get("seg_map_path"):
            mask = str(record["seg_map_path"])
            content = self._check_mask(mask, image.shape[:2], record)
            hashes.append((Path(mask).name, sha256_bytes(content)))
        if record.get("instances"):  # those of VOC stand in files of their own
            hashes.append(("instances", sha256_bytes(repr(record["instances"]).encode())))
        return ImageFiles(path, tuple(hashes))

    def _check_header(self, data: bytes, path: str) -> None:
        """Refuse what the loader is not to be given: it has no limits, and may be killed by it."""
        if is_jpeg(data):
            info = read_jpeg_info(data, name=path)
            if info.truncated:
                raise ImageReadError(f"{path} is truncated; fetch or export it again")
            check_pixel_count(info.width, info.height, path, self.max_pixels)
            return
        if self.by_opencv and is_animated_png(data):
            raise ImageReadError(
                f"{path} is an animated PNG, which can kill OpenCV and the run with it if it is "
                "damaged; save its first frame as a PNG, or set imdecode_backend='pillow' in "
                "LoadImageFromFile"
            )
        try:
            with opened_picture(io.BytesIO(data), path) as picture:
                width, height = picture.size
        except ImageReadError as error:
            raise ImageReadError(f"{path} cannot be decoded; {_MEND}") from error
        check_pixel_count(width, height, path, self.max_pixels)

    def _check_mask(self, path: str, shape: tuple[int, int], record: Mapping[str, Any]) -> bytes:
        """Return the bytes of a mask of its image's shape, each value of which has a meaning."""
        try:
            data = bytes(fileio.get(path, backend_args=self.backend_args))
        except FileNotFoundError as error:
            raise AnnotationError(f"{path}: the mask does not exist") from error
        except OSError as error:
            raise AnnotationError(f"{path}: the mask cannot be read: {error}") from error
        labels = read_mask(data, path, shape)
        if labels.ndim != 2:
            raise AnnotationError(
                f"{path}: the mask has {labels.shape[2]} channels, as a picture of it has; give "
                "grey or palette images with the class of each pixel"
            )
        values = {int(value) for value in np.unique(labels)}
        meant = values
        if (mapping := record.get("label_map")) is not None:
            meant = {mapping.get(value, value) for value in values}
        if record.get("reduce_zero_label"):  # as mmseg does, where 0 is ignored
            meant = {255 if value in (0, 255) else value - 1 for value in meant}
        known = {*range(self.classes), *self.ignored}
        if self.classes and not meant <= known:
            raise AnnotationError(
                f"{path}: the mask has the values {sorted(values)[:20]}, and the data set "
                f"{self.classes} classes, from 0, with {sorted(self.ignored)} for none; map the "
                "others, or set ignore_index"
            )
        return data


def is_animated_png(data: bytes) -> bool:
    """Tell whether a PNG says that it is animated: a chunk ``acTL`` in front of its pixels.

    The chunks are walked as OpenCV does, whatever is wrong with them.

    >>> is_animated_png(_PNG + bytes(4) + b"tEXt" + bytes(4) + bytes(4) + b"acTL")
    True
    """
    place = len(_PNG)
    while data.startswith(_PNG) and place < len(data):
        kind = data[place + 4 : place + 8]
        if kind in (b"acTL", b"IDAT"):
            return kind == b"acTL"
        place += 12 + int.from_bytes(data[place : place + 4], "big")
    return False


def _root(leaf: Any) -> str:
    """Return the folder that the images of a dataset must lie in, or ``''`` if it names none.

    An absolute image folder outside ``data_root`` is a choice of the config and then the root.
    """
    root = str(leaf.get("data_root") or "")
    prefix = leaf.get("data_prefix") or {}
    images = str(prefix.get("img") or prefix.get("img_path") or "")
    return images if not root or Path(images).is_absolute() else root


def _inside(path: str, root: str) -> bool:
    """Tell whether ``path`` is below ``root`` by name; symbolic links may lead elsewhere."""
    if "://" in path:
        return path.startswith(root) and ".." not in path.split("/")
    folder, file = (os.path.normpath(Path.cwd() / name) for name in (root, path))
    return os.path.commonpath([file, folder]) == folder
