from __future__ import annotations

import io

import numpy as np
import pytest
import torch
from PIL import Image
from stirring import stir

from jpeg_preproc import JpegRestorer, compress_jpeg
from jpeg_preproc.errors import (
    DeviceError,
    ImageReadError,
    JpegPreprocError,
    QualityError,
    UnknownRestorerError,
)
from jpeg_preproc.jpeg import decode_jpeg, qtables_from_qf
from jpeg_preproc.restorers import DecodedImage, build_restorer
from jpeg_preproc.restorers.contract import Restorer, RestorerOutput, RestorerSpec


@pytest.fixture(scope="module")
def tiny():
    torch.manual_seed(0)
    network = build_restorer("GridUNet", "nano")
    stir(network.tail)
    return JpegRestorer(network)


class Recorder(Restorer):
    """Returns its input and remembers what it was given."""

    spec = RestorerSpec((3,), 16, "required", "a test")

    def __init__(self):
        super().__init__()
        self.calls = []

    def forward(self, image, quality=None):
        self.calls.append((tuple(image.shape), quality))
        return RestorerOutput(image)


def save(image, **options):
    stream = io.BytesIO()
    Image.fromarray(image).save(stream, **options)
    return stream.getvalue()


@pytest.mark.parametrize("size", [(1, 1), (7, 9), (8, 8), (65, 130)])
@pytest.mark.parametrize("colour", [True, False])
def test_any_size_in_colour_and_grey(tiny, photo, size, colour):
    image = np.resize(photo, (*size, 3)) if colour else np.resize(photo[..., 1], size)
    jpeg = compress_jpeg(image, qf=20)
    result = tiny(jpeg)
    assert result.image.shape == image.shape and result.image.dtype == np.uint8
    assert (result.qf, result.source) == (20, "file")


def test_path_bytes_and_pixels_give_the_same(tiny, photo, tmp_path):
    jpeg = compress_jpeg(photo, qf=20)
    path = tmp_path / "photo.jpg"
    path.write_bytes(jpeg)
    pixels = decode_jpeg(jpeg).pixels
    expected = tiny(jpeg).image
    assert not np.array_equal(expected, pixels)
    for image, options in ((path, {}), (str(path), {}), (pixels, {"qf": 20})):
        np.testing.assert_array_equal(tiny(image, **options).image, expected)
    given = tiny(pixels, qtables=qtables_from_qf(20))
    np.testing.assert_array_equal(given.image, expected)
    assert (given.qf, given.source) == (20, "given")


def test_where_the_quality_is_from(tiny, photo):
    jpeg = compress_jpeg(photo, qf=30)
    assert tiny(jpeg).source == "file"
    assert (tiny(jpeg, qf=55).qf, tiny(jpeg, qf=55).source) == (55, "given")
    assert (tiny(jpeg, qf="blind").qf, tiny(jpeg, qf="blind").source) == (None, "blind")
    assert tiny(decode_jpeg(jpeg).pixels).source == "estimated"
    assert tiny(save(photo, format="PNG")).source == "estimated"
    assert (tiny(jpeg, qf="file").qf, tiny(jpeg, qf="file").source) == (30, "file")
    assert tiny(decode_jpeg(jpeg).pixels, qf="file").source == "estimated"


@pytest.mark.parametrize("qf", ["auto", "file", "blind", 35])
def test_decoded_images_are_restored_as_their_files_are_but_not_turned(tiny, photo, qf):
    jpeg = compress_jpeg(photo, qf=20, orientation=6)
    decoded = decode_jpeg(jpeg)
    images = [DecodedImage(decoded.pixels, decoded.info.qtables), DecodedImage(decoded.pixels)]
    by_file, by_pixels = tiny.restore(images, qf)
    for found, source in ((by_file, jpeg), (by_pixels, decoded.pixels)):
        expected = tiny(source, qf=qf)
        turned = np.rot90(found.image, -1) if source is jpeg else found.image
        difference = np.abs(turned.astype(int) - expected.image)  # a batch may round otherwise
        assert difference.max() <= 1 and (difference > 0).mean() < 1e-3
        assert (found.qf, found.source) == (expected.qf, expected.source)
    assert tiny.restore([]) == []


def test_an_error_names_the_image_of_several(photo):
    recorder = JpegRestorer(Recorder())
    good = DecodedImage(photo, qtables_from_qf(20), name="good.jpg")
    bad = DecodedImage(photo, np.zeros((2, 8, 8)), name="bad.jpg")
    with pytest.raises(QualityError, match=r"^bad\.jpg: "):
        recorder.restore([good, bad])


def test_a_list_equals_single_runs_whatever_the_batches(tiny, photo):
    jpegs = [
        compress_jpeg(photo, qf=10),
        compress_jpeg(photo[:64, :80], qf=40),
        compress_jpeg(photo[..., 0], qf=20),
        compress_jpeg(photo[::-1], qf=70),
    ]
    together = tiny(jpegs)
    assert [result.qf for result in together] == [10, 40, 20, 70]
    for jpeg, result in zip(jpegs, together, strict=True):
        # Convolutions of another batch size may add up in another order.
        difference = np.abs(tiny(jpeg).image.astype(int) - result.image)
        assert difference.max() <= 1 and (difference > 0).mean() < 1e-3
    assert tiny([]) == []


def test_tiles_change_nothing(photo):
    torch.manual_seed(0)
    network = build_restorer("GridUNet", "nano")
    stir(network.tail)
    image = np.tile(photo, (4, 3, 1))
    jpeg = compress_jpeg(image, qf=20)
    whole = JpegRestorer(network, tile=None)(jpeg).image
    tiled = JpegRestorer(network, tile=96)(jpeg).image
    difference = np.abs(whole.astype(int) - tiled)
    assert difference.max() <= 1 and (difference > 0).mean() < 1e-3


