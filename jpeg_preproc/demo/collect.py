"""How the demo's files came about: photographs, annotations and masks of COCO val2017.

The masks have the 21 classes of PASCAL VOC: 20 of COCO's 80 classes are the same but for their
names, and all else is background, 0. Polygons are drawn from large to small, those of other
classes as background, since they hide what lies behind them. A crowd of one of the 20 classes is
255, which no metric counts, wherever it would else be background; other crowds are background.
"""

from __future__ import annotations

import csv
import io
import json
import os
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from jpeg_preproc.io import sha256_file, write_bytes_atomic, write_text_atomic

LICENCE = 4
"""Id of Creative Commons Attribution 2.0 in COCO's annotation files."""

VOC_CLASSES = (
    *("background", "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair"),
    *("cow", "diningtable", "dog", "horse", "motorbike", "person", "pottedplant", "sheep", "sofa"),
    *("train", "tvmonitor"),
)
"""PASCAL VOC's classes, in the order of the values of its masks."""

VOC_NAMES = {
    "airplane": "aeroplane",
    "couch": "sofa",
    "dining table": "diningtable",
    "motorcycle": "motorbike",
    "potted plant": "pottedplant",
    "tv": "tvmonitor",
}
"""COCO's names of the classes that VOC names otherwise."""

CROWD = 255

CC_BY = "CC BY 2.0, https://creativecommons.org/licenses/by/2.0/"
COCO_ANNOTATIONS = "CC BY 4.0, https://creativecommons.org/licenses/by/4.0/"
APACHE = "Apache-2.0, https://www.apache.org/licenses/LICENSE-2.0"

WEIGHTS = {
    "yolox_nano": (
        "yolox_nano.onnx, https://github.com/Megvii-BaseDetection/YOLOX",
        "Megvii Inc.; converted for mmdet (batch norm folded)",
    ),
    "deeplabv3_mnv2": (
        "deeplabv3_mnv2_pascal_quant.tflite, https://github.com/google-coral/test_data",
        "Google; dequantised for mmseg (output stride 32)",
    ),
}
"""Source and author of each model's weights."""


def voc_labels(categories: Sequence[Mapping[str, Any]]) -> dict[int, int]:
    """Return the mask value of each COCO category that VOC knows too, by the category's id."""
    names = {entry["id"]: VOC_NAMES.get(entry["name"], entry["name"]) for entry in categories}
    return {key: VOC_CLASSES.index(name) for key, name in names.items() if name in VOC_CLASSES}


def class_mask(
    size: tuple[int, int], annotations: Sequence[Mapping[str, Any]], labels: Mapping[int, int]
) -> NDArray[np.uint8]:
    """Draw the annotations of an image as a semantic mask, (H, W).

    Args:
        size: Height and width of the image.
        annotations: The image's entries of a COCO annotation file.
        labels: Mask value by category id, see :func:`voc_labels`.
    """
    from pycocotools import mask as coco_masks

    canvas = Image.new("L", size[::-1])
    draw = ImageDraw.Draw(canvas)
    for entry in sorted(annotations, key=lambda entry: -entry["area"]):
        label = labels.get(entry["category_id"], 0)
        for polygon in [] if entry["iscrowd"] else entry["segmentation"]:
            draw.polygon(polygon, fill=label, outline=label)
    mask = np.array(canvas)
    for entry in annotations:
        if entry["iscrowd"] and entry["category_id"] in labels:
            crowd = coco_masks.decode(coco_masks.frPyObjects(entry["segmentation"], *size))
            mask[(crowd == 1) & (mask == 0)] = CROWD
    return mask


def select(coco: Mapping[str, Any], licence: int = LICENCE) -> dict[str, Any]:
    """Return what a COCO annotation file holds about the images under one licence."""
    images = sorted(
        (entry for entry in coco["images"] if entry["license"] == licence),
        key=lambda entry: entry["id"],
    )
    ids: Collection[int] = {entry["id"] for entry in images}
    return {
        **coco,
        "images": images,
        "annotations": [entry for entry in coco["annotations"] if entry["image_id"] in ids],
    }


