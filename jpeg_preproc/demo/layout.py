"""The demo set on disk, in the layouts that stock mmdet and mmseg dataset classes read.

::

    ROOT/demo-val.json                                  the stamp, written last
    ROOT/coco/val/000000.png                            images for the detector
    ROOT/coco/annotations/instances_val.json            boxes and masks (run-length encoded)
    ROOT/voc/JPEGImages/val_000000.png                  the same images for the segmenter
    ROOT/voc/SegmentationClass/val_000000.png           class indices: 0 background, 255 unused
    ROOT/voc/ImageSets/Segmentation/val.txt             their names

Images are PNG, so that the originals carry no JPEG artefacts of their own.
"""

from __future__ import annotations

import io
import json
import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from jpeg_preproc.demo.scene import IMAGE_SIZE, Scene, render_scene
from jpeg_preproc.demo.surfaces import CLASSES
from jpeg_preproc.io import (
    remove_temporary_files,
    write_bytes_atomic,
    write_json_atomic,
    write_text_atomic,
)

GENERATOR_VERSION = 2
"""Raised whenever a scene changes; a set on disk of another version is made again."""

STREAMS: dict[str, int] = {"val": 1, "train": 2, "dev": 3}
"""Random stream of each split: ``train`` trains, settings were chosen on ``dev``."""

SPLIT_CONTRASTS: dict[str, float] = {"val": 0.8, "train": 1.0, "dev": 0.8}
"""Contrast of each split's scenes. Training jitters it from 0.8 to 1.2; a lower one costs more."""

SPLIT_SIZES: dict[str, int] = {"val": 72, "train": 1000, "dev": 72}
"""Scenes in each split."""

PALETTE: tuple[tuple[int, int, int], ...] = (
    (0, 0, 0),
    (128, 0, 0),
    (0, 128, 0),
    (128, 128, 0),
)
"""Colours of the masks: VOC's first ones."""


def run_lengths(mask: NDArray[np.bool_]) -> list[int]:
    """Return COCO's uncompressed run-length encoding of a (H, W) mask.

    Runs go down the columns, and the first one counts zeros, so it may be 0.
    """
    pixels = mask.ravel(order="F")
    edges = np.flatnonzero(pixels[1:] != pixels[:-1]) + 1
    bounds = np.concatenate([[0], edges, [pixels.size]])
    runs: list[int] = np.diff(bounds).tolist()
    return [0, *runs] if pixels[0] else runs


def coco_annotation(mask: NDArray[np.bool_], label: int, ids: tuple[int, int]) -> dict[str, Any]:
    """Return the COCO annotation of one instance.

    Args:
        mask: Mask of the instance as bool, (H, W), not empty.
        label: Index into :data:`~.surfaces.CLASSES`.
        ids: Id of the annotation, and id of its image.
    """
    rows, cols = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    left, top = int(cols[0]), int(rows[0])
    return {
        "id": ids[0],
        "image_id": ids[1],
        "category_id": label + 1,
        "bbox": [left, top, int(cols[-1]) + 1 - left, int(rows[-1]) + 1 - top],
        "area": int(mask.sum()),
        "segmentation": {"size": list(mask.shape), "counts": run_lengths(mask)},
        "iscrowd": 0,
    }


def class_mask(scene: Scene) -> NDArray[np.uint8]:
    """Return the (H, W) semantic mask: 0 for background, else 1 + the class's index."""
    mask = np.zeros(scene.image.shape[:2], dtype=np.uint8)
    for instance in scene.instances:
        mask[instance.mask] = instance.label + 1
    return mask


def _png(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


def _mask_png(mask: NDArray[np.uint8]) -> bytes:
    height, width = mask.shape
    image = Image.frombytes("P", (width, height), mask.tobytes())
    image.putpalette([channel for colour in PALETTE for channel in colour])
    return _png(image)


def _expected(root: Path, split: str, count: int) -> Iterator[Path]:
    yield root / f"coco/annotations/instances_{split}.json"
    yield root / f"voc/ImageSets/Segmentation/{split}.txt"
    for index in range(count):
        yield root / f"coco/{split}/{index:06d}.png"
        yield root / f"voc/JPEGImages/{split}_{index:06d}.png"
        yield root / f"voc/SegmentationClass/{split}_{index:06d}.png"


def _is_complete(root: Path, split: str, stamp: dict[str, Any]) -> bool:
    try:
        found = json.loads((root / f"demo-{split}.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return found == stamp and all(
        path.is_file() for path in _expected(root, split, stamp["images"])
    )


def _write_split(
    root: Path, split: str, count: int, track: Callable[[Iterable[int]], Iterable[int]]
) -> None:
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for index in track(range(count)):
        scene = render_scene(STREAMS[split], index, SPLIT_CONTRASTS[split])
        name = f"{index:06d}.png"
        pixels = _png(Image.fromarray(scene.image))
        write_bytes_atomic(root / "coco" / split / name, pixels)
        write_bytes_atomic(root / "voc/JPEGImages" / f"{split}_{name}", pixels)
        mask = _mask_png(class_mask(scene))
        write_bytes_atomic(root / "voc/SegmentationClass" / f"{split}_{name}", mask)
        height, width = IMAGE_SIZE
        images.append({"id": index + 1, "file_name": name, "height": height, "width": width})
        for instance in scene.instances:
            ids = (len(annotations) + 1, index + 1)
            annotations.append(coco_annotation(instance.mask, instance.label, ids))
    categories = [{"id": number, "name": name} for number, name in enumerate(CLASSES, start=1)]
    instances = {"images": images, "annotations": annotations, "categories": categories}
    target = root / f"coco/annotations/instances_{split}.json"
    write_text_atomic(target, json.dumps(instances))
    names = "".join(f"{split}_{index:06d}\n" for index in range(count))
    write_text_atomic(root / f"voc/ImageSets/Segmentation/{split}.txt", names)


def make_demo_dataset(
    root: str | os.PathLike[str],
    split: str = "val",
    *,
    count: int | None = None,
    track: Callable[[Iterable[int]], Iterable[int]] = iter,
) -> Path:
    """Write one split of the demo set below ``root`` unless it is there already; return ``root``.

    The same files come out each time. A stamp, written last, names the generator's version; a
    set that lacks a file, was cut short, or is of another version is made again.

    Args:
        root: Folder to write to; made where it is missing. Files of others are left alone.
        split: Name of the split: ``'val'``, ``'train'`` or ``'dev'``.
        count: Number of scenes; :data:`SPLIT_SIZES` tells the default.
        track: Wraps the scene numbers, for a progress display.

    Raises:
        KeyError: ``split`` is not in :data:`STREAMS`.
        OSError: ``root`` cannot be written to.
    """
    root = Path(root)
    count = SPLIT_SIZES[split] if count is None else count
    stamp: dict[str, Any] = {
        "generator": GENERATOR_VERSION,
        "split": split,
        "stream": STREAMS[split],
        "images": count,
    }
    if not _is_complete(root, split, stamp):
        stamp_file = root / f"demo-{split}.json"
        stamp_file.unlink(missing_ok=True)
        names = [path.relative_to(root).as_posix() for path in _expected(root, split, count)]
        remove_temporary_files([stamp_file.name, *names], root)
        _write_split(root, split, count, track)
        write_json_atomic(stamp_file, stamp)
    return root