def test_pads_to_the_multiple_and_passes_tables_of_each_image(photo):
    recorder = Recorder()
    restorer = JpegRestorer(recorder, batch_size=2)
    images = [compress_jpeg(photo[:33, :50], qf=qf) for qf in (10, 90, 50)]
    results = restorer(images)
    assert [shape for shape, _ in recorder.calls] == [(2, 3, 48, 64), (1, 3, 48, 64)]
    qualities = torch.cat([quality.qf for _, quality in recorder.calls]).tolist()
    assert qualities == [10, 90, 50]
    for jpeg, result in zip(images, results, strict=True):
        np.testing.assert_array_equal(result.image, decode_jpeg(jpeg).pixels)


def test_a_network_that_needs_the_quality_says_so(photo):
    with pytest.raises(QualityError, match="give qf or qtables"):
        JpegRestorer(Recorder())(photo, qf="blind")


@pytest.mark.parametrize("dtype", ["bf16", "fp16"])
def test_half_precision_stays_near(photo, dtype):
    if dtype == "fp16" and torch.__version__.startswith("2.1."):
        with pytest.raises(DeviceError, match="no fp16 on the CPU; take bf16"):
            JpegRestorer(Recorder(), dtype=dtype)
        return
    torch.manual_seed(0)
    network = build_restorer("GridUNet", "nano")
    stir(network.tail)
    jpeg = compress_jpeg(photo, qf=20)
    full = JpegRestorer(network)(jpeg).image.astype(float)
    half = JpegRestorer(network, dtype=dtype)(jpeg).image.astype(float)
    assert np.abs(full - half).mean() < 0.2


def test_fp32_is_kept_inside_a_model_in_half_precision(tiny, photo):
    expected = tiny(photo).image
    with torch.autocast("cpu", torch.bfloat16):
        np.testing.assert_array_equal(tiny(photo).image, expected)


def test_exif_rotation_is_restored_on_the_grid_and_shown_upright(tiny, photo):
    stored = compress_jpeg(photo, qf=20, orientation=6)
    upright = np.rot90(tiny(compress_jpeg(photo, qf=20)).image, -1)
    np.testing.assert_array_equal(tiny(stored).image, upright)


def test_grey_network_on_colour_keeps_chroma(photo):
    torch.manual_seed(0)
    network = build_restorer("ARCNN", "grey")
    with torch.no_grad():
        for value in network.parameters():
            value.zero_()
        network.reconstruct.bias.fill_(0.5)
    result = JpegRestorer(network)(photo).image
    ycbcr = np.asarray(Image.fromarray(photo).convert("YCbCr")).copy()
    ycbcr[..., 0] = 128
    expected = np.asarray(Image.fromarray(ycbcr, "YCbCr").convert("RGB"))
    np.testing.assert_array_equal(result, expected)


@pytest.mark.parametrize(
    "array",
    [
        np.zeros((8, 8, 3), np.float32),
        np.zeros((8, 8, 4), np.uint8),
        np.zeros((0, 8, 3), np.uint8),
        np.zeros(8, np.uint8),
    ],
)
def test_arrays_that_are_no_image_are_refused(tiny, array):
    with pytest.raises(ImageReadError, match="array of"):
        tiny(array)


def test_bad_files_are_refused_by_name(tiny, photo, tmp_path):
    jpeg = compress_jpeg(photo, qf=50)
    bad = {
        "truncated.jpg": jpeg[: len(jpeg) // 2],
        "text.jpg": b"no image at all",
        "empty.jpg": b"",
        "cmyk.jpg": _cmyk(photo),
        "deep.png": save(np.zeros((9, 7), np.uint16), format="PNG"),
    }
    for name, data in bad.items():
        (tmp_path / name).write_bytes(data)
        with pytest.raises(ImageReadError, match=name):
            tiny(tmp_path / name)
    with pytest.raises(ImageReadError, match=r"absent\.jpg"):
        tiny(tmp_path / "absent.jpg")


def _cmyk(photo):
    stream = io.BytesIO()
    Image.fromarray(photo).convert("CMYK").save(stream, format="JPEG")
    return stream.getvalue()


@pytest.mark.parametrize("qf", [0, 101, -5])
def test_quality_factors_out_of_range(tiny, photo, qf):
    with pytest.raises(QualityError, match=str(qf)):
        tiny(photo, qf=qf)


def test_a_word_that_is_no_quality(tiny, photo):
    with pytest.raises(QualityError, match="'best' is none of auto, file, blind"):
        tiny(photo, qf="best")


def test_settings_that_cannot_be(tiny):
    with pytest.raises(UnknownRestorerError, match="no restorer weights 'nonesuch'"):
        JpegRestorer("nonesuch")
    with pytest.raises(JpegPreprocError, match="fp8"):
        JpegRestorer(tiny.network, dtype="fp8")
    with pytest.raises(ValueError, match="at least 1"):
        JpegRestorer(tiny.network, batch_size=0)


def test_a_blind_network_that_predicts_the_quality_says_which(photo):
    torch.manual_seed(0)
    network = build_restorer("FBCNN", "tiny")
    restorer = JpegRestorer(network)
    images = [photo[:48, :64], photo[40:88, 60:124]]
    results = restorer(images, qf="blind")
    batch = torch.stack([torch.tensor(image.copy()) for image in images]).permute(0, 3, 1, 2) / 255
    with torch.no_grad():
        predicted = network(batch, None).qf
    assert [result.qf for result in results] == [round(factor) for factor in predicted.tolist()]
    assert {result.source for result in results} == {"estimated"}
    told = restorer(images[0], qf=20)
    assert (told.qf, told.source) == (20, "given")
    assert not np.array_equal(told.image, results[0].image)
