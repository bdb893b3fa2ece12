"""By which quality images are restored that have been through more than their file tells."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image
from stirring import stir

from jpeg_preproc.corruptions import parse_corruption
from jpeg_preproc.jpeg import nearest_qf, qtables_from_qf
from jpeg_preproc.jpeg.tables import octaves_of
from jpeg_preproc.restorers import JpegRestorer, build_restorer
from jpeg_preproc.restorers.inputs import DecodedImage
from jpeg_preproc.restorers.quality import find_quality
from jpeg_preproc.restorers.quality_estimator import CROP, load_estimator, luma_crops


def after(spelling, pixels):
    """What a restorer meets of an image that a corruption has happened to."""
    made = parse_corruption(spelling).apply(pixels)
    is_jpeg = made.qtables is not None
    return DecodedImage(made.pixels, made.qtables, made.data if is_jpeg else None)


@pytest.fixture(scope="module", params=["parrots.png", "lighthouse2.png", "stream.png"])
def live(request, shared_data):
    """A photograph that the estimator has not seen."""
    with Image.open(shared_data / "restoration" / "live1" / request.param) as picture:
        return np.array(picture.convert("RGB"))


@pytest.mark.parametrize("qf", [5, 10, 20, 40, 60, 75])
def test_a_file_coded_once_is_believed(live, photo, qf):
    for pixels in (live, photo):
        found = find_quality(after(f"jpeg:{qf}", pixels))
        assert (found.source, found.qf, found.confidence) == ("file", qf, 1.0)


@pytest.mark.parametrize("qf", [5, 10, 20, 40])
@pytest.mark.parametrize("offset", ["3:5", "4:0", "7:1"])
def test_a_crop_is_put_back_on_its_grid(live, qf, offset):
    found = find_quality(after(f"cropped_jpeg:{qf},offset={offset}", live))
    rows, columns = (int(part) for part in offset.split(":"))
    assert (found.source, found.qf) == ("grid", qf)
    assert found.corner == (-rows % 8, -columns % 8)


@pytest.mark.parametrize("first,second", [(10, 75), (10, 95), (20, 90), (40, 95)])
def test_a_stronger_compression_before_the_last_one_is_found(live, first, second):
    found = find_quality(after(f"double_jpeg:{first},{second}", live))
    assert found.source == "earlier" and abs(found.qf - first) <= 3


@pytest.mark.parametrize("spelling", ["double_jpeg:10,95,shift=4", "double_jpeg:10,85,shift=3:1"])
def test_off_the_grid_of_the_last_file_the_pixels_are_looked_at(live, spelling):
    found = find_quality(after(spelling, live))
    assert found.source == "estimated"
    assert abs(octaves_of(found.qf) - octaves_of(10)) < 1
    assert find_quality(after(spelling, live), "file").source == "file"


@pytest.mark.parametrize("then", ["", ",then=90"])
def test_enlarging_coarsens_and_reducing_refines(live, then):
    larger = find_quality(after(f"resized_jpeg:20,1.5{then}", live))
    smaller = find_quality(after(f"resized_jpeg:20,0.6{then}", live))
    # Reduced so far, a file of QF 90 may be right in what it claims.
    assert larger.source == "estimated" and smaller.source in ("estimated", "file" if then else "")
    assert larger.qf < 25 and smaller.qf > larger.qf


def test_a_clean_image_comes_back_as_it_is(live, photo):
    restorer = JpegRestorer("nano-task")
    for pixels in (live, photo):
        result = restorer(pixels)
        assert (result.source, result.qf) == ("estimated", 100)
        np.testing.assert_array_equal(result.image, pixels)
        assert result.image is not pixels


@pytest.mark.parametrize("qf", [96, 98, 100])
def test_a_lightly_compressed_file_is_hardly_changed(live, qf):
    image = after(f"jpeg:{qf}", live)
    (result,) = JpegRestorer("nano-task").restore([image])
    error = np.square(result.image.astype(float) - image.pixels).mean()
    assert result.source == "file" and error <= 255**2 / 10**4.5  # 45 dB
    assert (error == 0) == (qf == 100)


def test_a_small_image_is_not_guessed_at(photo):
    small = photo[:40, :40]
    assert find_quality(after("jpeg:20", small)).source == "file"
    assert find_quality(after("resized_jpeg:20,0.5", small)).source == "estimated"
    assert find_quality(DecodedImage(photo[:9, :1])).source == "estimated"


@pytest.mark.parametrize("grey", [False, True])
def test_on_its_grid_a_crop_is_restored_as_in_the_whole_image(photo, grey):
    """Rows and columns in front are mirrored ones, so that only what is near them differs."""
    pixels = photo[..., 0] if grey else photo
    whole = parse_corruption("jpeg:10").apply(pixels).pixels
    network = stir(build_restorer("GridUNet", "nano", blocks=[1, 1, 1, 1, 1]))
    restorer = JpegRestorer(network)
    restored = restorer(DecodedImage(whole).pixels, qf=10).image
    row, column = 3, 5
    cut = np.ascontiguousarray(whole[row:, column:])
    found = find_quality(DecodedImage(cut))
    assert (found.source, found.corner, found.qf) == ("grid", (5, 3), 10)
    result = restorer(cut)
    assert result.image.shape == cut.shape and result.source == "grid"
    inner = slice(network.receptive_radius, None)
    np.testing.assert_array_equal(result.image[inner, inner], restored[row:, column:][inner, inner])


def test_what_is_given_overrules_what_is_seen(photo):
    image = after("double_jpeg:10,95,shift=4", photo)
    found = find_quality(image, 30)
    assert (found.source, found.qf, found.corner) == ("given", 30, (0, 0))
    assert find_quality(image, "blind").qf is None
    tables = qtables_from_qf(55)
    assert find_quality(image, "auto", tables).qf == nearest_qf(tables).qf == 55
    assert find_quality(image, estimate=False).source == "file"


@pytest.mark.parametrize(
    "shape,count",
    [((480, 640), 6), ((130, 700), 5), ((64, 90), 1), ((128, 128), 1), ((900, 100), 7)],
)
def test_crops_lie_evenly_and_there_is_always_one(shape, count):
    pixels = np.random.default_rng(0).integers(0, 256, (*shape, 3), dtype=np.uint8)
    crops = luma_crops(pixels, 8)
    assert crops.shape == (count, 1, CROP, CROP) and crops.dtype == np.uint8
    grey = np.asarray(Image.fromarray(pixels).convert("L"))
    corner = crops[0, 0, : shape[0], : shape[1]]
    assert np.abs(corner.astype(int) - grey[:CROP, :CROP]).max() <= 1


def test_crops_start_where_blocks_do():
    rows, columns = np.mgrid[:300, :421]
    on_grid = ((rows % 8 == 0) & (columns % 8 == 0)).astype(np.uint8) * 255
    for crop in luma_crops(on_grid, 6)[:, 0]:
        assert crop[::8, ::8].min() == 255 and crop[4::8].max() == 0


def test_what_is_claimed_and_where_blocks_start_matter_to_the_estimator(photo):
    network = load_estimator()
    luma = torch.from_numpy(luma_crops(photo, 1)).float() / 255
    claims = torch.tensor([octaves_of(10), octaves_of(90), float("nan")])
    found = network(luma.expand(3, -1, -1, -1), claims).octaves.detach()
    assert len({round(float(one), 3) for one in found}) == 3
    shifted = network(luma.roll((3, 5), (2, 3)), claims[:1]).octaves.detach()
    assert abs(float(shifted - found[0])) > 1e-3
