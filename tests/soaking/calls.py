"""Every way in which an image file from outside reaches this package, as a function of one file."""

from __future__ import annotations

import contextlib
import io
import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from PIL import Image

from jpeg_preproc import JpegRestorer, read_jpeg_info
from jpeg_preproc.cli import main
from jpeg_preproc.datasets import Execution, compress_dataset, scan_dataset
from jpeg_preproc.errors import AnnotationError, DatasetError, ImageReadError
from jpeg_preproc.files import FileRestorer
from jpeg_preproc.files.plan import Job
from jpeg_preproc.jpeg import decode_jpeg, is_jpeg, load_image
from soaking.loader import Loader
from soaking.mutations import Sample

#: What the calls are told of how large an image may be. The samples have 2,655 pixels, so that
#: a header which claims more than this is refused, and one that claims less is restored.
MOST_PIXELS = 300_000
#: Name of the call that needs mmcv.
BEHIND_LOADER = "JpegRestore behind mmcv's loader"


class WrongResultError(Exception):
    """What came back without an error is not what it should be."""


@dataclass(frozen=True)
class Call:
    """One way in.

    Attributes:
        name: What the table calls it.
        prepare: Takes the file and an empty folder, and returns what is measured: a function
            without arguments. ``None`` where this file cannot come this way.
        allowed: Errors that are documented.
    """

    name: str
    prepare: Callable[[Sample, Path], Callable[[], object] | None]
    allowed: tuple[type[Exception], ...] = (ImageReadError,)


def calls() -> list[Call]:
    """Return those that can be tried in this environment."""
    found = [
        Call("read_jpeg_info", lambda sample, folder: lambda: read_jpeg_info(sample.data)),
        Call("load_image, decode_jpeg", _decode),
        Call("jpeg-preproc info --history", _info, ()),
        Call("JpegRestorer", _restore),
        Call("jpeg-preproc restore (files)", _restore_file),
        Call("scan_dataset, compress_dataset", _dataset, (DatasetError,)),
        Call("scan_dataset, annotations", _annotations, (DatasetError, AnnotationError)),
    ]
    if find_spec("mmcv") is not None:
        found.append(Call(BEHIND_LOADER, _behind_loader, ()))
    return found


def _decode(sample: Sample, folder: Path) -> Callable[[], object]:
    def work() -> None:
        pixels = load_image(sample.data, max_pixels=MOST_PIXELS).pixels
        if is_jpeg(sample.data):
            again = decode_jpeg(sample.data, max_pixels=MOST_PIXELS).pixels
            if again.shape != pixels.shape or (again != pixels).any():
                raise WrongResultError("load_image and decode_jpeg differ")

    return work


def _info(sample: Sample, folder: Path) -> Callable[[], object]:
    path = _written(sample, folder)

    def work() -> None:
        output, errors = io.StringIO(), io.StringIO()
        arguments = ["info", "--history", "--max-pixels", str(MOST_PIXELS), str(path)]
        with contextlib.redirect_stdout(output), contextlib.redirect_stderr(errors):
            code = main(arguments)
        said = errors.getvalue()
        if code not in (0, 1) or (code == 1) != said.startswith("error: "):
            raise WrongResultError(f"exit code {code}, and it said {said!r}")
        if code == 1 and said.count("\n") != 1:
            raise WrongResultError(f"not one line: {said!r}")

    return work


@cache
def _restorer() -> JpegRestorer:
    return JpegRestorer("nano", max_pixels=MOST_PIXELS)


def _restore(sample: Sample, folder: Path) -> Callable[[], object]:
    restorer = _restorer()
    return lambda: restorer(sample.data).image.shape


def _restore_file(sample: Sample, folder: Path) -> Callable[[], object]:
    path = _written(sample, folder)
    out = folder / "out"
    restore = FileRestorer(_restorer(), keep_exif=True)

    def work() -> None:
        try:
            restore(Job(path, out / "result.png"))
        finally:
            left = [entry.name for entry in out.iterdir()] if out.is_dir() else []
            if left not in ([], ["result.png"]):
                raise WrongResultError(f"left behind: {left}")
        with Image.open(out / "result.png") as picture:
            picture.load()

    return work


def _dataset(sample: Sample, folder: Path) -> Callable[[], object]:
    root = folder / "coco"
    (root / "val").mkdir(parents=True)
    _written(sample, root / "val")
    _write_annotations(root, json.dumps(_document(sample.name)).encode())

    def work() -> None:
        tree = scan_dataset(root)
        how = Execution(0, max_pixels=MOST_PIXELS)
        summary = compress_dataset(tree, folder / "out", [20], execution=how)
        if summary.new + len(summary.skipped) != 1:
            raise WrongResultError(f"{summary.new} written, {len(summary.skipped)} skipped, of 1")

    return work


def _annotations(sample: Sample, folder: Path) -> Callable[[], object]:
    """An annotation file damaged in the same place as the image."""
    root = folder / "coco"
    (root / "val").mkdir(parents=True)
    (root / "val" / "a.jpg").write_bytes(sample.data)
    text = bytearray(json.dumps(_document("a.jpg")).encode())
    for place, byte in enumerate(sample.data[40:80:7]):
        text[(byte * 7 + place * 31) % len(text)] = sample.data[place % len(sample.data)] or byte
    _write_annotations(root, bytes(text))
    return lambda: scan_dataset(root)


def _behind_loader(sample: Sample, folder: Path) -> Callable[[], object] | None:
    load, restore = _transforms()
    path = _written(sample, folder)
    results = load(str(path))
    if results is None:
        return None
    shape = results["img"].shape

    def work() -> None:
        done = restore(results)
        if done["img"].shape != shape or "jpeg_quality" not in done:
            raise WrongResultError(f"{shape} became {done['img'].shape}")

    return work


@cache
def _transforms() -> tuple[Loader, Any]:
    from jpeg_preproc.openmmlab import JpegRestore

    return Loader(), JpegRestore("nano", max_pixels=MOST_PIXELS)


def loader_deaths() -> int:
    """Return how many files have killed mmcv's loader in this process, which is OpenCV's doing."""
    return _transforms()[0].deaths if _transforms.cache_info().currsize else 0


def _written(sample: Sample, folder: Path) -> Path:
    path = folder / sample.name
    path.write_bytes(sample.data)
    return path


def _document(name: str) -> dict[str, Any]:
    box = {"id": 1, "image_id": 1, "category_id": 1, "bbox": [0, 0, 9, 9], "area": 81}
    return {
        "images": [{"id": 1, "file_name": name, "width": 59, "height": 45}],
        "annotations": [{**box, "iscrowd": 0}],
        "categories": [{"id": 1, "name": "thing"}],
    }


def _write_annotations(root: Path, data: bytes) -> None:
    (root / "annotations").mkdir()
    (root / "annotations" / "instances_val.json").write_bytes(data)


def emptied(folder: Path) -> Path:
    """Return a folder that is there and empty."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder
