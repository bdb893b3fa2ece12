from __future__ import annotations

import io

import numpy as np
import pytest
import torch
from PIL import Image

from jpeg_preproc.errors import ImageReadError
from jpeg_preproc.jpeg import qtables_from_qf
from jpeg_preproc.training.data import ImageFolder, JpegCrops, JpegImages
from jpeg_preproc.training.histories import Coding


@pytest.fixture
def folder(tmp_path, photo):
    Image.fromarray(photo).save(tmp_path / "a.png")
    Image.fromarray(photo[:40, :40]).save(tmp_path / "small.png")
    (tmp_path / "broken.jpg").write_bytes(b"nonsense")
    (tmp_path / "notes.txt").write_text("no image")
    return tmp_path


def test_an_item_depends_on_seed_and_index_alone(folder):
    sources = [{"folder": str(folder)}]
    crops, again = JpegCrops(sources, crop=64), JpegCrops(sources, crop=64)
    again[7]
    for key, value in crops[3].items():
        assert torch.equal(value, again[3][key])
    assert not torch.equal(crops[3]["clean"], crops[4]["clean"])
    assert not torch.equal(crops[3]["clean"], JpegCrops(sources, crop=64, seed=1)[3]["clean"])


def test_pairs_are_what_pillow_codes_at_the_tables_they_state(folder):
    coding = Coding(qf_ranges=[(15, 15, 1.0)], full_chroma=0, grey=0, double=0, blind=0)
    item = JpegCrops([ImageFolder(str(folder))], crop=64, coding=coding)[0]
    np.testing.assert_array_equal(item["qtables"].numpy(), qtables_from_qf(15))
    assert item["qf"] == 15 and bool(item["known"])
    stream = io.BytesIO()
    clean = item["clean"].permute(1, 2, 0).numpy()
    Image.fromarray(clean).save(stream, format="JPEG", quality=15)
    np.testing.assert_array_equal(
        item["jpeg"].permute(1, 2, 0).numpy(), np.asarray(Image.open(stream))
    )


def test_shares_of_grey_blind_and_qualities(folder):
    coding = Coding(qf_ranges=[(10, 12, 1.0), (80, 80, 3.0)], grey=0.5, blind=0.25)
    crops = JpegCrops([ImageFolder(str(folder))], crop=32, coding=coding)
    items = [crops[index] for index in range(300)]
    grey = np.mean([bool((item["clean"][0] == item["clean"][1]).all()) for item in items])
    blind = np.mean([not bool(item["known"]) for item in items])
    high = np.mean([float(item["qf"]) == 80 for item in items])
    # Five standard deviations of 300 draws.
    assert abs(grey - 0.5) < 0.145 and abs(blind - 0.25) < 0.125 and abs(high - 0.75) < 0.125
    assert {float(item["qf"]) for item in items} == {10, 11, 12, 80}


def test_what_cannot_be_read_is_skipped_and_listed(folder):
    crops = JpegCrops([ImageFolder(str(folder))], crop=64)
    assert len(crops.images) == 1
    assert len(crops.skipped) == 1 and "broken.jpg" in crops.skipped[0]


def test_folders_that_will_not_do(folder, tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(ImageReadError, match="no images here"):
        JpegCrops([ImageFolder(str(tmp_path / "empty"))])
    with pytest.raises(ImageReadError, match="512×512"):
        JpegCrops([ImageFolder(str(folder))], crop=512)


def test_shrinking_and_slices(folder, photo):
    (folder / "broken.jpg").unlink()
    images, _ = ImageFolder(str(folder), shrink=2, stop=1).load()
    assert [image.shape for image in images] == [(60, 92, 3)]
    blocks = photo[:120, :184].reshape(60, 2, 92, 2, 3).mean(axis=(1, 3))
    assert np.abs(images[0] - blocks).max() <= 0.5


def test_a_folder_is_drawn_from_by_its_pixels_and_weight(tmp_path):
    for name, value, side in (("dark", 0, 64), ("light", 255, 32)):
        (tmp_path / name).mkdir()
        Image.new("RGB", (side, side), (value,) * 3).save(tmp_path / name / "a.png")
    sources = [
        {"folder": str(tmp_path / "dark"), "weight": 0.5},
        {"folder": str(tmp_path / "light")},
    ]
    crops = JpegCrops(sources, crop=32)
    light = np.mean([float(crops[index]["clean"].max()) == 255 for index in range(300)])
    # 32² pixels against half of 64²; five standard deviations of 300 draws.
    assert abs(light - 1 / 3) < 0.136


def test_whole_images_at_each_quality(folder):
    (folder / "broken.jpg").unlink()
    images = JpegImages({"folder": str(folder)}, qfs=[10, 90])
    assert len(images) == 4
    assert [float(images[index]["qf"]) for index in range(4)] == [10, 90, 10, 90]
    assert images[0]["clean"].shape == (3, 112, 176)


def strongest_edges(item) -> tuple[int, int]:
    """Row and column, modulo 8, in front of which neighbours differ most on average."""
    luma = item["jpeg"].double().mean(0)
    found = []
    for axis in (0, 1):
        steps = luma.diff(dim=axis).abs().mean(1 - axis)  # step k lies in front of line k + 1
        found.append(max(range(8), key=lambda edge: float(steps[(edge - 1) % 8 :: 8].mean())))
    return found[0], found[1]


@pytest.mark.parametrize(
    "coding",
    [
        dict(qf_ranges=[(5, 5, 1.0)], double=0.0, shifted=1.0),
        dict(qf_ranges=[(98, 98, 1.0)], double=1.0, double_qf=(5, 5), double_shifted=1.0),
    ],
)
def test_a_shifted_grid_lies_anywhere(folder, coding):
    crops = JpegCrops([ImageFolder(str(folder))], crop=64, coding=Coding(grey=0, **coding))
    items = [crops[index] for index in range(24)]
    assert len({strongest_edges(item) for item in items}) > 8
    assert {tuple(item["jpeg"].shape) for item in items} == {(3, 64, 64)}
    for item in items:  # both are cut alike
        error, other = (
            (item["jpeg"].double() - clean.double()).abs().mean()
            for clean in (item["clean"], item["clean"].roll((3, 3), dims=(1, 2)))
        )
        assert error < other
    aligned = Coding(**{**coding, "shifted": 0.0, "double_shifted": 0.0, "grey": 0})
    crops = JpegCrops([ImageFolder(str(folder))], crop=64, coding=aligned)
    assert {strongest_edges(crops[index]) for index in range(24)} == {(0, 0)}


def test_images_too_small_for_a_shift_keep_their_grid(folder):
    coding = Coding(qf_ranges=[(5, 5, 1.0)], double=0, shifted=1.0, grey=0)
    crops = JpegCrops([ImageFolder(str(folder))], crop=112, coding=coding)
    assert {strongest_edges(crops[index]) for index in range(4)} == {(0, 0)}


def test_luma_items_have_one_channel_and_their_own_table(folder):
    crops = JpegCrops([ImageFolder(str(folder))], crop=64, luma=True)
    item = crops[0]
    assert item["jpeg"].shape == item["clean"].shape == (1, 64, 64)
    assert torch.equal(item["qtables"][0], item["qtables"][1])
    assert item["item"] == 0
