"""The projection against scipy, against the originals, and against an encoder."""

from __future__ import annotations

import io

import numpy as np
import pytest
import torch
from PIL import Image, ImageFilter

from jpeg_preproc import JpegRestorer, compress_jpeg
from jpeg_preproc.errors import ImageReadError
from jpeg_preproc.jpeg import decode_jpeg, read_jpeg_info
from jpeg_preproc.jpeg.coefficients import quantised_range
from jpeg_preproc.jpeg.samples import read_samples
from jpeg_preproc.restorers import DecodedImage
from jpeg_preproc.restorers.consistency import FileBatch, project, project_to_pixels, samples_of

data = pytest.importorskip("skimage.data", reason="needs scikit-image, for photographs")

PHOTOGRAPHS = ("astronaut", "chelsea", "coffee")


def photograph(name: str, size: tuple[int, int] = (256, 304)) -> np.ndarray:
    image = getattr(data, name)()[:300, 60:364]  # as far as the smallest goes
    return np.ascontiguousarray(image[-size[0] :, -size[1] :])


def tensor(image: np.ndarray) -> torch.Tensor:
    """Return (1, C, H, W) in [0, 1] of (H, W, 3) or (H, W)."""
    return torch.tensor(np.atleast_3d(image)).permute(2, 0, 1)[None].float() / 255


def pixels(image: torch.Tensor) -> np.ndarray:
    return image[0].permute(1, 2, 0).squeeze(-1).numpy()


def of(*jpegs: bytes) -> FileBatch:
    files = [read_samples(jpeg) for jpeg in jpegs]
    return FileBatch.of(files, *files[0].planes.shape[1:])


def smoothed(jpeg: bytes) -> torch.Tensor:
    """Return what a poor restorer might: the decoded image blurred, with fractions of levels."""
    with Image.open(io.BytesIO(jpeg)) as picture:
        blurred = np.asarray(picture.filter(ImageFilter.GaussianBlur(2)), np.float32)
        plain = np.asarray(picture, np.float32)
    return tensor(0.9 * blurred + 0.1 * plain)


def encoded_again(image: np.ndarray, jpeg: bytes) -> bytes:
    """Return what Pillow makes of ``image`` with a file's tables, chroma at full size."""
    tables = [table.ravel().tolist() for table in read_jpeg_info(jpeg).qtables]
    options = {} if image.ndim == 2 else {"subsampling": "4:4:4"}
    stream = io.BytesIO()
    Image.fromarray(image).save(stream, "JPEG", qtables=tables, **options)
    return stream.getvalue()


def luma(jpeg: bytes) -> np.ndarray:
    with Image.open(io.BytesIO(jpeg)) as picture:
        picture.draft("L", picture.size)
        return np.asarray(picture)


