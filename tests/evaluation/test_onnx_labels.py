"""Classifiers under onnxruntime: top-1 of folders and lists, against counts made here."""

from __future__ import annotations

import io
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from onnx_helpers import classifier_config, constant, detector_config, texture
from PIL import Image

from jpeg_preproc.corruptions import Jpeg, parse_corruption
from jpeg_preproc.errors import AnnotationError, ModelError
from jpeg_preproc.evaluation.condition_store import ConditionStore
from jpeg_preproc.evaluation.conditions import Condition, RestoreSettings
from jpeg_preproc.evaluation.config import read_config
from jpeg_preproc.evaluation.onnx import OnnxTask
from jpeg_preproc.evaluation.onnx.settings import data_settings, model_settings
from jpeg_preproc.evaluation.run import run_task
from jpeg_preproc.stats.bootstrap import interval, resample_counts

SETTINGS = RestoreSettings()
ORIGINAL, JPEG = Condition(), Condition(Jpeg(50))
NAMES = ("smooth", "textured")
THRESHOLD = 31.0
SHIPPED = Path(__file__).resolve().parents[2] / "configs/downstream/onnx_resnet50_imagenet.py"


def picture(index):
    """Noise that is weak in the first six images and strong in the others."""
    rng = np.random.default_rng(index)
    most = 8 + 7 * index
    return rng.integers(128 - most, 128 + most, (40 + index, 56, 3)).astype(np.uint8)


