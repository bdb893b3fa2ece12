"""Small cuttings of the demo's photographs, for tests that need a trained model's predictions."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path

from PIL import Image

from jpeg_preproc.demo.files import PHOTOS

#: Height and width.
SIZE = (192, 256)


def cutting(index: int) -> Image.Image:
    """The middle of a photograph at half its size, (192, 256), as an image of Pillow."""
    path = sorted((PHOTOS / "images").iterdir())[index]
    with Image.open(path) as image:
        half = image.convert("RGB").reduce(2)
    left, top = (half.width - SIZE[1]) // 2, (half.height - SIZE[0]) // 2
    return half.crop((left, top, left + SIZE[1], top + SIZE[0]))


def write_small_photos(root: str | os.PathLike[str], indices: Sequence[int]) -> Path:
    """Write cuttings in the layout of the demo's folder, with a made-up box each; return it."""
    root = Path(root)
    whole = json.loads((PHOTOS / "instances.json").read_text())
    images = []
    for folder in ("images", "masks"):
        (root / folder).mkdir(parents=True)
    for number, index in enumerate(indices):
        name = f"{number:06d}"
        cutting(index).save(root / f"images/{name}.jpg", quality=95, subsampling=0)
        Image.new("P", SIZE[::-1]).save(root / f"masks/{name}.png")
        entry = dict(id=number, file_name=f"{name}.jpg", height=SIZE[0], width=SIZE[1])
        images.append(entry)
    (root / "names.txt").write_text("".join(f"{number:06d}\n" for number in range(len(images))))
    box = dict(category_id=1, bbox=[40, 30, 120, 90], area=120 * 90, iscrowd=0)
    boxes = [{**box, "id": number + 1, "image_id": number} for number in range(len(images))]
    document = {**whole, "images": images, "annotations": boxes}
    (root / "instances.json").write_text(json.dumps(document))
    return root
