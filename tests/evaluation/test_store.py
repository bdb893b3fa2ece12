"""The key of a stored score: all that decides it, and nothing that merely names it."""

from __future__ import annotations

import json
from dataclasses import asdict, fields, replace
from pathlib import Path

import pytest

from jpeg_preproc.corruptions import parse_corruption
from jpeg_preproc.evaluation import condition_store, store
from jpeg_preproc.evaluation.conditions import Condition, RestorerChoice, RestoreSettings
from jpeg_preproc.evaluation.metrics import Scores
from jpeg_preproc.evaluation.protocols import get_protocol
from jpeg_preproc.evaluation.store import ImageFile, ImageScores, ScoreStore

IMAGE = ImageFile("a.png", "f00d")
PROTOCOL = get_protocol("fbcnn")
CHOICE = RestorerChoice("weights/small.safetensors", "small", "ab12")
CONDITION = Condition(parse_corruption("jpeg:10"), CHOICE)
SCORES = ImageScores(25.0, 0.75, 24.0, num_bytes=300, num_pixels=4096)

#: Another value of each field; a field that is added needs one here.
OTHER_CHOICE = {
    "name": "elsewhere/tiny.safetensors",
    "label": "tiny",
    "sha256": "cd34",
    "consistent": True,
    "quality_source": "blind",
    "strength": 0.5,
    "weights_strength": '{"90": 0.7}',
}
OTHER_SETTINGS = {
    "device": "cuda",
    "dtype": "bf16",
    "where": "preprocessor",
    "keep": Path("elsewhere"),
}
OTHER_PROTOCOL = {
    "name": "mine",
    "source": "a talk",
    "colour": "limited-y",
    "decoder": "nearest",
    "ssim_window": "uniform",
    "psnr_b_plane": "channels",
    "partial_blocks": False,
}


def key(image=IMAGE, condition=CONDITION, protocol=PROTOCOL, settings=RestoreSettings()):  # noqa: B008
    return ScoreStore(None, protocol, settings).key(image, condition)


def names(kind) -> list[str]:
    return [field.name for field in fields(kind)]


def test_every_field_is_looked_at():
    for value, others in [
        (CHOICE, OTHER_CHOICE),
        (RestoreSettings(), OTHER_SETTINGS),
        (PROTOCOL, OTHER_PROTOCOL),
    ]:
        assert names(value) == list(others)
        assert all(getattr(value, name) != other for name, other in others.items())


@pytest.mark.parametrize("name", names(RestorerChoice))
def test_a_key_holds_all_that_a_restorer_is_but_its_names(name):
    other = replace(CHOICE, **{name: OTHER_CHOICE[name]})
    same = key(condition=replace(CONDITION, restorer=other)) == key()
    assert same == (name in ("name", "label"))


@pytest.mark.parametrize("name", names(RestoreSettings))
def test_a_key_holds_all_settings_of_what_restores_but_where_it_is_kept(name):
    settings = replace(RestoreSettings(), **{name: OTHER_SETTINGS[name]})
    assert (key(settings=settings) == key()) == (name == "keep")
    corrupted = replace(CONDITION, restorer=None)
    assert key(condition=corrupted, settings=settings) == key(condition=corrupted)


@pytest.mark.parametrize("name", names(PROTOCOL))
def test_a_key_holds_the_whole_protocol(name):
    assert key(protocol=replace(PROTOCOL, **{name: OTHER_PROTOCOL[name]})) != key()


@pytest.mark.parametrize("spelling", ["jpeg:11", "jpeg:10,4:4:4", "double_jpeg:10,95", "webp:10"])
def test_a_key_holds_the_corruption(spelling):
    assert key(condition=replace(CONDITION, corruption=parse_corruption(spelling))) != key()


def test_a_key_holds_the_image_and_the_name_that_draws():
    assert key(ImageFile("a.png", "beef")) != key()
    assert key(ImageFile("b.png", "f00d")) != key()


def test_which_gpu_it_is_makes_no_difference():
    assert key(settings=RestoreSettings("cuda:0")) == key(settings=RestoreSettings("cuda:1"))


