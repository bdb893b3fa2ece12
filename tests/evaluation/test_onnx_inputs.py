from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from jpeg_preproc.errors import ModelError
from jpeg_preproc.evaluation.onnx.fields import build
from jpeg_preproc.evaluation.onnx.inputs import InputSettings, fit, make_input, resize

SIZES = [(416, 285), (60, 92), (120, 50), (333, 500), (1, 1)]


def settings(**values):
    return build(InputSettings, {"channel_order": "rgb", **values}, "model")


@pytest.mark.parametrize("size", SIZES)
def test_resizing_is_that_of_opencv_up_to_rounding(photo, size):
    cv2 = pytest.importorskip("cv2")
    expected = cv2.resize(photo, size[::-1], interpolation=cv2.INTER_LINEAR)
    difference = np.abs(resize(photo, size, antialias=False).astype(int) - expected)
    assert difference.max() <= 1


@pytest.mark.parametrize("size", SIZES)
def test_antialiased_resizing_is_that_of_pillow_up_to_rounding(photo, size):
    expected = np.array(Image.fromarray(photo).resize(size[::-1], Image.Resampling.BILINEAR))
    difference = np.abs(resize(photo, size, antialias=True).astype(int) - expected)
    assert difference.max() <= 1


@pytest.mark.parametrize("image", [(480, 640), (427, 640), (500, 333), (7, 500), (416, 416)])
@pytest.mark.parametrize("size", [(416, 416), (300, 500), (512, 640)])
def test_an_image_that_keeps_its_ratio_is_scaled_as_mmcv_scales_it(image, size):
    mmcv = pytest.importorskip("mmcv")
    found = fit(image, settings(input_size=size))
    # mmcv takes the longer side of a scale for the image's longer one, whichever that is.
    if (image[0] > image[1]) == (size[0] > size[1]) or size[0] == size[1]:
        width, height = mmcv.rescale_size(image[::-1], size[::-1])
        assert found.resized == (height, width)
    assert found.size == size and found.offset == (0, 0)
    assert found.resized[0] <= size[0] and found.resized[1] <= size[1]


@pytest.mark.parametrize("image", [(480, 640), (640, 480), (200, 1900), (900, 901)])
def test_edges_are_those_of_mmcv(image):
    mmcv = pytest.importorskip("mmcv")
    found = fit(image, settings(edges=(800, 1333), pad_multiple=32))
    assert found.resized[::-1] == mmcv.rescale_size(image[::-1], (1333, 800))
    for resized, padded in zip(found.resized, found.size, strict=True):
        assert padded % 32 == 0 and 0 <= padded - resized < 32


@pytest.mark.parametrize("image", [(480, 640), (427, 640), (333, 500), (500, 333), (90, 91)])
@pytest.mark.parametrize("shorter,size", [(256, (224, 224)), (232, (224, 200)), (96, (128, 96))])
def test_the_centre_is_cut_out_as_torchvision_cuts_it(photo, image, shorter, size):
    v2 = pytest.importorskip("torchvision.transforms.v2")
    pixels = photo[: image[0], : image[1]]
    way = v2.Compose([v2.Resize(shorter), v2.CenterCrop(size)])
    expected = np.array(way(Image.fromarray(pixels)))
    chosen = settings(shorter_side=shorter, input_size=size, antialias=True)
    found, where = make_input(pixels, chosen, "NHWC", np.dtype(np.float32))
    assert where.size == size and found.shape == (1, *size, 3)
    assert np.abs(found[0] - expected).max() <= 1


def test_without_a_size_an_image_stays_as_it_is():
    found = fit((33, 50), settings())
    assert found.resized == found.size == (33, 50)


def test_an_image_may_be_stretched():
    found = fit((100, 50), settings(input_size=(40, 80), keep_ratio=False))
    assert found.resized == found.size == (40, 80)
    box = found.to_image(np.array([[8.0, 10.0, 80.0, 40.0]]))
    np.testing.assert_allclose(box, [[5.0, 25.0, 50.0, 100.0]])


