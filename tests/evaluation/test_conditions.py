from __future__ import annotations

import hashlib
import io
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from jpeg_preproc.errors import PipelineError, QualityError, UnknownRestorerError, WeightsError
from jpeg_preproc.evaluation.conditions import (
    Condition,
    JpegSettings,
    RestorerChoice,
    choose_restorers,
    condition_image,
    condition_transforms,
    load_restorer,
    plan,
)
from jpeg_preproc.jpeg import load_image
from jpeg_preproc.restorers.engine import JpegRestorer
from jpeg_preproc.restorers.registry import build_restorer
from jpeg_preproc.restorers.weights import save_weights

BASE = RestorerChoice("base", "base", "ab")


@pytest.fixture
def weights(tmp_path):
    torch.manual_seed(0)
    path = tmp_path / "mine.safetensors"
    save_weights(build_restorer("ARCNN"), path, preset="base")
    return path


def test_original_comes_first_and_each_jpeg_before_its_restorers():
    titles = [condition.title for condition in plan([20, 10], [BASE])]
    assert titles == [
        "original",
        "jpeg at QF 20",
        "base at QF 20",
        "jpeg at QF 10",
        "base at QF 10",
    ]


def test_a_repeated_qf_is_measured_once():
    assert len(plan([10, 10], [])) == 2


@pytest.mark.parametrize("qf", [0, 101])
def test_a_quality_that_does_not_exist_is_refused(qf):
    with pytest.raises(QualityError, match=str(qf)):
        plan([10, qf], [])


def test_transforms_of_each_kind():
    settings = JpegSettings("4:4:4", "cuda", "bf16")
    assert condition_transforms(Condition(), settings) == []
    compress = {"type": "JpegCompress", "qf": 10, "subsampling": "4:4:4"}
    assert condition_transforms(Condition(10), settings) == [compress]
    restore = condition_transforms(Condition(10, BASE), settings)
    assert restore[0] == compress
    assert restore[1] == {
        "type": "JpegRestore",
        "restorer": "base",
        "qf": "auto",
        "device": "cuda",
        "dtype": "bf16",
    }


def test_each_restorer_once_more_with_consistent_results():
    choices = choose_restorers(["base"], consistent=True)
    assert [(choice.label, choice.consistent) for choice in choices] == [
        ("base", False),
        ("base+file", True),
    ]
    steps = [condition_transforms(Condition(10, choice), JpegSettings()) for choice in choices]
    assert "consistent" not in steps[0][1]  # results of earlier versions are still used
    assert steps[1][1] == {**steps[0][1], "consistent": True}
    engines = [load_restorer(Condition(10, choice), JpegSettings()) for choice in choices]
    assert [engine.consistent for engine in engines] == [False, True]


def test_a_weights_file_is_called_by_its_stem(weights):
    (choice,) = choose_restorers([str(weights)])
    assert (choice.name, choice.label) == (str(weights), "mine")
    assert choice.sha256 == hashlib.sha256(weights.read_bytes()).hexdigest()


def test_an_unknown_restorer_is_refused():
    with pytest.raises(UnknownRestorerError, match="no_such"):
        choose_restorers(["no_such"])


def test_a_damaged_weights_file_is_refused_by_name(weights):
    weights.write_bytes(weights.read_bytes()[:-4])
    with pytest.raises(WeightsError, match=r"mine\.safetensors"):
        choose_restorers([str(weights)])


@pytest.mark.parametrize("name", ["jpeg", "original", "mine"])
def test_two_rows_of_one_name_are_refused(weights, tmp_path, name):
    twin = tmp_path / "other" / f"{name}.safetensors"
    twin.parent.mkdir()
    for suffix in (".safetensors", ".json"):
        twin.with_suffix(suffix).write_bytes(Path(weights).with_suffix(suffix).read_bytes())
    with pytest.raises(UnknownRestorerError, match=name):
        choose_restorers([str(weights), str(twin)])


# --- what an image goes through


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
    found = condition_image(load_image(turned), Condition(), JpegSettings())
    assert found.shape == (67, 101, 3)
    np.testing.assert_array_equal(found, upright)


@pytest.mark.parametrize("subsampling", ["4:2:0", "4:4:4"])
def test_an_image_is_compressed_as_stored(turned, subsampling):
    with Image.open(turned) as picture:
        expected = pillow(np.array(picture), 10, subsampling)[::-1].swapaxes(0, 1)
    settings = JpegSettings(subsampling)
    found = condition_image(load_image(turned), Condition(10), settings)
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("consistent", [False, True])
def test_an_image_is_restored_by_the_tables_of_the_compression(turned, consistent):
    torch.manual_seed(0)
    network = build_restorer("GridUNet", "nano").eval()
    with torch.no_grad():
        for value in network.parameters():
            value.add_(torch.randn_like(value) * 0.02)
    restorer = JpegRestorer(network, consistent=consistent)
    found = condition_image(load_image(turned), Condition(10, BASE), JpegSettings(), restorer)
    # A JPEG of that quality in memory, read as any file is: with its own tables.
    stream = io.BytesIO()
    with Image.open(turned) as picture:
        Image.fromarray(np.array(picture)).save(stream, "JPEG", quality=10)
    expected = restorer(stream.getvalue()).image[::-1].swapaxes(0, 1)
    np.testing.assert_array_equal(found, expected)


def test_a_grey_file_stays_grey(tmp_path, photo):
    path = tmp_path / "grey.png"
    Image.fromarray(photo[..., 0]).save(path)
    assert condition_image(load_image(path), Condition(10), JpegSettings()).shape == (120, 184)


def test_a_restorer_is_loaded_for_conditions_that_have_one(weights):
    (choice,) = choose_restorers([str(weights)])
    assert load_restorer(Condition(10), JpegSettings()) is None
    restorer = load_restorer(Condition(10, choice), JpegSettings(dtype="bf16"))
    assert restorer is not None and restorer.dtype is torch.bfloat16


def test_a_device_that_torch_does_not_have_is_named(weights):
    (choice,) = choose_restorers([str(weights)])
    with pytest.raises(PipelineError, match="'nowhere'"):
        load_restorer(Condition(10, choice), JpegSettings(device="nowhere"))