@pytest.fixture
def folders(tmp_path):
    root = tmp_path / "classes"
    for index in range(12):
        folder = root / NAMES[index // 6]
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(picture(index)).save(folder / f"{index:02d}.png")
    return root


def found(index, qf=None):
    """The class that the model finds, from pixels coded by Pillow and counted here."""
    pixels = picture(index)
    if qf is not None:
        stream = io.BytesIO()
        Image.fromarray(pixels).save(stream, "JPEG", quality=qf)
        pixels = np.array(Image.open(stream))
    return int(np.abs(np.diff(pixels.astype(float), axis=1)).mean() > THRESHOLD)


def classifier(tmp_path, data, model="classes=['smooth', 'textured']", **options):
    config = classifier_config(tmp_path, data, model)
    return OnnxTask(config, texture(tmp_path / "toy.onnx", THRESHOLD), tmp_path / "out", **options)


def of_folders(root):
    return f"type='folders', data_root={str(root)!r}"


def test_top_1_is_the_share_of_right_images(tmp_path, folders):
    task = classifier(tmp_path, of_folders(folders))
    assert (task.dataset, task.images, task.class_names) == ("classes", 12, dict(enumerate(NAMES)))
    result = task.measure(JPEG, SETTINGS, "jpeg")
    labels = [found(index, 50) for index in range(12)]
    right = np.array([label == index // 6 for index, label in enumerate(labels)])
    assert 0 < right.mean() < 1  # so that the comparison says something
    assert (result.metric, result.value) == ("top-1", pytest.approx(100 * right.mean()))
    assert [list(pair) for pair in result.labels] == [
        [label, index // 6] for index, label in enumerate(labels)
    ]
    assert result.replicates == pytest.approx(100 * (resample_counts(12) @ right) / 12)
    low, high = interval(result.replicates, result.value)
    assert low < result.value < high
    assert result.bytes_per_pixel > 0 and result.detections is result.image_iou is None
    for place, name in enumerate(NAMES):
        own = np.arange(12) // 6 == place
        assert result.parts[f"class/{name}"][0] == pytest.approx(100 * right[own].mean())
        assert result.all_metrics[f"top-1/{name}"] == pytest.approx(100 * right[own].mean())
        counts = resample_counts(12)[:, own]
        expected = 100 * (counts @ right[own]) / counts.sum(1)
        assert result.parts[f"class/{name}"][1:] == pytest.approx(expected, abs=1e-4)


def test_a_list_says_the_same_as_folders(tmp_path, folders):
    expected = classifier(tmp_path, of_folders(folders)).measure(JPEG, SETTINGS, "a")
    lines = [f"{NAMES[index // 6]}/{index:02d}.png" for index in range(12)]
    ends = [str(index // 6) if index % 2 else NAMES[index // 6] for index in range(12)]
    (tmp_path / "val.txt").write_text(
        "\n".join(" ".join(pair) for pair in zip(lines, ends, strict=True)) + "\n\n"
    )
    task = classifier(
        tmp_path,
        f"type='list', data_root={str(tmp_path)!r}, ann_file='val.txt', images='classes'",
    )
    result = task.measure(JPEG, SETTINGS, "b")
    assert (result.value, result.labels) == (expected.value, expected.labels)


def test_paths_and_classes_may_hold_spaces(tmp_path, folders):
    shutil.copy(folders / "smooth" / "00.png", tmp_path / "my cat 1.png")
    (tmp_path / "val.txt").write_text("my cat 1.png hot dog\n")
    task = classifier(
        tmp_path,
        f"type='list', data_root={str(tmp_path)!r}, ann_file='val.txt'",
        "classes=['dog', 'hot dog']",
    )
    assert [path.name for path in task.image_paths] == ["my cat 1.png"]
    assert task.measure(ORIGINAL, SETTINGS, "x").labels == [(0, 1)]


def test_without_names_the_classes_are_the_folders(tmp_path, folders):
    named = classifier(tmp_path, of_folders(folders))
    plain = classifier(tmp_path, of_folders(folders), "")
    assert plain.class_names == named.class_names
    assert plain.measure(ORIGINAL, SETTINGS, "x").value == pytest.approx(100.0)


def test_a_class_of_the_model_without_a_folder_is_never_right(tmp_path, folders):
    shutil.rmtree(folders / "textured")
    task = classifier(tmp_path, of_folders(folders))
    result = task.measure(ORIGINAL, SETTINGS, "x")
    assert (result.images, result.value) == (6, pytest.approx(100.0))
    assert list(result.parts) == ["class/smooth"]


def test_rows_hold_agreement_with_the_original_and_are_stored(tmp_path, folders):
    task, store = classifier(tmp_path, of_folders(folders)), ConditionStore(tmp_path / "kept")
    first = run_task(task, [ORIGINAL, JPEG], store, SETTINGS)
    again = run_task(task, [ORIGINAL, JPEG], store, SETTINGS)
    assert again.reused == 2 and again.rows == first.rows
    assert [(row.metric, row.restorer) for row in again.rows] == [
        *(("top-1", line) for line in ("original", "jpeg")),
        *(("same class as on the original", line) for line in ("original", "jpeg")),
    ]
    same = np.mean([found(index) == found(index, 50) for index in range(12)])
    assert again.rows[2].value == 100.0
    assert again.rows[3].value == pytest.approx(100 * same) and again.rows[3].is_finer


@pytest.mark.parametrize("spelling", ["cropped_jpeg:90,offset=3", "resized_jpeg:95,2.0"])
def test_images_of_another_size_are_classified_too(tmp_path, folders, spelling):
    task = classifier(tmp_path, of_folders(folders))
    assert task.measure(Condition(parse_corruption(spelling)), SETTINGS, "x").images == 12


def test_the_fingerprint_covers_the_classes(tmp_path, folders):
    first = classifier(tmp_path, of_folders(folders)).fingerprint["data"]
    shutil.move(folders / "smooth" / "00.png", folders / "textured" / "00.png")
    assert classifier(tmp_path, of_folders(folders)).fingerprint["data"] != first


def test_the_shipped_config_runs(tmp_path, folders):
    config = read_config(SHIPPED)
    settings = model_settings(config["model"])
    assert settings.input.input_size == (224, 224) and settings.classes is None
    assert data_settings(config["data"]).images == "val"
    scores = np.arange(2, dtype=np.float32)[None]
    task = OnnxTask(
        *(SHIPPED, constant(tmp_path / "x.onnx", (224, 224), scores=scores), tmp_path / "out"),
        data_root=folders,
        cfg_options={"data.images": "."},
    )
    assert task.measure(ORIGINAL, SETTINGS, "x").value == pytest.approx(50.0)


# --- bad input


@pytest.mark.parametrize(
    "line,words",
    [
        ("smooth/00.png 2", r"line 2: 'smooth/00.png 2' does not end in a class.* 0 to 1"),
        ("smooth/00.png -1", "does not end in a class"),
        ("smooth/00.png rough", "does not end in a class"),
        ("smooth/00.png", "does not end in a class"),
        ("smooth/01.png 1", "smooth/01.png is there twice, with two classes"),
    ],
)
def test_a_bad_line_is_named(tmp_path, folders, line, words):
    (tmp_path / "val.txt").write_text(f"smooth/01.png 0\n{line}\n")
    data = f"type='list', data_root={str(folders)!r}, ann_file={str(tmp_path / 'val.txt')!r}"
    with pytest.raises(AnnotationError, match=rf"val\.txt, line 2: .*{words}|{words}"):
        classifier(tmp_path, data)


@pytest.mark.parametrize(
    "change,words",
    [
        (lambda root: (root / "rough").mkdir(), "has the folder rough, and model.classes has no"),
        (lambda root: (root / "smooth").rename(root / "other"), "has the folder other"),
        (lambda root: shutil.rmtree(root), "is no folder; check data_root"),
        (lambda root: [shutil.rmtree(root / name) for name in NAMES], "holds no folder"),
        (
            lambda root: [path.unlink() for path in (root / "smooth").iterdir()],
            "smooth holds no image .* though it stands for a class",
        ),
    ],
)
def test_bad_folders_are_named(tmp_path, folders, change, words):
    change(folders)
    with pytest.raises(AnnotationError, match=words):
        classifier(tmp_path, of_folders(folders))


@pytest.mark.parametrize("path", ["../stray.png", "/stray.png", "smooth/../../stray.png"])
def test_a_path_outside_its_folder_is_left_out(tmp_path, folders, path):
    shutil.copy(folders / "smooth" / "00.png", tmp_path / "stray.png")
    (folders / "val.txt").write_text(f"smooth/00.png 0\n{path} 0\n")
    task = classifier(tmp_path, f"type='list', data_root={str(folders)!r}, ann_file='val.txt'")
    assert task.images == 1
    (entry,) = task.skipped
    assert "lies outside the data root" in entry["reason"]


@pytest.mark.parametrize(
    "data,model,words",
    [
        ("ann_file='val.txt'", "", "model.classes is missing: a list of images"),
        ("ann_file='none.txt'", "classes=['a', 'b']", r"none\.txt cannot be read"),
        ("ann_file='empty.txt'", "classes=['a', 'b']", r"empty\.txt names no image"),
    ],
)
def test_a_list_that_cannot_serve(tmp_path, folders, data, model, words):
    (folders / "val.txt").write_text("smooth/00.png 0\n")
    (folders / "empty.txt").write_text("\n")
    with pytest.raises((AnnotationError, ModelError), match=words):
        classifier(tmp_path, f"type='list', data_root={str(folders)!r}, {data}", model)


def test_scores_of_another_number_of_classes_are_refused_before_the_run(tmp_path, folders):
    words = (
        r"needs an output \(1, 3\), a score for each of the 3 classes, and gets 'scores' \(1, 2\)"
    )
    with pytest.raises(ModelError, match=words):
        classifier(tmp_path, of_folders(folders), "classes=['smooth', 'textured', 'third']")


def test_a_classifier_needs_classes_and_they_a_classifier(tmp_path, folders):
    words = "an OnnxClassifier cannot be measured on data of type 'coco'.* a classifier 'folders'"
    data = f"type='coco', data_root={str(folders)!r}, ann_file='x.json', images='y'"
    with pytest.raises(ModelError, match=words):
        classifier(tmp_path, data)
    config = detector_config(tmp_path, folders)
    text = config.read_text().replace("type='coco'", "type='folders'")
    config.write_text(text.replace(", ann_file='annotations/val.json', images='val'", ""))
    with pytest.raises(ModelError, match="OnnxDetector cannot be measured on data of type 'fold"):
        OnnxTask(config, texture(tmp_path / "toy.onnx", 1.0), tmp_path / "out")


def test_scores_that_are_no_numbers_are_refused(tmp_path, folders):
    scores = np.array([[np.nan, 1.0]], np.float32)
    config = classifier_config(tmp_path, of_folders(folders), "input_size=(32, 32), pad='corner'")
    with pytest.raises(ModelError, match="no numbers"):
        OnnxTask(config, constant(tmp_path / "x.onnx", (32, 32), scores=scores), tmp_path / "out")


def test_what_is_stored_is_json(tmp_path, folders):
    task, store = classifier(tmp_path, of_folders(folders)), ConditionStore(tmp_path / "kept")
    run_task(task, [ORIGINAL], store, SETTINGS)
    (path,) = (tmp_path / "kept").glob("*.json")
    assert json.loads(path.read_text())["result"]["labels"][0] == [0, 0]
