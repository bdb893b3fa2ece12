"""Histories against the same steps done with Pillow and OpenCV."""

from __future__ import annotations

import io
import pickle
import sys

import numpy as np
import pytest
from PIL import Image

from jpeg_preproc.corruptions import CroppedJpeg, DoubleJpeg, Jpeg, ResizedJpeg, Transcoded
from jpeg_preproc.errors import CorruptionError
from jpeg_preproc.jpeg import qtables_from_qf


def saved(pixels, qf, subsampling="4:2:0"):
    """Return Pillow's bytes and pixels."""
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "JPEG", quality=qf, subsampling=subsampling)
    with Image.open(stream) as picture:
        return stream.getvalue(), np.asarray(picture)


@pytest.mark.parametrize("shift", [0, 4, (2, 5), (0, 8)])
@pytest.mark.parametrize("subsampling", ["4:2:0", "4:4:4"])
def test_double_jpeg(photo, shift, subsampling):
    found = DoubleJpeg(10, 80, shift, subsampling).apply(photo)
    rows, columns = shift if isinstance(shift, tuple) else (shift, shift)
    _, first = saved(photo, 10, subsampling)
    data, second = saved(first[rows:, columns:], 80, subsampling)
    assert found.data == data
    assert found.num_bytes == len(data)
    np.testing.assert_array_equal(found.pixels, second)
    np.testing.assert_array_equal(found.qtables, qtables_from_qf(80))
    assert found.geometry.offset == (rows, columns)
    reference = DoubleJpeg(10, 80, shift, subsampling).reference(photo)
    np.testing.assert_array_equal(reference, photo[rows:, columns:])


def test_equal_rows_and_columns_are_one_number():
    assert DoubleJpeg(10, 95, (4, 4)) == DoubleJpeg(10, 95, "4:4") == DoubleJpeg(10, 95, 4)
    assert DoubleJpeg(10, 95, [2, 5]).spelling == "double_jpeg:10,95,shift=2:5"


@pytest.mark.parametrize("kernel", ["nearest", "box", "bilinear", "hamming", "bicubic", "lanczos"])
@pytest.mark.parametrize("scale", [0.5, 0.77, 1.4])
def test_resized_by_pillow(photo, kernel, scale):
    size = (round(84 * scale), round(60 * scale))
    method = Image.Resampling[kernel.upper()]
    _, first = saved(photo, 20)
    expected = np.asarray(Image.fromarray(first).resize(size, method))
    kept = ResizedJpeg(20, scale, kernel=kernel).apply(photo)
    np.testing.assert_array_equal(kept.pixels, expected)
    assert kept.data is None
    again = ResizedJpeg(20, scale, 70, kernel).apply(photo)
    assert again.data == saved(expected, 70)[0]
    reference = ResizedJpeg(20, scale, 70, kernel).reference(photo)
    np.testing.assert_array_equal(reference, Image.fromarray(photo).resize(size, method))


@pytest.mark.parametrize("grey", [False, True])
@pytest.mark.parametrize(
    ("kernel", "flag"),
    [
        ("cv2_nearest", "INTER_NEAREST_EXACT"),
        ("cv2_bilinear", "INTER_LINEAR"),
        ("cv2_bicubic", "INTER_CUBIC"),
        ("cv2_area", "INTER_AREA"),
        ("cv2_lanczos", "INTER_LANCZOS4"),
    ],
)
def test_resized_by_opencv(photo, kernel, flag, grey):
    cv2 = pytest.importorskip("cv2")
    image = photo[..., 1] if grey else photo
    expected = cv2.resize(Jpeg(20).apply(image).pixels, (63, 45), interpolation=getattr(cv2, flag))
    found = ResizedJpeg(20, 0.75, kernel=kernel).apply(image)
    np.testing.assert_array_equal(found.pixels, expected)
    assert "opencv" in ResizedJpeg(20, 0.75, kernel=kernel).key()["libraries"]
    assert "opencv" not in ResizedJpeg(20, 0.75).key()["libraries"]


def test_every_side_keeps_a_pixel():
    pixel = np.full((1, 1, 3), 90, np.uint8)
    assert ResizedJpeg(90, 0.1).apply(pixel).pixels.shape == (1, 1, 3)
    cut = CroppedJpeg(90, 5).apply(np.zeros((3, 40), np.uint8))
    assert cut.pixels.shape == (1, 35)
    assert cut.geometry.offset == (2, 5)


def test_cropped_jpeg(photo):
    found = CroppedJpeg(20, (3, 6)).apply(photo)
    np.testing.assert_array_equal(found.pixels, saved(photo, 20)[1][3:, 6:])
    assert (found.data, found.qtables) == (None, None)


