"""JpegCompress and JpegCorrupt: what a pipeline gets, what is drawn, and what is refused."""

from __future__ import annotations

import io
import pickle

import cv2
import numpy as np
import pytest
from PIL import Image
from toys import LOAD, array_results, run

from jpeg_preproc.errors import (
    CorruptionError,
    PipelineError,
    QualityError,
)
from jpeg_preproc.jpeg import qtables_from_qf
from jpeg_preproc.openmmlab import JpegCompress, JpegCorrupt

# --- JpegCompress


@pytest.mark.parametrize("qf", [1, 10, 75, 100])
def test_compress_equals_pillow_and_opencv(tmp_path, photo, qf):
    Image.fromarray(photo).save(tmp_path / "a.png")
    result = run([LOAD, dict(type="JpegCompress", qf=qf)], tmp_path / "a.png")
    stream = io.BytesIO()
    Image.fromarray(photo).save(stream, "JPEG", quality=qf)
    with Image.open(stream) as decoded:
        np.testing.assert_array_equal(result["img"], np.array(decoded)[..., ::-1])
    encoded = cv2.imencode(".jpg", photo[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, qf])[1]
    np.testing.assert_array_equal(result["img"], cv2.imdecode(encoded, cv2.IMREAD_COLOR))


def test_compress_says_what_it_did(photo):
    result = JpegCompress(30, "4:4:4")(array_results(photo))["jpeg_quality"]
    assert (result["qf"], result["source"], result["subsampling"]) == (30, "given", "4:4:4")
    np.testing.assert_array_equal(result["qtables"], qtables_from_qf(30))


@pytest.mark.parametrize("axis", [False, True])
def test_compress_keeps_the_layout_of_grey_images(photo, axis):
    grey = photo[..., 1]
    stream = io.BytesIO()
    Image.fromarray(grey).save(stream, "JPEG", quality=10)
    result = JpegCompress(10)(array_results(grey[..., None] if axis else grey))
    with Image.open(stream) as decoded:
        expected = np.array(decoded)
    np.testing.assert_array_equal(result["img"], expected[..., None] if axis else expected)
    assert result["jpeg_quality"]["qtables"].shape == (1, 8, 8)


def test_compress_to_grey_keeps_three_channels(photo):
    image = JpegCompress(50, "grey")(array_results(photo))["img"]
    assert image.shape == photo.shape
    assert (image == image[..., :1]).all()


@pytest.mark.parametrize("qf", [0, 101, "high", (20,), (30, 10), (0, 10), (1, 2, 3)])
def test_a_quality_that_does_not_exist_is_refused(qf):
    with pytest.raises(QualityError):
        JpegCompress(qf)


@pytest.mark.parametrize("prob", [-0.1, 1.5])
def test_what_is_no_probability_is_refused(prob):
    with pytest.raises(PipelineError, match="give 0 to 1"):
        JpegCompress(10, prob=prob)


def test_qualities_are_drawn_evenly_from_the_range_and_images_by_their_share(photo):
    transform = JpegCompress(qf=(10, 13), prob=0.5)
    results = [transform(array_results(photo[:8, :8])) for _ in range(400)]
    drawn = [one["jpeg_quality"]["qf"] for one in results if "jpeg_quality" in one]
    assert set(drawn) == {10, 11, 12, 13}
    # Five standard deviations of 400 draws, and of 200.
    assert abs(len(drawn) / 400 - 0.5) < 0.125
    assert abs(np.mean(drawn) - 11.5) < 0.4
    untouched = next(one for one in results if "jpeg_quality" not in one)
    np.testing.assert_array_equal(untouched["img"], photo[:8, :8])
    assert "jpeg_data" not in untouched


def test_what_is_drawn_follows_the_seed_that_mmengine_gives(tmp_path, photo):
    """``worker_init_fn`` of mmengine seeds NumPy's generator, from which the quality is drawn."""
    from mmengine.dataset import worker_init_fn

    transform = JpegCompress(qf=(1, 100))

    def drawn(seed):
        worker_init_fn(0, num_workers=1, rank=0, seed=seed)
        return [transform(array_results(photo[:8, :8]))["jpeg_quality"]["qf"] for _ in range(5)]

    assert drawn(1) == drawn(1) != drawn(2)


# --- JpegCorrupt


def test_corrupt_leaves_what_the_corruption_makes(tmp_path, photo):
    Image.fromarray(photo).save(tmp_path / "a.png")
    result = run([LOAD, dict(type="JpegCorrupt", corruption="webp:30")], tmp_path / "a.png")
    stream = io.BytesIO()
    Image.fromarray(photo).save(stream, "WEBP", quality=30)
    with Image.open(stream) as decoded:
        np.testing.assert_array_equal(result["img"], np.array(decoded)[..., ::-1])
    assert result["jpeg_corruption"]["corruption"] == "webp:30"
    assert result["jpeg_corruption"]["bytes"] == len(stream.getvalue())
    assert result["jpeg_quality"]["qtables"] is None and result["jpeg_data"] is None


def test_a_corrupted_size_is_the_images_own_from_then_on(photo):
    result = JpegCorrupt("resized_jpeg:20,0.5")(array_results(photo))
    assert result["img"].shape == (60, 92, 3)
    assert result["img_shape"] == result["ori_shape"] == (60, 92)
    assert result["jpeg_corruption"]["geometry"].original == (120, 184)


def test_a_corruption_that_does_not_exist_is_refused_at_once():
    with pytest.raises(CorruptionError, match="jpeg"):
        JpegCorrupt("jpg:10")


@pytest.mark.parametrize("transform", [JpegCompress(10, prob=0.5), JpegCorrupt("jpeg:10")])
def test_what_corrupts_can_be_pickled_and_shown(transform, photo):
    again = pickle.loads(pickle.dumps(transform))
    assert repr(again) == repr(transform) and type(transform).__name__ in repr(transform)
