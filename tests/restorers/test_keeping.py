"""Restored images that are kept are those that a restorer gives."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from jpeg_preproc.errors import QualityError
from jpeg_preproc.jpeg import compress_jpeg, load_image
from jpeg_preproc.restorers.engine import JpegRestorer
from jpeg_preproc.restorers.inputs import DecodedImage
from jpeg_preproc.restorers.keeping import KeepingRestorer


@pytest.fixture
def image(photo):
    loaded = load_image(compress_jpeg(photo, 10))
    return DecodedImage(loaded.pixels, loaded.info.qtables, loaded.data, "folder/a.jpg")


@pytest.fixture
def keeping(tmp_path, small_weights):
    return KeepingRestorer(tmp_path / "kept", str(small_weights), "cpu")


def equal(first, second):
    for name in ("qf", "source", "consistent", "confidence", "part_qfs"):
        assert getattr(first, name) == getattr(second, name)
    np.testing.assert_array_equal(first.image, second.image)
    np.testing.assert_array_equal(first.qtables, second.qtables)


def test_what_is_kept_is_what_would_be_restored(
    tmp_path, keeping, small_weights, image, monkeypatch
):
    (expected,) = JpegRestorer(str(small_weights)).restore([image])
    assert (expected.image != image.pixels).any()
    equal(*keeping.restore([image]), expected)
    (path,) = (tmp_path / "kept").iterdir()
    assert path.name.startswith("a-") and path.suffix == ".png"
    np.testing.assert_array_equal(load_image(path).pixels, expected.image)

    def not_again(*_):
        raise AssertionError

    with monkeypatch.context() as patch:
        patch.setattr(JpegRestorer, "_restore", not_again)
        equal(*keeping.restore([image]), expected)
        # Another restorer reads it too, as one of another process does.
        equal(*KeepingRestorer(tmp_path / "kept", str(small_weights)).restore([image]), expected)


def test_whatever_decides_the_result_tells_images_apart(tmp_path, keeping, image):
    other = image.pixels.copy()
    other[0, 0, 0] ^= 1
    images = [
        image,
        replace(image, pixels=other),
        replace(image, qtables=image.qtables + 1, data=None),
        replace(image, qtables=None, data=None),
        replace(image, pixels=np.ascontiguousarray(image.pixels[..., 0])),
        replace(image, pixels=image.pixels.transpose(1, 0, 2).copy(), data=None),
    ]
    plain = JpegRestorer(keeping.network)
    plain.manifest = keeping.manifest
    for number, one in enumerate(images, 1):
        equal(*keeping.restore([one]), *plain.restore([one]))
        assert len(list((tmp_path / "kept").iterdir())) == number
    equal(*keeping.restore([image], "blind"), *plain.restore([image], "blind"))
    equal(*keeping.restore([image], 30), *plain.restore([image], 30))
    tables = image.qtables * 2
    equal(*keeping.restore([image], "auto", tables), *plain.restore([image], "auto", tables))
    assert len(list((tmp_path / "kept").iterdir())) == len(images) + 3


def test_a_damaged_file_is_made_anew(tmp_path, keeping, image):
    (expected,) = keeping.restore([image])
    (path,) = (tmp_path / "kept").iterdir()
    whole = path.read_bytes()
    for damaged in (whole[:1000], b"", whole.replace(b"restored", b"restarted")):
        path.write_bytes(damaged)
        equal(*keeping.restore([image]), expected)
        assert path.read_bytes() == whole


def test_nothing_is_kept_of_what_fails(tmp_path, keeping, image):
    with pytest.raises(QualityError):
        keeping.restore([image], 101)
    assert not (tmp_path / "kept").exists()