def test_strength_is_the_damaging_quality():
    assert DoubleJpeg(10, 95).strength == DoubleJpeg(95, 10).strength == 10
    assert ResizedJpeg(20, 0.5).strength == ResizedJpeg(80, 0.5, then=20).strength == 20
    assert CroppedJpeg(30).strength == 30


@pytest.mark.parametrize("codec", ["mpeg2", "h264"])
def test_video_is_one_intra_frame_whose_error_grows(photo, codec):
    av = pytest.importorskip("av")
    from jpeg_preproc.corruptions.video import VideoFrame

    errors, sizes = [], []
    for quality in (1, 10, 28):
        coded = VideoFrame(codec, quality).code(photo)
        errors.append(np.square(coded.pixels.astype(float) - photo).mean())
        sizes.append(len(coded.data))
        name = {"mpeg2": "mpegvideo", "h264": "h264"}[codec]
        with av.open(io.BytesIO(coded.data), format=name) as container:
            frames = list(container.decode(video=0))
        assert [frame.key_frame for frame in frames] == [True]
        assert (frames[0].height, frames[0].width) == (64, 96)
    assert errors == sorted(errors)
    assert sizes == sorted(sizes, reverse=True)
    # What 4:2:0 alone costs, JPEG shows at its best quality.
    best = Jpeg(100).apply(photo).pixels
    assert errors[0] < 1.5 * np.square(best.astype(float) - photo).mean()


@pytest.mark.parametrize("codec", ["mpeg2", "h264"])
@pytest.mark.parametrize("colour", [(200, 40, 30), (20, 180, 60), (128, 128, 128), (250, 250, 5)])
def test_video_keeps_flat_colours(codec, colour):
    pytest.importorskip("av")
    flat = np.full((33, 47, 3), colour, np.uint8)
    found = Transcoded(100, codec, 2).apply(flat).pixels
    # Limited range and 8-bit YCbCr, twice.
    assert np.abs(found.astype(int) - flat).max() <= 6


def test_transcoded_ends_with_the_jpeg_of_the_frame(photo):
    pytest.importorskip("av")
    from jpeg_preproc.corruptions.video import VideoFrame

    frame = VideoFrame("h264", 30).code(photo).pixels
    found = Transcoded(60, "h264", 30).apply(photo)
    assert found.data == saved(frame, 60)[0]
    assert found.qtables.shape == (2, 8, 8)
    assert {"ffmpeg", "jpeg"} < set(Transcoded(60, "h264", 30).key()["libraries"])


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: DoubleJpeg(0, 10), "double_jpeg.*first=0; give a whole number from 1 to 100"),
        (lambda: DoubleJpeg(10, 101), "second=101"),
        (lambda: DoubleJpeg(10, 20, 16), "shift=16; give whole pixels from 0 to 15"),
        (lambda: DoubleJpeg(10, 20, (1, 2, 3)), "shift="),
        (lambda: DoubleJpeg(10, 20, 1.5), "shift="),
        (lambda: CroppedJpeg(10, "chance"), "offset='chance'.*random"),
        (lambda: ResizedJpeg(10, 0), "scale=0; give a number from 0.05 to 20"),
        (lambda: ResizedJpeg(10, float("nan")), "scale=nan"),
        (lambda: ResizedJpeg(10, 0.5, then=0), "then=0"),
        (lambda: ResizedJpeg(10, 0.5, kernel="cubic"), "kernel='cubic'; give one of nearest"),
        (lambda: Transcoded(10, "vp9", 3), "codec='vp9'; give one of mpeg2, h264"),
        (lambda: Transcoded(10, "mpeg2", 32), "quality=32; give a whole number from 1 to 31"),
        (lambda: Transcoded(10, "h264", 52), "quality=52; give a whole number from 1 to 51"),
    ],
)
def test_wrong_settings_name_kind_setting_and_range(make, message):
    with pytest.raises(CorruptionError, match=message):
        make()


@pytest.mark.parametrize(
    ("corruption", "module", "distribution"),
    [
        (Transcoded(60, "h264", 30), "av", "av"),
        (ResizedJpeg(60, 0.5, kernel="cv2_area"), "cv2", "opencv-python-headless"),
    ],
)
def test_a_missing_package_names_the_install_line(
    corruption, module, distribution, photo, monkeypatch
):
    monkeypatch.setitem(sys.modules, module, None)
    for call in (lambda: corruption.apply(photo), corruption.key):
        with pytest.raises(
            CorruptionError, match=f"^The package {module} .*pip install {distribution}$"
        ):
            call()


def test_values_travel_to_other_processes():
    for corruption in (DoubleJpeg(10, 95, (2, 5)), Transcoded(60, "mpeg2", 3)):
        assert pickle.loads(pickle.dumps(corruption)) == corruption
