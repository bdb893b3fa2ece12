"""The transform in torchvision's pipelines: kinds of images, and the pixels of JpegRestorer."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest
import torch
from PIL import Image

pytest.importorskip("torchvision", reason="needs torchvision")

from torchvision import tv_tensors
from torchvision.transforms import v2

from jpeg_preproc import JpegRestorer, compress_jpeg
from jpeg_preproc.errors import ImageReadError, QualityError
from jpeg_preproc.jpeg import decode_jpeg
from jpeg_preproc.torchvision import JpegRestore


@pytest.fixture(scope="module")
def file(tmp_path_factory, photo):
    path = tmp_path_factory.mktemp("photo") / "photo.jpg"
    path.write_bytes(compress_jpeg(photo, qf=10))
    return path


@pytest.fixture(scope="module")
def transform(small_weights):
    return JpegRestore(small_weights)


@pytest.fixture(scope="module")
def engine(small_weights):
    return JpegRestorer(small_weights)


def test_an_opened_jpeg_is_restored_by_its_own_tables(transform, engine, file):
    result = transform(Image.open(file))
    assert result.mode == "RGB"
    np.testing.assert_array_equal(np.asarray(result), engine(file, qf="file").image)


def test_tables_are_in_natural_order(transform, engine, photo, tmp_path):
    # Of no quality of libjpeg's: a mirrored or zigzag table would restore otherwise.
    tables = [list(range(1, 65)), list(range(64, 0, -1))]
    Image.fromarray(photo).save(tmp_path / "own.jpg", qtables=tables, subsampling=2)
    found = np.asarray(transform(Image.open(tmp_path / "own.jpg")))
    np.testing.assert_array_equal(found, engine(tmp_path / "own.jpg").image)


def test_pixels_alone_are_judged_by_what_they_show(transform, engine, file):
    pixels = decode_jpeg(file.read_bytes()).pixels
    expected = engine(pixels).image
    for given in (
        Image.open(file).convert("RGB"),
        torch.from_numpy(pixels.copy()).permute(2, 0, 1),
        tv_tensors.Image(torch.from_numpy(pixels.copy()).permute(2, 0, 1)),
    ):
        result = transform(given)
        assert type(result) is (Image.Image if isinstance(given, Image.Image) else type(given))
        array = result if isinstance(result, Image.Image) else result.permute(1, 2, 0)
        np.testing.assert_array_equal(np.asarray(array), expected)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.float16])
def test_floats_are_eight_bits_divided_by_255(transform, engine, file, dtype):
    pixels = decode_jpeg(file.read_bytes()).pixels
    image = torch.from_numpy(pixels.copy()).permute(2, 0, 1).to(dtype) / 255
    if dtype == torch.float16:  # cannot hold them
        with pytest.raises(ImageReadError, match="not 8 bits"):
            transform(image)
        return
    result = transform(image)
    assert result.dtype == dtype
    levels = (result * 255).round().permute(1, 2, 0).numpy()
    np.testing.assert_array_equal(levels, engine(pixels).image)


def test_a_batch_and_grey_images(transform, engine, photo):
    jpegs = [decode_jpeg(compress_jpeg(photo[..., 0], qf=qf)).pixels for qf in (10, 30)]
    batch = torch.from_numpy(np.stack(jpegs))[:, None]
    result = transform(batch)
    assert result.shape == batch.shape
    for one, jpeg in zip(result, jpegs, strict=True):
        np.testing.assert_array_equal(one[0].numpy(), engine(jpeg).image)
    assert transform(Image.fromarray(jpegs[0])).mode == "L"


def test_boxes_beside_an_image_pass_and_pipelines_go_on(small_weights, file):
    pipeline = v2.Compose(
        [JpegRestore(small_weights, qf=10), v2.ToImage(), v2.ToDtype(torch.float32, scale=True)]
    )
    boxes = tv_tensors.BoundingBoxes([[1, 2, 30, 40]], format="XYXY", canvas_size=(120, 184))
    image, passed, label = pipeline(Image.open(file), boxes, 3)
    assert image.shape == (3, 120, 184) and image.dtype == torch.float32
    assert torch.equal(passed, boxes) and label == 3


@pytest.mark.parametrize(
    "image,words",
    [
        (Image.new("RGBA", (8, 8)), "mode RGBA"),
        (torch.zeros(4, 8, 8, dtype=torch.uint8), r"shape \(4, 8, 8\)"),
        (torch.zeros(3, 8, 8, dtype=torch.int64), "int64"),
        (torch.randn(3, 8, 8), "in front of"),
        (torch.full((3, 8, 8), 2.0), "in front of"),
    ],
)
def test_what_is_no_image_is_refused(transform, image, words):
    with pytest.raises(ImageReadError, match=words):
        transform(image)


def test_settings_are_checked_and_shown(small_weights):
    with pytest.raises(QualityError):
        JpegRestore(small_weights, qf=0)
    assert "restorer='small', qf='auto'" in repr(JpegRestore(small_weights))


def test_it_travels_to_workers_and_has_no_weights_of_its_own(transform, file):
    expected = np.asarray(transform(Image.open(file)))
    for other in (pickle.loads(pickle.dumps(transform)), copy.deepcopy(transform)):
        np.testing.assert_array_equal(np.asarray(other(Image.open(file))), expected)
    assert list(transform.parameters()) == [] and transform.state_dict() == {}