def collect_photos(coco_root: str | os.PathLike[str], out: str | os.PathLike[str]) -> Path:
    """Write the photographs under CC BY 2.0 of COCO val2017, with masks, to ``out``; return it.

    The photographs keep their bytes. ``instances.json`` holds their official entries, ``masks`` a
    palette PNG and ``names.txt`` a line for each.

    Args:
        coco_root: Folder with ``val2017`` and ``annotations/instances_val2017.json``.
        out: Folder to write to.

    Raises:
        OSError: A file is missing, or ``out`` cannot be written to.
    """
    root, out = Path(coco_root), Path(out)
    whole = json.loads((root / "annotations/instances_val2017.json").read_text(encoding="utf-8"))
    chosen = select(whole)
    labels = voc_labels(chosen["categories"])
    for image in chosen["images"]:
        name = image["file_name"]
        write_bytes_atomic(out / "images" / name, (root / "val2017" / name).read_bytes())
        entries = [one for one in chosen["annotations"] if one["image_id"] == image["id"]]
        mask = class_mask((image["height"], image["width"]), entries, labels)
        target = (out / "masks" / name).with_suffix(".png")
        write_bytes_atomic(target, _palette_png(mask))
    names = "".join(f"{Path(image['file_name']).stem}\n" for image in chosen["images"])
    write_text_atomic(out / "names.txt", names)
    write_text_atomic(out / "instances.json", json.dumps(chosen, separators=(",", ":")) + "\n")
    return out


def _palette_png(mask: NDArray[np.uint8]) -> bytes:
    """Return a mask as a PNG whose palette has VOC's colours."""
    image = Image.frombytes("P", (mask.shape[1], mask.shape[0]), mask.tobytes())
    image.putpalette(_voc_palette())
    buffer = io.BytesIO()
    image.save(buffer, "PNG", optimize=True)
    return buffer.getvalue()


def _voc_palette() -> list[int]:
    """Return VOC's colours: the bits of a label, taken in threes, are the high bits of R, G, B."""
    palette = []
    for label in range(256):
        for channel in range(3):
            bits = (label >> (3 * place + channel) & 1 for place in range(3))
            palette.append(sum(bit << (7 - place) for place, bit in enumerate(bits)))
    return palette


def write_table(folder: str | os.PathLike[str]) -> Path:
    """Write ``files.csv``: each file with its SHA-256, licence, source and author; return it.

    Args:
        folder: Folder of the demo, with ``photos`` and ``weights``.
    """
    folder = Path(folder)
    photos = folder / "photos"
    whole = json.loads((photos / "instances.json").read_text(encoding="utf-8"))
    consortium = ("https://cocodataset.org", "COCO Consortium")
    rows: list[tuple[Path, str, str, str]] = []
    for image in whole["images"]:
        number = image["flickr_url"].rpartition("/")[2].partition("_")[0]
        author = f"named on https://www.flickr.com/photo.gne?id={number}"
        source = f"{image['coco_url']}, from {image['flickr_url']}"
        rows.append((photos / "images" / image["file_name"], CC_BY, source, author))
    made = f"{consortium[1]}; mask drawn from its polygons"
    for path in sorted((photos / "masks").iterdir()):
        rows.append((path, COCO_ANNOTATIONS, consortium[0], made))
    chosen = f"{consortium[1]}; the entries of these photographs"
    for name in ("instances.json", "names.txt"):
        rows.append((photos / name, COCO_ANNOTATIONS, consortium[0], chosen))
    for name, (source, author) in WEIGHTS.items():
        rows.append((folder / "weights" / f"{name}.pth", APACHE, source, author))
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("file", "sha256", "licence", "source", "author"))
    for path, *others in rows:
        writer.writerow((path.relative_to(folder).as_posix(), sha256_file(path), *others))
    return write_text_atomic(folder / "files.csv", text.getvalue())
