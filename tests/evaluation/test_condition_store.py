from __future__ import annotations

import dataclasses
import json
import math
import os
from pathlib import Path

import pytest
from fake_task import BASE, FakeTask

from jpeg_preproc.corruptions import Jpeg, WebP
from jpeg_preproc.evaluation import condition_store
from jpeg_preproc.evaluation.condition_store import ConditionStore, condition_key
from jpeg_preproc.evaluation.conditions import Condition, RestorerChoice, RestoreSettings
from jpeg_preproc.evaluation.task import Figure
from jpeg_preproc.evaluation.versions import result_versions

RESTORED = Condition(Jpeg(10), BASE)
SETTINGS = RestoreSettings()

# Another value for each field of the dataclasses that a key is made of.
OTHER = {
    "name": "elsewhere/base.safetensors",
    "label": "mine",
    "sha256": "cd",
    "consistent": True,
    "quality_source": "blind",
    "strength": 0.5,
    "weights_strength": '{"90": 0.7}',
    "device": "cuda",
    "dtype": "bf16",
    "where": "preprocessor",
    "keep": Path("images"),
    "qf": 11,
    "subsampling": "4:4:4",
    "quality": 31,
}


def key(condition=RESTORED, settings=SETTINGS, task=None):
    return condition_key(task or FakeTask(), condition, settings)


@pytest.mark.parametrize(
    "value,put",
    [
        (BASE, lambda other: key(Condition(Jpeg(10), other))),
        (SETTINGS, lambda other: key(settings=other)),
        (Jpeg(10), lambda other: key(Condition(other, BASE))),
        (WebP(30), lambda other: key(Condition(other, BASE))),
    ],
    ids=["restorer", "settings", "jpeg", "webp"],
)
def test_every_field_counts_but_those_that_only_name_a_thing(value, put):
    for field in dataclasses.fields(value):
        changed = dataclasses.replace(value, **{field.name: OTHER[field.name]})
        is_name = field.metadata.get("is_name", False)
        assert (put(changed) == put(value)) is is_name, field.name
    names = [field.name for field in dataclasses.fields(RestorerChoice)]
    assert {name for name in names if name in ("name", "label")} == {"name", "label"}


def test_a_key_holds_the_strength():
    half = Condition(Jpeg(10), dataclasses.replace(BASE, strength=0.5))
    assert key(half)["restorer"]["strength"] == 0.5
    assert key()["restorer"]["strength"] is None


def test_a_key_holds_no_path_and_no_label():
    choice = RestorerChoice("somewhere/x.safetensors", "my label", "ab")
    text = json.dumps(key(Condition(Jpeg(10), choice)))
    assert not any(word in text for word in ("somewhere", "my label", "yolo/x", '"coco"'))


@pytest.mark.parametrize(
    "package", ["jpeg_preproc", "pillow", "jpeg", "torch", "cv2", "pycocotools"]
)
def test_the_versions_of_what_decides_a_result_count(package):
    assert key()["versions"][package] not in ("", "unknown")
    assert key(Condition())["versions"][package]


def test_a_task_names_the_packages_that_it_rests_on():
    task = FakeTask()
    task.packages = ("mmengine", "no_such_package")
    pytest.importorskip("mmengine")
    assert "mmengine" in key(task=task)["versions"]
    assert "no_such_package" not in key(task=task)["versions"]
    assert "mmengine" not in key()["versions"]


def test_another_revision_of_the_code_counts(monkeypatch):
    before = key()
    monkeypatch.setattr(condition_store, "REVISION", before["revision"] + 1)
    assert key() != before


def test_which_gpu_it_is_does_not_count():
    first, second = (key(settings=RestoreSettings(device)) for device in ("cuda:0", "cuda:1"))
    assert first == second != key()


def test_the_original_depends_neither_on_the_encoder_nor_on_the_restorer():
    assert key(Condition()) == key(Condition(), RestoreSettings("cuda", "fp16"))
    assert "libjpeg" in json.dumps(key(Condition(Jpeg(10)))["corruption"])


# --- files


@pytest.fixture
def store(tmp_path):
    return ConditionStore(tmp_path / "conditions")


