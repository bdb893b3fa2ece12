from __future__ import annotations

import io

import numpy as np
import pytest
import torch
from PIL import Image
from stirring import stir

from jpeg_preproc.corruptions import Jpeg, parse_corruption
from jpeg_preproc.errors import PipelineError
from jpeg_preproc.evaluation.apply import condition_image, load_restorer
from jpeg_preproc.evaluation.conditions import (
    Condition,
    RestorerChoice,
    RestoreSettings,
    choose_restorers,
)
from jpeg_preproc.jpeg import load_image, qtables_from_qf
from jpeg_preproc.restorers.engine import JpegRestorer, Restored
from jpeg_preproc.restorers.registry import build_restorer
from jpeg_preproc.restorers.weights import save_weights

BASE = RestorerChoice("base", "base", "ab")


@pytest.fixture
def weights(tmp_path):
    torch.manual_seed(0)
    path = tmp_path / "mine.safetensors"
    save_weights(build_restorer("ARCNN"), path, preset="base")
    return path


@pytest.fixture
def turned(tmp_path, photo):
    """A file whose pixels lie on their side, of odd sides; and how Pillow shows it upright."""
    path = tmp_path / "turned.jpg"
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(photo[:101, :67]).save(path, quality=95, subsampling=0, exif=exif)
    return path


def pillow(pixels, qf, subsampling):
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "JPEG", quality=qf, subsampling=subsampling)
    return np.array(Image.open(stream))


def test_an_original_is_the_file_upright(turned):
    with Image.open(turned) as picture:
        upright = np.array(picture)[::-1].swapaxes(0, 1)  # EXIF 6: a quarter clockwise
    found = condition_image(load_image(turned), Condition()).pixels
    assert found.shape == (67, 101, 3)
    np.testing.assert_array_equal(found, upright)


@pytest.mark.parametrize("subsampling", ["4:2:0", "4:4:4"])
def test_an_image_is_compressed_as_stored(turned, subsampling):
    with Image.open(turned) as picture:
        expected = pillow(np.array(picture), 10, subsampling)[::-1].swapaxes(0, 1)
    condition = Condition(Jpeg(10, subsampling))
    found = condition_image(load_image(turned), condition).pixels
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("consistent", [False, True])
def test_an_image_is_restored_by_the_tables_of_the_compression(turned, consistent):
    torch.manual_seed(0)
    network = build_restorer("GridUNet", "nano").eval()
    stir(network)
    restorer = JpegRestorer(network, consistent=consistent)
    found = condition_image(load_image(turned), Condition(Jpeg(10), BASE), restorer).pixels
    # A JPEG of that quality in memory, read as any file is: with its own tables.
    stream = io.BytesIO()
    with Image.open(turned) as picture:
        Image.fromarray(np.array(picture)).save(stream, "JPEG", quality=10)
    expected = restorer(stream.getvalue()).image[::-1].swapaxes(0, 1)
    np.testing.assert_array_equal(found, expected)


def test_a_grey_file_stays_grey(tmp_path, photo):
    path = tmp_path / "grey.png"
    Image.fromarray(photo[..., 0]).save(path)
    found = condition_image(load_image(path), Condition(Jpeg(10)))
    assert found.pixels.shape == (120, 184)


def test_a_restorer_is_loaded_as_asked_for(weights):
    (choice, consistent) = choose_restorers([str(weights)], consistent=True)
    restorer = load_restorer(choice, RestoreSettings(dtype="bf16"))
    assert restorer.dtype is torch.bfloat16 and not restorer.consistent
    assert load_restorer(consistent, RestoreSettings()).consistent


def test_half_of_the_correction_is_half_way(turned):
    settings, pixels = RestoreSettings(), []
    for strength in (0.0, 0.5, None):
        choice = RestorerChoice("nano", "nano", "", strength=strength)
        restorer = load_restorer(choice, settings)
        made = condition_image(load_image(turned), Condition(Jpeg(10), choice), restorer)
        pixels.append(made.pixels.astype(float))
    as_it_is, half, whole = pixels
    corrupted = condition_image(load_image(turned), Condition(Jpeg(10))).pixels
    np.testing.assert_array_equal(as_it_is, corrupted)
    assert np.abs(whole - as_it_is).max() > 4
    assert np.abs(half - (as_it_is + whole) / 2).max() <= 1.0  # both are rounded


def test_a_device_that_torch_does_not_have_is_named(weights):
    (choice,) = choose_restorers([str(weights)])
    with pytest.raises(PipelineError, match="'nowhere'"):
        load_restorer(choice, RestoreSettings(device="nowhere"))


class Watching:
    """A restorer that tells what it was told of an image, and leaves it as it is."""

    def __init__(self):
        self.images = []

    def restore(self, images, qf):
        assert qf == "auto"
        self.images += images
        return [Restored(image.pixels, None, "blind") for image in images]


@pytest.mark.parametrize(
    "spelling,tables_of",
    [
        ("jpeg:10", 10),
        ("double_jpeg:10,95,shift=4", 95),  # what its last file claims
        ("resized_jpeg:10,0.75,then=90", 90),
        ("resized_jpeg:10,0.75", None),
        ("cropped_jpeg:10,offset=3", None),
        ("webp:30", None),
    ],
)
def test_a_restorer_is_told_what_the_last_file_says_and_no_more(turned, spelling, tables_of):
    restorer = Watching()
    condition = Condition(parse_corruption(spelling), BASE)
    condition_image(load_image(turned), condition, restorer)
    (image,) = restorer.images
    made = condition.corruption.apply(load_image(turned).pixels, "turned.jpg")
    np.testing.assert_array_equal(image.pixels, made.pixels)
    if tables_of is None:
        assert image.qtables is None and image.data is None
    else:
        np.testing.assert_array_equal(image.qtables, qtables_from_qf(tables_of))
        np.testing.assert_array_equal(Image.open(io.BytesIO(image.data)), image.pixels)


def test_what_moved_an_image_is_told_as_the_upright_one_sees_it(turned):
    condition = Condition(parse_corruption("cropped_jpeg:10,offset=3"))
    found = condition_image(load_image(turned), condition)
    # Stored 101 rows of 67; three of each cut off at the top left, which is the top right upright.
    assert found.pixels.shape[:2] == found.geometry.corrupted == (64, 98)
    assert found.geometry.original == (67, 101)
    assert (found.geometry.offset[0], found.geometry.offset[1]) == (3.0, 0.0)
    assert found.num_bytes == condition.corruption.apply(load_image(turned).pixels).num_bytes