def test_boxes_come_back_from_the_centre_of_the_padding():
    found = fit((100, 200), settings(input_size=(64, 64), pad="centre"))
    assert (found.resized, found.offset) == ((32, 64), (16, 0))
    whole = found.to_image(np.array([[0.0, 16.0, 64.0, 48.0]]))
    np.testing.assert_allclose(whole, [[0.0, 0.0, 200.0, 100.0]])


def test_the_input_holds_the_image_padding_and_normalisation(photo):
    chosen = settings(
        input_size=[200, 200], pad_value=(10, 20, 30), mean=[1, 2, 3], std=[2, 4, 8], pad="centre"
    )
    batch, where = make_input(photo[:100, :100], chosen, "NCHW", np.dtype(np.float32))
    assert batch.shape == (1, 3, 200, 200) and where.resized == (200, 200)
    batch, where = make_input(photo[:50, :100], chosen, "NCHW", np.dtype(np.float32))
    top, height = where.offset[0], where.resized[0]
    assert (top, height) == (50, 100)
    np.testing.assert_allclose(batch[0, :, 0, 0], [(10 - 1) / 2, (20 - 2) / 4, (30 - 3) / 8])
    expected = resize(photo[:50, :100], (100, 200), antialias=False).astype(np.float64)
    expected = (expected - [1, 2, 3]) / [2, 4, 8]
    np.testing.assert_allclose(batch[0, :, 50:150].transpose(1, 2, 0), expected, rtol=1e-5)


@pytest.mark.parametrize("order,channels", [("rgb", [0, 1, 2]), ("bgr", [2, 1, 0])])
@pytest.mark.parametrize("layout", ["NCHW", "NHWC"])
def test_channels_stand_where_the_model_wants_them(photo, order, channels, layout):
    chosen = settings(channel_order=order)
    batch, _ = make_input(photo, chosen, layout, np.dtype(np.uint8))
    pixels = batch[0].transpose(1, 2, 0) if layout == "NCHW" else batch[0]
    assert batch.dtype == np.uint8
    np.testing.assert_array_equal(pixels, photo[..., channels])


def test_a_grey_image_has_three_equal_channels(photo):
    batch, _ = make_input(photo[..., 0], settings(), "NCHW", np.dtype(np.float32))
    for channel in batch[0]:
        np.testing.assert_array_equal(channel, photo[..., 0])


@pytest.mark.parametrize(
    "values,words",
    [
        (dict(channel_order="grb"), "model.channel_order is 'grb'"),
        (dict(pad="left"), "model.pad is 'left'.*corner, centre, none"),
        (dict(layout="CHW"), "model.layout is 'CHW'"),
        (dict(input_size=416), "model.input_size is 416; give 2 values"),
        (dict(input_size=(0, 416)), "two numbers of pixels"),
        (dict(input_size=("a", 416)), "model.input_size is 'a'; give a whole number"),
        (dict(input_size=(64, 64), edges=(64, 64)), "exclude each other"),
        (dict(edges=(64, 64), keep_ratio=False), "keep_ratio=False"),
        (dict(pad_multiple=0), "model.pad_multiple is 0"),
        (dict(mean=(1, 2)), "model.mean is .*give 1 or 3 numbers"),
        (dict(std=0), "model.std has a 0"),
        (dict(keep_ratio="yes"), "model.keep_ratio is 'yes'; give True or False"),
        (dict(pad_multiple=True), "model.pad_multiple is True"),
        (dict(extra_inputs=[1]), "model.extra_inputs is .*a dict"),
        (dict(size=(1, 1)), "model.size is unknown; model may have channel_order, input_size"),
    ],
)
def test_a_wrong_setting_is_named(values, words):
    with pytest.raises(ModelError, match=words):
        settings(**values)


def test_a_missing_setting_is_named():
    with pytest.raises(ModelError, match=r"model\.channel_order is missing"):
        build(InputSettings, {}, "model")