def save(store, condition=RESTORED, settings=SETTINGS, task=None):
    task = task or FakeTask()
    result = task.measure(condition, settings, "x")
    return store.save(task, condition, key(condition, settings, task), result)


def load(store, condition=RESTORED, settings=SETTINGS, task=None):
    task = task or FakeTask()
    return store.load(task, condition, key(condition, settings, task))


def test_a_stored_result_comes_back(store):
    assert load(store).result is None and load(store).changed == ()
    save(store)
    found = load(store)
    assert found.result == FakeTask().measure(RESTORED, SETTINGS, "x") and found.changed == ()


def test_what_a_killed_run_had_begun_to_write_goes_and_another_s_stays(store):
    name = save(store).name
    killed, other = (store.folder / f".{name}.{digits}" for digits in ("0123abcd", "ef456789"))
    for path in (killed, other):
        path.touch()
    os.utime(killed, (1000, 1000))  # long before this store was opened
    save(store)
    assert not killed.exists() and other.exists()


def test_detections_that_a_killed_run_had_begun_to_keep_go_too(store):
    path = save(store)
    kept = store.folder.parent / "predictions"
    kept.mkdir()
    begun = [kept / f".{path.stem}.{kind}.json.0123abcd" for kind in ("bbox", "segm")]
    for one in begun:
        one.touch()
        os.utime(one, (1000, 1000))
    save(store)
    assert list(kept.iterdir()) == []


def test_what_was_stored_before_there_were_parts_still_holds(store):
    path = save(store)
    document = json.loads(path.read_text())
    for name in ("parts", "beside", "labels"):
        del document["result"][name]
    path.write_text(json.dumps(document))
    assert load(store).result == FakeTask().measure(RESTORED, SETTINGS, "x")


def test_further_metrics_and_parts_come_back(store):
    masks = Figure("mask mAP", 20.0, [19.0, math.nan], {"class/ant": [20.0, 19.0, math.nan]})
    result = dataclasses.replace(
        FakeTask().measure(RESTORED, SETTINGS, "x"), beside=(masks,), parts={"size/small": [1.5]}
    )
    store.save(FakeTask(), RESTORED, key(RESTORED), result)
    found = load(store).result
    first, second = found.figures
    assert (first.metric, first.parts) == ("mAP", {"size/small": [1.5]})
    assert (second.metric, second.value) == ("mask mAP", 20.0)
    assert second.parts["class/ant"] == pytest.approx([20.0, 19.0, math.nan], nan_ok=True)


def test_what_has_changed_is_told_with_both_values(store, monkeypatch):
    save(store)
    found = result_versions()
    monkeypatch.setattr(
        condition_store, "result_versions", lambda packages: {**found, "torch": "9.9"}
    )
    changed = load(store)
    assert changed.result is None
    assert changed.changed == (f"versions.torch was {found['torch']}, is 9.9",)
    assert load(store, Condition(Jpeg(20), BASE)).changed == ()  # never measured


def test_a_result_is_found_whatever_things_are_called_now(store):
    save(store)
    task = FakeTask()
    task.dataset, task.model = "elsewhere", "my_yolox"
    renamed = Condition(Jpeg(10), RestorerChoice("copy.safetensors", "copy", "ab"))
    assert load(store, renamed, task=task).result is not None


def test_other_weights_of_one_name_are_told(store):
    save(store)
    other = Condition(Jpeg(10), RestorerChoice("base", "base", "ef"))
    assert load(store, other).changed == ("restorer.sha256 was ab, is ef",)


def test_files_say_what_they_are_of(store):
    path = save(store)
    assert path.name.startswith("coco-yolo_x-base-qf10-")
    document = json.loads(path.read_text())
    assert (document["dataset"], document["condition"]) == ("coco", "base at QF 10")
    assert document["result"]["value"] == 27.0
    assert document["key"]["restorer"]["sha256"] == "ab"
    webp = save(store, Condition(WebP(30)))
    assert webp.name.startswith("coco-yolo_x-corrupted-webp_30-")


@pytest.mark.parametrize("content", ["", "{", "[]", '{"key": 1}', '{"key": {}, "result": {}}'])
def test_a_damaged_file_counts_as_none(store, content):
    save(store).write_text(content)
    found = load(store)
    assert (found.result, found.changed) == (None, ())