def blocks(plane: np.ndarray) -> np.ndarray:
    """Return (H/8, W/8, 8, 8)."""
    height, width = plane.shape
    return plane.reshape(height // 8, 8, width // 8, 8).swapaxes(1, 2)


def certain(jpeg: bytes) -> tuple[np.ndarray, np.ndarray]:
    """Return which coefficients of luma are certain, and which blocks are so in all of them."""
    samples = read_samples(jpeg)
    plane = torch.from_numpy(samples.planes[0])
    low, high = quantised_range(plane, torch.from_numpy(samples.steps[0]))
    each = (low == high).numpy()
    return each, each.all(axis=(2, 3))


@pytest.mark.parametrize("qf", [5, 10, 30, 60, 80, 90])
@pytest.mark.parametrize("name", PHOTOGRAPHS)
def test_encoding_the_result_again_gives_the_file_s_luma(name, qf):
    jpeg = compress_jpeg(photograph(name), qf, "4:4:4")
    restored = smoothed(jpeg)
    result = pixels(project_to_pixels(restored, of(jpeg)))
    _, whole = certain(jpeg)
    assert whole.mean() > (0.8 if qf < 80 else 0.1)
    # A clipped channel can keep luma from going where it should.
    free = blocks(((result > 0) & (result < 255)).all(axis=2)).all(axis=(2, 3)) & whole
    assert free.mean() > 0.5 * whole.mean()
    before, after = blocks(luma(jpeg)), blocks(luma(encoded_again(result, jpeg)))
    same = (before == after).all(axis=(2, 3))
    if qf <= 80:
        assert same[free].all()
    # Rounding alone moves coefficients by more than steps of 2 always leave room for.
    assert same[whole].mean() > (0.999 if qf <= 80 else 0.99)
    # Of the blurred image itself many do not.
    plain = np.rint(pixels(restored) * 255).astype(np.uint8)
    assert (blocks(luma(encoded_again(plain, jpeg))) == before).all(axis=(2, 3))[whole].mean() < 0.9


@pytest.mark.parametrize("qf", [10, 50, 90, 95])
def test_and_its_coefficients(tmp_path, qf):
    jpeglib = pytest.importorskip("jpeglib", reason="needs jpeglib, the reference")
    jpeg = compress_jpeg(photograph("coffee"), qf, "4:4:4")
    result = pixels(project_to_pixels(smoothed(jpeg), of(jpeg)))
    stored = []
    for name, content in (("before", jpeg), ("after", encoded_again(result, jpeg))):
        (tmp_path / name).write_bytes(content)
        stored.append(jpeglib.read_dct(str(tmp_path / name)).Y)
    each, _ = certain(jpeg)
    assert (stored[0] == stored[1])[each].mean() > (0.9999 if qf <= 90 else 0.999)
    steps = np.broadcast_to(read_jpeg_info(jpeg).qtables[0], each.shape)
    free = blocks(((result > 0) & (result < 255)).all(axis=2)).all(axis=(2, 3))
    assert (stored[0] == stored[1])[each & (steps >= 3) & free[..., None, None]].all()


@pytest.mark.parametrize("qf", [10, 50, 90])
def test_a_grey_file_comes_out_again(qf):
    jpeg = compress_jpeg(np.asarray(Image.fromarray(photograph("chelsea")).convert("L")), qf)
    result = pixels(project_to_pixels(smoothed(jpeg), of(jpeg)))
    _, whole = certain(jpeg)
    again = encoded_again(result, jpeg)
    assert whole.any()
    assert (blocks(luma(jpeg)) == blocks(luma(again))).all(axis=(2, 3))[whole].all()
    # Shown to a network in colour, it stays grey.
    colour = pixels(project_to_pixels(smoothed(jpeg).repeat(1, 3, 1, 1), of(jpeg)))
    assert (colour == colour[..., :1]).all()
    # The mean of three equal numbers in float32 is not always the number.
    assert (colour[..., 0] != result).mean() < 5e-3


def test_it_is_scipys_clipped_coefficients():
    fft = pytest.importorskip("scipy.fft", reason="needs scipy, the reference")
    image = np.asarray(Image.fromarray(photograph("coffee")).convert("L"))
    jpeg = compress_jpeg(np.clip(image, 25, 230), 30)
    restored, steps = smoothed(jpeg), read_jpeg_info(jpeg).qtables[0].astype(np.float64)
    stored = np.rint(fft.dctn(blocks(luma(jpeg)) - 128.0, axes=(-2, -1), norm="ortho") / steps)
    found = fft.dctn(
        blocks(restored[0, 0].numpy().astype(np.float64) * 255) - 128, axes=(-2, -1), norm="ortho"
    )
    clipped = np.clip(found, (stored - 0.5) * steps, (stored + 0.5) * steps)
    expected = fft.idctn(clipped, axes=(-2, -1), norm="ortho") + 128
    result = blocks(project(restored, of(jpeg))[0, 0].numpy() * 255)
    _, whole = certain(jpeg)
    assert whole.mean() > 0.99 and np.abs(found - clipped).max() > 5
    np.testing.assert_allclose(result[whole], expected[whole], atol=2e-3)


@pytest.mark.parametrize("subsampling", ["4:4:4", "4:2:0", "4:2:2", "grey"])
@pytest.mark.parametrize("qf", [5, 40, 85, 98])
def test_the_original_stays_and_what_is_beside_it_comes_nearer(qf, subsampling):
    original = photograph("astronaut")
    jpeg = compress_jpeg(original, qf, subsampling)
    if subsampling == "grey":
        original = np.asarray(Image.fromarray(original).convert("L"))
    image, files = tensor(original), of(jpeg)
    # An encoder rounds luma, and the means of chroma, to whole numbers before it quantises.
    moved = (project(image, files) - image).abs() * 255
    assert moved.max() < 1 and moved.mean() < 0.1
    torch.manual_seed(0)
    noisy = image + torch.randn_like(image) * 0.05
    distance = [(some - image).square().mean().sqrt() for some in (noisy, project(noisy, files))]
    assert distance[1] < distance[0] * (1 if qf == 5 else 0.99)
    restored = smoothed(jpeg)
    before, after = (
        (some - image).square().mean() for some in (restored, project(restored, files))
    )
    assert after < before


@pytest.mark.parametrize("subsampling", ["4:4:4", "4:2:0"])
@pytest.mark.parametrize("size", [(1, 1), (7, 31), (8, 8), (100, 75), (121, 130)])
def test_blocks_that_are_not_whole_stay(size, subsampling):
    jpeg = compress_jpeg(np.clip(photograph("coffee", size), 30, 225), 20, subsampling)
    restored, files = smoothed(jpeg), of(jpeg)
    result = project(restored, files)
    height, width = (side // 8 * 8 for side in size)
    rest = torch.ones(size, dtype=torch.bool)
    rest[:height, :width] = False
    assert torch.equal(result[..., rest], restored[..., rest])
    if min(size) != 8:  # a single block may lie inside already
        assert (result != restored).any() == (min(size) > 8)
    rounded = project_to_pixels(restored, files)
    assert torch.equal(rounded[..., rest], (restored[..., rest] * 255).round().to(torch.uint8))
    if min(size) >= 16:  # and the whole ones are what they are without the rest
        top = tuple(side // 16 * 16 for side in size)
        inner = FileBatch(files.planes[..., : top[0], : top[1]], files.steps, files.chroma_pixels)
        part = project(restored[..., : top[0], : top[1]], inner)
        torch.testing.assert_close(part, result[..., : top[0], : top[1]])


def test_blocks_with_clipped_samples_stay():
    image = np.full((32, 48), 128, np.uint8)
    image[:, 16:32] = np.asarray(Image.fromarray(photograph("coffee", (32, 16))).convert("L"))
    image[4:9, 18:22] = 255
    image[20, 40] = 0
    image[26:30, 4:30] = 0
    jpeg = compress_jpeg(image, 60)
    clipped = blocks((luma(jpeg) == 0) | (luma(jpeg) == 255)).any(axis=(2, 3))
    assert 0 < clipped.mean() < 1
    torch.manual_seed(0)
    restored = tensor(decode_jpeg(jpeg).pixels) + torch.randn(1, 1, 32, 48) * 0.1
    moved = (project(restored, of(jpeg)) - restored)[0, 0].abs().numpy()
    changed = blocks(moved).max(axis=(2, 3)) > 1e-4
    np.testing.assert_array_equal(changed, ~clipped)


def test_a_batch_equals_single_images():
    jpegs = [
        compress_jpeg(photograph(name), qf)
        for name, qf in zip(PHOTOGRAPHS, (10, 50, 90), strict=True)
    ]
    restored = torch.cat([smoothed(jpeg) for jpeg in jpegs])
    together = project_to_pixels(restored, of(*jpegs))
    for index, jpeg in enumerate(jpegs):
        alone = project_to_pixels(restored[index : index + 1], of(jpeg))[0]
        assert (alone != together[index]).float().mean() < 1e-4


def test_of_luma_alone_it_is_that_of_the_image():
    jpeg = compress_jpeg(photograph("chelsea"), 40)
    colour = read_samples(jpeg)
    restored = tensor(luma(jpeg)) * 0.9
    result = project(restored, of(jpeg))
    grey = samples_of(np.zeros(luma(jpeg).shape, np.uint8), colour)
    assert grey.planes.shape[0] == 1
    assert torch.equal(result, project(restored, FileBatch.of([grey], *grey.planes.shape[1:])))
    assert (result - restored).abs().max() > 0.05


def test_pixels_of_another_file_are_refused(photo):
    samples = read_samples(compress_jpeg(photo, 30))
    for other in (photo[:-8], photo.swapaxes(0, 1)):
        with pytest.raises(ImageReadError, match="not turned, cropped"):
            samples_of(other, samples)
    with pytest.raises(ImageReadError, match=r"\(1, 120, 184\)"):
        samples_of(photo, read_samples(compress_jpeg(photo, 30, "grey")))


# --- JpegRestorer(consistent=True)


@pytest.fixture(scope="module")
def engines(small_weights) -> tuple[JpegRestorer, JpegRestorer]:
    return JpegRestorer(small_weights), JpegRestorer(small_weights, consistent=True)


@pytest.mark.parametrize("orientation", [1, 3, 6])
@pytest.mark.parametrize("subsampling", ["4:4:4", "4:2:0", "grey"])
def test_a_file_is_restored_consistently(engines, tmp_path, subsampling, orientation):
    plain, consistent = engines
    original = photograph("coffee", (115, 141))
    path = tmp_path / "a.jpg"
    path.write_bytes(compress_jpeg(original, 20, subsampling, orientation))
    before, after = plain(path), consistent(path)
    assert (before.consistent, after.consistent) == (False, True)
    assert after.image.shape == before.image.shape
    if subsampling == "grey":
        original = np.asarray(Image.fromarray(original).convert("L"))
    upright = {1: original, 3: original[::-1, ::-1], 6: np.rot90(original, -1)}[orientation]
    errors = [np.square(result.image.astype(float) - upright).mean() for result in (before, after)]
    assert errors[1] < errors[0]
    np.testing.assert_array_equal(after.image, consistent(path.read_bytes()).image)


def test_what_is_no_jpeg_file_restored_by_its_tables_stays_without(engines, photo):
    plain, consistent = engines
    jpeg = compress_jpeg(photo, 20)
    decoded = decode_jpeg(jpeg).pixels
    stream = io.BytesIO()
    Image.fromarray(decoded).save(stream, "PNG")
    tables = {"qtables": read_jpeg_info(jpeg).qtables}
    inputs = [(decoded, {}), (stream.getvalue(), {}), (jpeg, {"qf": 20}), (jpeg, tables)]
    for image, options in inputs:
        result = consistent(image, **options)
        assert not result.consistent
        np.testing.assert_array_equal(result.image, plain(image, **options).image)
    mixed = consistent([decoded, jpeg])
    assert [result.consistent for result in mixed] == [False, True]
    np.testing.assert_array_equal(mixed[1].image, consistent(jpeg).image)


def test_decoded_images_need_the_bytes_of_their_file(engines, photo):
    plain, consistent = engines
    jpeg = compress_jpeg(photo, 20)
    pixels, tables = decode_jpeg(jpeg).pixels, read_jpeg_info(jpeg).qtables
    (found,) = consistent.restore([DecodedImage(pixels, tables, jpeg)])
    assert found.consistent
    np.testing.assert_array_equal(found.image, consistent(jpeg).image)
    without = DecodedImage(pixels, tables)
    for engine, image in ((consistent, without), (plain, DecodedImage(pixels, tables, jpeg))):
        (found,) = engine.restore([image])
        assert not found.consistent
        np.testing.assert_array_equal(found.image, plain(jpeg).image)
    with pytest.raises(ImageReadError, match=r"^a\.jpg: .*not turned"):
        consistent.restore([DecodedImage(pixels[:-8], tables, jpeg, "a.jpg")])


def test_tiles_change_nothing(small_weights, photo):
    jpeg = compress_jpeg(np.tile(photo, (3, 2, 1)), 30)
    whole, tiled = (
        JpegRestorer(small_weights, tile=tile, consistent=True)(jpeg).image for tile in (None, 96)
    )
    difference = np.abs(whole.astype(int) - tiled)
    assert difference.max() <= 1 and (difference > 0).mean() < 1e-3


@pytest.mark.slow
@pytest.mark.parametrize("qf", [10, 40, 80, 95])
def test_base_gains_on_photographs(qf):
    gains = []
    for name in PHOTOGRAPHS:
        original = photograph(name)
        jpeg = compress_jpeg(original, qf)
        errors = [
            np.square(JpegRestorer("base", consistent=on)(jpeg).image.astype(float) - original)
            for on in (False, True)
        ]
        gains.append(10 * np.log10(errors[0].mean() / errors[1].mean()))
    assert min(gains) > 0 and np.mean(gains) > 0.005
