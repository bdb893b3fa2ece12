from __future__ import annotations

import io

import cv2
import mmcv
import numpy as np
import pytest
from mmengine.fileio import LocalBackend, register_backend
from PIL import Image

from jpeg_preproc.errors import ImageReadError, PipelineError
from jpeg_preproc.jpeg import compress_jpeg, decode_jpeg, qtables_from_qf
from jpeg_preproc.openmmlab.source import (
    JpegOrigin,
    find_origin,
    loaded_orientation,
    loader_orientation,
    read_jpeg,
    undo_orientation,
)


def with_orientation(orientation, shape=(13, 21)):
    rng = np.random.default_rng(3)
    pixels = np.kron(rng.integers(0, 256, (4, 6, 3)), np.ones((4, 4, 1)))[: shape[0], : shape[1]]
    return compress_jpeg(pixels.astype(np.uint8), 90, orientation=orientation)


@pytest.mark.parametrize("backend", ["cv2", "pillow"])
@pytest.mark.parametrize("color_type", ["color", "unchanged", "grayscale"])
@pytest.mark.parametrize("shape", [(13, 21), (13, 13)])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_what_each_loader_did_is_found_from_the_image(
    tmp_path, orientation, shape, color_type, backend
):
    path = tmp_path / "turned.jpg"
    path.write_bytes(with_orientation(orientation, shape))
    image = mmcv.imread(str(path), flag=color_type, backend=backend)
    expected = 1 if color_type == "unchanged" else orientation
    decoded = decode_jpeg(path)
    assert loaded_orientation(image, decoded.pixels, decoded.info.orientation, "") == expected
    # Undone, the image is what Pillow decodes without looking at EXIF.
    with Image.open(path) as stored:
        if image.ndim == 2 and backend == "cv2":
            stored.draft("L", None)  # OpenCV takes the luma that the file holds
        stored_pixels = np.array(stored.convert("L") if image.ndim == 2 else stored)
    stored_image = undo_orientation(image, expected)
    stored_image = stored_image[..., ::-1] if image.ndim == 3 else stored_image
    np.testing.assert_array_equal(stored_image, stored_pixels)


def test_a_resized_image_is_refused(tmp_path):
    path = tmp_path / "a.jpg"
    path.write_bytes(with_orientation(6))
    with pytest.raises(PipelineError, match=r"a\.jpg.*directly behind LoadImageFromFile"):
        find_origin({"img_path": str(path)}, np.zeros((20, 20, 3), np.uint8), "JpegRestore")


@pytest.mark.parametrize("orientation", [3, 6])
def test_an_orientation_that_only_xmp_states_is_found_where_the_loader_went_by_it(
    tmp_path, photo, orientation
):
    packet = (
        f'<x:xmpmeta xmlns:x="adobe:ns:meta/"><d tiff:Orientation="{orientation}"/></x:xmpmeta>'
    )
    path = tmp_path / "a.jpg"
    Image.fromarray(photo[:103, :157]).save(path, quality=30, xmp=packet.encode())
    by_backend = {"cv2": 1, "pillow": orientation}
    for backend, expected in by_backend.items():
        image = mmcv.imread(str(path), backend=backend)
        origin = find_origin({"img_path": str(path)}, image, "JpegRestore")
        assert (origin.orientation, origin.problem) == (expected, None)
        assert loader_orientation({"img_path": str(path)}, image, "JpegCompress") == expected


def test_tables_are_read_and_other_formats_have_none(tmp_path, photo):
    path = tmp_path / "a.png"
    Image.fromarray(photo).save(path)
    assert read_jpeg(str(path)) is None
    assert find_origin({"img_path": str(path)}, photo, "JpegRestore") == JpegOrigin()


def test_any_backend_of_mmengine_serves(photo):
    class MemoryBackend(LocalBackend):
        def get(self, filepath):
            return {"memory://a.jpg": compress_jpeg(photo, 35)}[str(filepath)]

    register_backend("jpeg_preproc_memory", MemoryBackend, force=True)
    data = read_jpeg("memory://a.jpg", {"backend": "jpeg_preproc_memory"})
    assert data == compress_jpeg(photo, 35)