@pytest.mark.parametrize("what", ["REVISION", "result_versions"])
def test_a_key_holds_revision_and_versions(monkeypatch, what):
    before = key()
    monkeypatch.setattr(store, what, -1 if what == "REVISION" else lambda: {"torch": "0"})
    assert key() != before


def test_a_key_holds_no_path_and_no_label():
    text = json.dumps(key())
    assert "small" not in text and "weights/" not in text
    assert {"jpeg", "pillow", "torch"} <= key()["versions"].keys()


def test_stored_scores_are_found_by_their_key_alone(tmp_path):
    path = tmp_path / "per_image.jsonl"
    first = ScoreStore(path, PROTOCOL, RestoreSettings())
    assert first.find(IMAGE, CONDITION) is None
    first.add(IMAGE, CONDITION, SCORES, "set")
    again = ScoreStore(path, PROTOCOL, RestoreSettings())
    assert again.find(IMAGE, CONDITION) == SCORES
    moved = replace(CHOICE, name="elsewhere.safetensors", label="other")
    assert again.find(IMAGE, replace(CONDITION, restorer=moved)) == SCORES
    assert again.outdated == []
    (line,) = path.read_text().splitlines()
    entry = json.loads(line)
    assert [entry[name] for name in ("dataset", "image", "corruption", "restorer")] == [
        *("set", "a.png", "jpeg:10", "small")
    ]
    assert {name: entry[name] for name in names(Scores)} == {
        "psnr": 25.0,
        "ssim": 0.75,
        "psnr_b": 24.0,
    }


def test_scores_that_hold_no_longer_are_counted_by_reason(tmp_path):
    path = tmp_path / "per_image.jsonl"
    first = ScoreStore(path, PROTOCOL, RestoreSettings())
    images = [ImageFile(f"{digest}.png", digest) for digest in ("0a", "0b", "0c")]
    for image in images:
        first.add(image, CONDITION, SCORES, "set")
    changed = replace(CONDITION, restorer=replace(CHOICE, sha256="cd34"))
    again = ScoreStore(path, PROTOCOL, RestoreSettings())
    assert [again.find(image, changed) for image in images] == [None] * 3
    assert again.outdated == ["3 value(s): restorer.sha256 was ab12, is cd34"]


def test_what_was_not_asked_for_before_does_not_count_as_outdated(tmp_path):
    path = tmp_path / "per_image.jsonl"
    ScoreStore(path, PROTOCOL, RestoreSettings()).add(IMAGE, CONDITION, SCORES, "set")
    again = ScoreStore(path, PROTOCOL, RestoreSettings())
    others = [replace(CONDITION, restorer=None), Condition(parse_corruption("jpeg:20"), CHOICE)]
    assert [again.find(IMAGE, other) for other in others] == [None] * 2
    qgac = ScoreStore(path, get_protocol("qgac"), RestoreSettings())
    assert qgac.find(IMAGE, CONDITION) is None
    assert again.outdated == qgac.outdated == []


def test_lines_of_an_earlier_form_are_kept_and_not_used(tmp_path):
    path = tmp_path / "per_image.jsonl"
    old = {"dataset": "set", "image": "a.png", "psnr": 1.0, "ssim": 0.5, "psnr_b": 1.0}
    old["key"] = {"sha256": "f00d", "qf": 10, "restorer": "small", "identity": "{}"}
    path.write_text(json.dumps(old) + "\n")
    found = ScoreStore(path, PROTOCOL, RestoreSettings())
    assert found.find(IMAGE, CONDITION) is None
    found.add(IMAGE, CONDITION, SCORES, "set")
    assert ScoreStore(path, PROTOCOL, RestoreSettings()).find(IMAGE, CONDITION) == SCORES
    assert [json.loads(line)["psnr"] for line in path.read_text().splitlines()] == [1.0, 25.0]


def test_both_stores_say_in_one_way_what_restores():
    restoring = condition_store.restoring_key(CHOICE, RestoreSettings())
    assert restoring.items() <= key().items()
    assert asdict(PROTOCOL) == key()["protocol"]
