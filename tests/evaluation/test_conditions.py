from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
import torch

from jpeg_preproc.errors import QualityError, UnknownRestorerError, WeightsError
from jpeg_preproc.evaluation.conditions import (
    Condition,
    JpegSettings,
    RestorerChoice,
    choose_restorers,
    condition_transforms,
    plan,
)
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
