from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
import torch

from jpeg_preproc.errors import (
    CorruptionError,
    QualityError,
    UnknownRestorerError,
    WeightsError,
)
from jpeg_preproc.evaluation.condition_store import decisive_fields
from jpeg_preproc.evaluation.conditions import (
    Condition,
    RestorerChoice,
    choose_restorers,
    jpeg_at,
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
    titles = [condition.title for condition in plan(["jpeg:20", "jpeg:10"], [BASE])]
    assert titles == [
        "original",
        "jpeg at QF 20",
        "base at QF 20",
        "jpeg at QF 10",
        "base at QF 10",
    ]


def test_a_repeated_corruption_is_measured_once():
    assert len(plan([*jpeg_at([10, 10]), "jpeg:10", "jpeg:10,4:2:0"], [])) == 2
    assert len(plan(["jpeg:10,4:4:4", "jpeg:10"], [])) == 3


def test_what_leaves_images_as_they_are_is_the_original():
    assert plan(["original"], [BASE]) == [Condition()]


def test_other_corruptions_have_references_of_their_own():
    titles = [condition.title for condition in plan(["webp:30"], [BASE])]
    assert titles == ["original", "corrupted, WebP at quality 30", "base, WebP at quality 30"]


def test_a_misspelt_corruption_is_refused():
    with pytest.raises(CorruptionError, match="jpg"):
        plan(["jpg:10"], [])


@pytest.mark.parametrize("qf", [0, 101])
def test_a_quality_that_does_not_exist_is_refused(qf):
    with pytest.raises(QualityError, match=str(qf)):
        jpeg_at([10, qf])


def test_each_restorer_once_more_with_consistent_results():
    choices = choose_restorers(["base"], consistent=True)
    assert [(choice.label, choice.consistent) for choice in choices] == [
        ("base", False),
        ("base+file", True),
    ]


def test_a_weights_file_is_called_by_its_stem(weights):
    (choice,) = choose_restorers([str(weights)])
    assert (choice.name, choice.label) == (str(weights), "mine")
    assert choice.sha256 == hashlib.sha256(weights.read_bytes()).hexdigest()


def test_weights_that_say_another_share_are_another_restorer(small_weights, gentle_weights):
    (plain,), (gentle,) = (
        choose_restorers([str(path)]) for path in (small_weights, gentle_weights)
    )
    assert plain.sha256 == gentle.sha256
    assert decisive_fields(plain) != decisive_fields(gentle)


def test_an_unknown_restorer_is_refused():
    with pytest.raises(UnknownRestorerError, match="no_such"):
        choose_restorers(["no_such"])


def test_a_damaged_weights_file_is_refused_by_name(weights):
    weights.write_bytes(weights.read_bytes()[:-4])
    with pytest.raises(WeightsError, match=r"mine\.safetensors"):
        choose_restorers([str(weights)])


@pytest.mark.parametrize("name", ["jpeg", "original", "corrupted", "mine"])
def test_two_rows_of_one_name_are_refused(weights, tmp_path, name):
    twin = tmp_path / "other" / f"{name}.safetensors"
    twin.parent.mkdir()
    for suffix in (".safetensors", ".json"):
        twin.with_suffix(suffix).write_bytes(Path(weights).with_suffix(suffix).read_bytes())
    with pytest.raises(UnknownRestorerError, match=name):
        choose_restorers([str(weights), str(twin)])
