"""Small COCO and VOC trees, and what Pillow makes of their images."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
from PIL import Image


def pillow_bytes(path: Path, qf: int, subsampling: str = "4:2:0") -> bytes:
    """What Pillow makes of a file's pixels at a quality; the reference."""
    with Image.open(path) as image:
        grey = image.mode == "L"
        # By way of an array, because Pillow would carry a source's comment over.
        pixels = Image.fromarray(np.asarray(image if grey else image.convert("RGB")))
    stream = io.BytesIO()
    options = {} if grey else {"subsampling": subsampling}
    pixels.save(stream, "JPEG", quality=qf, **options)
    return stream.getvalue()


def content(folder: Path) -> dict[str, bytes]:
    """Every file below ``folder``, by relative name; folders as ``b''``, results.* apart."""
    return {
        str(path.relative_to(folder)): path.read_bytes() if path.is_file() else b""
        for path in sorted(folder.rglob("*"))
        if not path.name.startswith("results.")
    }


def write_coco(root: Path, split: str, images: dict[str, tuple[int, int]]) -> None:
    """Write an instances file with one box for each image: name -> (width, height)."""
    names = enumerate(images.items(), start=1)
    document = {
        "images": [
            {"id": index, "file_name": name, "width": width, "height": height}
            for index, (name, (width, height)) in names
        ],
        "annotations": [
            {
                "id": index,
                "image_id": index,
                "category_id": 1,
                "bbox": [0, 0, 1, 1],
                "area": 1,
                "iscrowd": 0,
                "segmentation": [[0, 0, 1, 0, 1, 1]],
            }
            for index in range(1, len(images) + 1)
        ],
        "categories": [{"id": 1, "name": "thing"}],
    }
    path = root / "annotations" / f"instances_{split}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document))


def add_bad_images(root: Path) -> dict[str, str]:
    """Add images that cannot be read to ``val2017``; name -> a word of the error."""
    folder = root / "val2017"
    with Image.open(folder / "1.jpg") as image:
        pixels = np.asarray(image.convert("RGB"))
    data = (folder / "1.jpg").read_bytes()
    (folder / "truncated.jpg").write_bytes(data[: len(data) // 2])
    (folder / "header.jpg").write_bytes(data[:20])
    (folder / "empty.jpg").write_bytes(b"")
    (folder / "text.jpg").write_text("this is no image")
    Image.fromarray(pixels).convert("CMYK").save(folder / "cmyk.jpg")
    Image.fromarray(pixels[..., 0].astype(np.uint16) * 256).save(folder / "deep.png")
    return {
        "truncated.jpg": "truncated",
        "header.jpg": "header.jpg",
        "empty.jpg": "empty.jpg",
        "text.jpg": "no image",
        "cmyk.jpg": "CMYK",
        "deep.png": "8 bits",
    }
