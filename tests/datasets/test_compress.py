"""A dataset written by an encoder of one's own, beside that of JPEG."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from jpeg_preproc.datasets import scan_dataset
from jpeg_preproc.datasets.compress import (
    compression_rows,
    compression_variants,
    spelled_folder,
    write_compressed,
)
from jpeg_preproc.datasets.image import Encoded, Variant
from jpeg_preproc.errors import DatasetError
from jpeg_preproc.jpeg.encode import Encoding, encode_image
from jpeg_preproc.jpeg.image import LoadedImage


@pytest.fixture
def coco(tmp_path: Path, photo: np.ndarray) -> Path:
    root = tmp_path / "coco"
    for folder in ("annotations", "val"):
        (root / folder).mkdir(parents=True)
    Image.fromarray(photo).save(root / "val/1.jpg", quality=90)
    return root


def mirrored(image: LoadedImage, name: str) -> Encoded:
    return Encoded(encode_image(image.pixels[:, ::-1], Encoding("png")), {"said": name})


def mirrored_variant(out: Path) -> Variant:
    return Variant(out / spelled_folder("mirrored:1,2"), {"corruption": "mirrored:1,2"}, mirrored)


def test_a_variant_is_what_its_encoder_makes(coco: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    tree = scan_dataset(coco)
    variants = [*compression_variants(out, [30], "4:4:4"), mirrored_variant(out)]
    summary = write_compressed(tree, variants)
    with (
        Image.open(coco / "val/1.jpg") as source,
        Image.open(out / "mirrored_1_2/val/1.jpg") as png,
    ):
        assert png.format == "PNG"
        np.testing.assert_array_equal(np.asarray(png), np.asarray(source)[:, ::-1])
    with Image.open(out / "qf30/val/1.jpg") as jpeg:
        assert jpeg.format == "JPEG"
    manifest = json.loads((out / "mirrored_1_2/manifest.json").read_bytes())
    assert manifest["settings"] == {"corruption": "mirrored:1,2"}
    assert [entry["said"] for entry in manifest["images"]] == ["val/1.jpg"]
    rows = compression_rows(tree, summary)
    assert [row.get("qf") for row in rows] == [30, None]
    assert [row.get("corruption") for row in rows] == [None, "mirrored:1,2"]
    assert all(row["images"] == 1 for row in rows)
    assert write_compressed(tree, variants).kept == 2


def test_what_a_dead_worker_was_writing_is_gone_in_the_end(coco: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    left = out / "mirrored_1_2/val/.1.jpg.0123abcd"

    def left_behind(image: LoadedImage, name: str) -> Encoded:
        left.write_bytes(b"half")  # as if the one before had died over it
        return mirrored(image, name)

    variant = Variant(left.parents[1], {"corruption": "mirrored:1,2"}, left_behind)
    assert write_compressed(scan_dataset(coco), [variant]).new == 1
    assert sorted(path.name for path in left.parent.iterdir()) == ["1.jpg"]


def test_two_variants_in_one_folder_are_refused(coco: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    with pytest.raises(DatasetError, match=r"Two results would be written to .*mirrored_1_2"):
        write_compressed(scan_dataset(coco), [mirrored_variant(out)] * 2)
    assert not out.exists()