def test_the_origin_is_the_file_or_what_a_transform_compressed(tmp_path, photo):
    path, data = tmp_path / "a.jpg", compress_jpeg(photo, 35)
    path.write_bytes(data)
    image = mmcv.imread(str(path))
    results = {"img_path": str(path)}
    origin = find_origin(results, image, "JpegRestore")
    assert (origin.source, origin.orientation, origin.data) == ("file", 1, None)
    np.testing.assert_array_equal(origin.qtables, qtables_from_qf(35))
    assert find_origin(results, image, "JpegRestore", with_data=True).data == data
    again = compress_jpeg(photo, 10)
    results |= {"jpeg_quality": {"qtables": qtables_from_qf(10)}, "jpeg_data": again}
    image = decode_jpeg(again).pixels[..., ::-1]
    origin = find_origin(results, image, "JpegRestore", with_data=True)
    assert (origin.source, origin.data) == ("given", again)
    assert find_origin({}, image, "JpegRestore") == JpegOrigin()
    assert find_origin({}, image, "JpegRestore", color_type="color") == JpegOrigin(colour=True)


def cmyk(photo):
    stream = io.BytesIO()
    Image.fromarray(photo).convert("CMYK").save(stream, "JPEG")
    return stream.getvalue()


def lossless(photo):
    """A file whose frame header says lossless (SOF3)."""
    return compress_jpeg(photo, 50).replace(b"\xff\xc0", b"\xff\xc3", 1)


def step_of_0(photo):
    data = bytearray(compress_jpeg(photo, 50))
    data[data.index(b"\xff\xdb") + 5 + 63] = 0
    return bytes(data)


@pytest.mark.parametrize(
    "content,words",
    [
        (lambda photo: compress_jpeg(photo, 50)[:-2] + bytes(600), "truncated"),
        (lambda photo: compress_jpeg(photo, 50)[:-200], "truncated"),
        (lambda photo: compress_jpeg(photo, 50)[:100], "truncated"),
        (lossless, "lossless"),
        (step_of_0, "step of 0"),
        (cmyk, "CMYK"),
    ],
)
def test_what_is_refused_here_has_no_tables_and_says_why(tmp_path, photo, content, words):
    path = tmp_path / "bad.jpg"
    path.write_bytes(content(photo))
    # As if the loader had decoded it.
    origin = find_origin({"img_path": str(path)}, photo, "JpegRestore", with_data=True)
    assert (origin.qtables, origin.data, origin.orientation) == (None, None, 1)
    assert words in origin.problem and str(path) in origin.problem
    with pytest.raises(ImageReadError, match=words) as error:
        find_origin({"img_path": str(path)}, photo, "JpegRestore", strict=True)
    assert str(path) in str(error.value)


def test_a_missing_file_is_an_error_of_the_pipeline(tmp_path, photo):
    with pytest.raises(ImageReadError, match=r"absent\.jpg cannot be read.*backend_args"):
        find_origin({"img_path": str(tmp_path / "absent.jpg")}, photo, "JpegRestore")


@pytest.mark.parametrize("color_type", ["color", "grayscale"])
@pytest.mark.parametrize("backend", ["cv2", "pillow"])
@pytest.mark.parametrize("qf", [3, 30, 95])
def test_whatever_a_loader_gives_is_taken_for_the_files_pixels(
    tmp_path, photo, backend, color_type, qf
):
    path = tmp_path / "a.jpg"
    path.write_bytes(compress_jpeg(photo, qf))
    image = mmcv.imread(str(path), flag=color_type, backend=backend)
    assert find_origin({"img_path": str(path)}, image, "JpegRestore").problem is None


def brighter(image):
    return np.clip(image.astype(int) + 4, 0, 255).astype(np.uint8)


def hue_turned(image):
    return np.ascontiguousarray(np.roll(image, 1, axis=2))


@pytest.mark.parametrize("given", [False, True])
@pytest.mark.parametrize(
    "change",
    [
        brighter,
        hue_turned,
        lambda image: cv2.GaussianBlur(image, (0, 0), 1),
        lambda image: decode_jpeg(compress_jpeg(image, 7)).pixels,
    ],
    ids=["brighter", "hue", "blur", "jpeg"],
)
def test_pixels_that_a_transform_has_changed_are_not_taken_for_the_files(
    tmp_path, photo, change, given
):
    path, data = tmp_path / "a.jpg", compress_jpeg(photo, 96)
    path.write_bytes(data)
    image = change(mmcv.imread(str(path)))
    results = {"img_path": str(path)}
    if given:
        results |= {"jpeg_quality": {"qtables": qtables_from_qf(96)}, "jpeg_data": data}
    origin = find_origin(results, image, "JpegRestore")
    assert origin.qtables is None
    assert "a transform before JpegRestore has changed it" in origin.problem
    with pytest.raises(PipelineError, match="has changed it"):
        find_origin(results, image, "JpegRestore", strict=True)
