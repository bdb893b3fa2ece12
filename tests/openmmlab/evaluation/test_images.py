"""What is handed to the loader of a pipeline, and what is refused since it may kill the process."""

from __future__ import annotations

import io
import struct
import zlib

import numpy as np
import pytest
import toysets
from mmengine.registry import init_default_scope
from PIL import Image
from soaking.mutations import mutated, samples

from jpeg_preproc.openmmlab.config import load_config
from jpeg_preproc.openmmlab.evaluation.images import is_animated_png
from jpeg_preproc.openmmlab.evaluation.selection import select_images

pytest.importorskip("mmdet")

OPENCV = "dict(type='LoadImageFromFile')"
# Places in a series of damaged files of those that have killed OpenCV 4.12.
KILLERS = (532, 948, 1104, 1156, 1468, 1520, 1728, 1780, 1988)
PILLOW = "dict(type='LoadImageFromFile', imdecode_backend='pillow')"


@pytest.fixture
def handed(monkeypatch):
    """The names of the files that the loader is given."""
    from mmcv.transforms import LoadImageFromFile

    names = []
    load = LoadImageFromFile.transform

    def transform(self, results):
        names.append(results["img_path"].rpartition("/")[2])
        return load(self, results)

    monkeypatch.setattr(LoadImageFromFile, "transform", transform)
    return names


def selected(folder, data, pipeline=OPENCV):
    """What is left of six PNG files of which one has been replaced by ``data``."""
    coco = toysets.write_coco(folder / "coco")
    (coco / "val" / "002.png").write_bytes(data)
    config = load_config(toysets.detector_config(folder, coco, pipeline))
    init_default_scope(config.default_scope)
    return select_images(config, folder / "narrowed", max_pixels=3000)


def animated(size):
    first, second = (Image.fromarray(np.full((*size, 3), value, np.uint8)) for value in (9, 99))
    stream = io.BytesIO()
    first.save(stream, "PNG", save_all=True, append_images=[second])
    return stream.getvalue()


def test_an_animated_png_is_not_handed_to_opencv(tmp_path, handed):
    selection = selected(tmp_path, animated(toysets.SIDES[2]))
    (entry,) = selection.skipped
    assert entry["file"].endswith("002.png") and "imdecode_backend='pillow'" in entry["reason"]
    assert handed == ["000.png", "001.png", "003.png", "004.png", "005.png"]


def test_pillow_is_given_it(tmp_path, handed):
    selection = selected(tmp_path, animated(toysets.SIDES[2]), PILLOW)
    assert (selection.images, selection.skipped) == (6, ())
    assert "002.png" in handed


@pytest.mark.parametrize("pipeline", [OPENCV, PILLOW])
@pytest.mark.parametrize("start", [b"%!PS-Adobe-3.0 EPSF-3.0\n", b"#?RADIANCE\n", b"Y\xa6j\x95"])
def test_formats_that_are_not_on_our_list_are_handed_to_nobody(tmp_path, handed, start, pipeline):
    (entry,) = selected(tmp_path, start + bytes(100), pipeline).skipped
    assert "002.png cannot be decoded" in entry["reason"]
    assert "002.png" not in handed


def test_a_claim_of_many_pixels_is_refused_by_the_header(tmp_path, handed):
    header = b"IHDR" + struct.pack(">IIBBBBB", 30_000, 30_000, 8, 2, 0, 0, 0)
    rows = b"IDAT" + zlib.compress(bytes(1000))
    chunks = (
        struct.pack(">I", len(chunk) - 4) + chunk + struct.pack(">I", zlib.crc32(chunk))
        for chunk in (header, rows, b"IEND")
    )
    (entry,) = selected(tmp_path, b"\x89PNG\r\n\x1a\n" + b"".join(chunks)).skipped
    assert "30000x30000 pixels" in entry["reason"]
    assert "002.png" not in handed


def test_only_what_opencv_takes_for_animated_is():
    found = {sample.name for sample in samples() if is_animated_png(sample.data)}
    assert found == {"moving.png"}
    assert all(is_animated_png(mutated(19, number).data) for number in KILLERS)
    still = Image.new("RGB", (9, 9))
    stream = io.BytesIO()
    still.save(stream, "PNG")
    assert not is_animated_png(stream.getvalue() + b"\0\0\0\x08acTL")  # behind the pixels
