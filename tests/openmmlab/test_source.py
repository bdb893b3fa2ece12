from __future__ import annotations

import io

import mmcv
import numpy as np
import pytest
from mmengine.fileio import LocalBackend, register_backend
from PIL import Image

from jpeg_preproc.errors import ImageReadError, PipelineError
from jpeg_preproc.jpeg import compress_jpeg, qtables_from_qf
from jpeg_preproc.openmmlab.source import (
    JpegOrigin,
    find_origin,
    loaded_orientation,
    read_source,
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
    data, info = read_source(str(path))
    expected = 1 if color_type == "unchanged" else orientation
    assert loaded_orientation(image, data, info, str(path)) == expected
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
    data, info = read_source(str(path))
    with pytest.raises(PipelineError, match=r"a\.jpg.*directly behind LoadImageFromFile"):
        loaded_orientation(np.zeros((20, 20, 3), np.uint8), data, info, str(path))


def test_tables_are_read_and_other_formats_have_none(tmp_path, photo):
    path = tmp_path / "a.jpg"
    path.write_bytes(compress_jpeg(photo, 35))
    _, info = read_source(str(path))
    np.testing.assert_array_equal(info.qtables, qtables_from_qf(35))
    Image.fromarray(photo).save(tmp_path / "a.png")
    assert read_source(str(tmp_path / "a.png")) is None


def test_any_backend_of_mmengine_serves(photo):
    class MemoryBackend(LocalBackend):
        def get(self, filepath):
            return {"memory://a.jpg": compress_jpeg(photo, 35)}[str(filepath)]

    register_backend("jpeg_preproc_memory", MemoryBackend, force=True)
    _, info = read_source("memory://a.jpg", {"backend": "jpeg_preproc_memory"})
    assert info.qf == 35 and info.qf_exact


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
    origin = find_origin(results, image, "JpegRestore", with_data=True)
    assert (origin.source, origin.data) == ("given", again)
    assert find_origin({}, image, "JpegRestore") == JpegOrigin()
    assert find_origin({}, image, "JpegRestore", color_type="color") == JpegOrigin(colour=True)


def cmyk(photo):
    stream = io.BytesIO()
    Image.fromarray(photo).convert("CMYK").save(stream, "JPEG")
    return stream.getvalue()


@pytest.mark.parametrize(
    "content,words",
    [
        (None, "cannot be read"),
        (lambda photo: compress_jpeg(photo, 50)[:-200], "truncated"),
        (lambda photo: compress_jpeg(photo, 50)[:100], "truncated"),
        (
            lambda photo: compress_jpeg(photo, 50).replace(
                b"\x08\x00\x78\x00\xb8\x03", b"\x08\x00\x78\x00\x00\x03"
            ),
            "corrupt",
        ),
        (cmyk, "CMYK"),
    ],
)
def test_bad_files_are_named(tmp_path, photo, content, words):
    path = tmp_path / "bad.jpg"
    if content is not None:
        path.write_bytes(content(photo))
    with pytest.raises(ImageReadError, match=words) as error:
        read_source(str(path))
    assert str(path) in str(error.value)
