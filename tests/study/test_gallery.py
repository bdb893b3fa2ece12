"""The images that changed most: by which rule, and that they are what was measured."""

from __future__ import annotations

import io
import math
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

pytest.importorskip("mmengine", reason="needs mmengine, which reads configs")
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "evaluation"))
from onnx_helpers import (
    bright_box,
    bright_pixels,
    classifier_config,
    detector_config,
    segmenter_config,
    texture,
    toysets,
)
from stirring import stir

from jpeg_preproc.corruptions import Jpeg, parse_corruption
from jpeg_preproc.evaluation.condition_store import ConditionStore
from jpeg_preproc.evaluation.conditions import Condition, RestorerChoice, RestoreSettings
from jpeg_preproc.evaluation.onnx import OnnxTask
from jpeg_preproc.evaluation.run import run_task
from jpeg_preproc.evaluation.task import Measurement
from jpeg_preproc.restorers import JpegRestorer, build_restorer
from jpeg_preproc.restorers.weights import save_weights
from jpeg_preproc.study.gallery import Change, changes_of, choose, gallery
from jpeg_preproc.study.pictures import as_webp, shown_file

CHOICE = RestorerChoice("base", "base", "ab")
SETTINGS = RestoreSettings()


def change(index, gain, qf=10):
    return Change(index, Jpeg(qf), CHOICE, 0.0, gain, gain)


def test_gains_and_losses_are_chosen_alike_and_no_image_twice_among_either():
    changes = [change(0, 2), change(0, 5, 20), change(0, -1), change(1, 3), change(2, 0)]
    changes += [change(3, -4), change(4, 3), change(5, -4)]
    chosen = choose(changes, 2)
    assert [(one.index, one.gain) for one in chosen] == [(0, 5), (3, -4), (1, 3), (5, -4)]
    assert [(one.index, one.gain) for one in choose(changes, 9)][-1] == (0, -1)
    assert choose([change(0, 0)], 3) == []


def measured(**of_images):
    return Measurement("mAP", 1.0, 2, 1.0, {}, None, **of_images)


def results(original, corrupted, restored):
    conditions = (Condition(), Condition(Jpeg(10)), Condition(Jpeg(10), CHOICE))
    return list(zip(conditions, (original, corrupted, restored), strict=True))


def test_detectors_are_judged_by_errors_and_segmenters_by_iou():
    box = [0, 0.9, 0.0, 0.0, 9.0, 9.0]
    other = [0, 0.9, 50.0, 50.0, 59.0, 59.0]
    found = [[[box, other], []], [[box], [box]], [[box, other], [box, other]]]
    first, second = changes_of(results(*(measured(detections=one) for one in found)))
    assert (first.before, first.after, first.gain) == (1, 0, 1)
    assert (second.before, second.after, second.gain) == (1, 2, -1)
    ious = [[90.0, None], [50.0, None], [70.0, None]]
    (only,) = changes_of(results(*(measured(image_iou=one) for one in ious)))
    assert (only.index, only.gain) == (0, 20.0)
    labels = [[(0, 0), (1, 1), (2, 2)], [(0, 0), (0, 1), (2, 2)], [(1, 0), (1, 1), (2, 2)]]
    gains = [one.gain for one in changes_of(results(*(measured(labels=one) for one in labels)))]
    assert gains == [-1, 1, 0]
    # Without the originals there is nothing to compare with.
    assert changes_of(results(*(measured(detections=one) for one in found))[1:]) == []


@pytest.fixture
def weights(tmp_path):
    torch.manual_seed(0)
    network = build_restorer("GridUNet", "nano").eval()
    stir(network)
    path = tmp_path / "noise.safetensors"
    save_weights(network, path, preset="nano")
    return RestorerChoice(str(path), "noise", "")


def run(task, corruption, choice, folder):
    conditions = [Condition(), Condition(corruption), Condition(corruption, choice)]
    return run_task(task, conditions, ConditionStore(folder), SETTINGS)


def with_errors(done):
    """The same where nothing is found in every other image corrupted, and in the rest restored."""
    results = []
    for condition, measured in done.results:
        if condition.corruption is not None:
            found = done.results[0][1].detections
            empty = 0 if condition.restorer is None else 1
            found = [[] if index % 2 == empty else one for index, one in enumerate(found)]
            measured = replace(measured, detections=found)
        results.append((condition, measured))
    return replace(done, results=results)


def pixels(view):
    return np.asarray(Image.open(io.BytesIO(view.data)).convert("RGB"))


@pytest.mark.parametrize("spelling", ["jpeg:2", "cropped_jpeg:2,offset=5", "resized_jpeg:2,0.5"])
def test_the_images_shown_are_those_that_were_measured(tmp_path, weights, spelling):
    root = toysets.write_coco(tmp_path / "coco")
    task = OnnxTask(detector_config(tmp_path, root), bright_box(tmp_path / "toy.onnx"), tmp_path)
    corruption = parse_corruption(spelling)
    done = with_errors(run(task, corruption, weights, tmp_path / "store"))
    changes = [one for one in changes_of(done.results) if one.gain]
    assert {one.gain > 0 for one in changes} == {True, False}
    names = []
    shown = gallery([task], [done], SETTINGS, on_picture=names.append)
    assert [one.name for one in shown.pictures] == names
    assert {one.name for one in shown.pictures} == {
        task.image_paths[one.index].name for one in changes
    }
    for one in shown.pictures:
        (path,) = [path for path in task.image_paths if path.name == one.name]
        clean = np.asarray(Image.open(path).convert("RGB"))
        made = corruption.apply(clean, path.name)
        original, corrupted, restored = one.views
        assert one.size == (clean.shape[1], clean.shape[0])
        assert np.array_equal(pixels(corrupted), made.pixels)
        if made.data is not None:
            assert corrupted.data == made.data and f"{len(made.data):,} bytes" in corrupted.note
        expected = JpegRestorer(weights.name)(made.data if made.data else made.pixels).image
        assert restored.data == as_webp(expected)
        left, top, width, height = corrupted.place
        corners = np.array([[0.0, 0.0, made.pixels.shape[1], made.pixels.shape[0]]])
        back = made.geometry.boxes_to_original(corners)[0]
        assert [left, top, left + width, top + height] == pytest.approx(list(back))
        assert original.place == (0.0, 0.0, *map(float, one.size))
        before, after = (int(part) for part in one.change.removeprefix("errors ").split(" → "))
        assert one.helped == (after < before)
    counts = f"helped {sum(one.gain > 0 for one in changes)}, harmed"
    assert counts in shown.rule


def test_the_bytes_are_as_many_as_were_measured(tmp_path, weights):
    root = toysets.write_coco(tmp_path / "coco")
    task = OnnxTask(detector_config(tmp_path, root), bright_box(tmp_path / "toy.onnx"), tmp_path)
    done = run(task, Jpeg(2), weights, tmp_path / "store")
    one = dict(done.results)[Condition(Jpeg(2))]
    sizes = [
        (
            len(Jpeg(2).apply(np.asarray(Image.open(path).convert("RGB"))).data),
            Image.open(path).size,
        )
        for path in task.image_paths
    ]
    total = sum(size for size, _ in sizes) / sum(math.prod(shape) for _, shape in sizes)
    assert one.bytes_per_pixel == pytest.approx(total)


def test_a_segmenters_masks_are_found_again_and_a_stored_study_has_the_same(tmp_path, weights):
    root = toysets.write_voc(tmp_path / "voc")
    model = bright_pixels(tmp_path / "toy.onnx", 160.0)
    task = OnnxTask(segmenter_config(tmp_path, root), model, tmp_path)
    done = run(task, Jpeg(2), weights, tmp_path / "store")
    shown = gallery([task], [done], SETTINGS, number=2)
    assert shown.pictures and all(view.mask for one in shown.pictures for view in one.views)
    again = run(task, Jpeg(2), weights, tmp_path / "store")
    assert again.reused == 3
    assert gallery([task], [again], SETTINGS, number=2) == shown
    for one in shown.pictures:
        before, after = (float(part) for part in one.change.removeprefix("IoU ").split(" → "))
        assert one.helped == (after > before) or before == after


def test_what_would_be_too_large_is_left_out_and_said(tmp_path, weights):
    root = toysets.write_voc(tmp_path / "voc")
    model = bright_pixels(tmp_path / "toy.onnx", 160.0)
    task = OnnxTask(segmenter_config(tmp_path, root), model, tmp_path)
    done = run(task, Jpeg(2), weights, tmp_path / "store")
    whole = gallery([task], [done], SETTINGS)
    sizes = [sum(len(view.data) + len(view.mask) for view in one.views) for one in whole.pictures]
    some = gallery([task], [done], SETTINGS, max_bytes=sizes[0])
    assert some.pictures == whole.pictures[:1]
    assert f"{len(sizes) - 1} more would have made this page too large" in some.rule


def test_nothing_to_show_is_an_empty_gallery(tmp_path, weights):
    root = toysets.write_coco(tmp_path / "coco")
    task = OnnxTask(detector_config(tmp_path, root), bright_box(tmp_path / "toy.onnx"), tmp_path)
    done = run(task, Jpeg(2), weights, tmp_path / "store")
    without = replace(done, results=done.results[:2])
    assert gallery([task], [without], SETTINGS).pictures == ()


def test_files_that_browsers_show_are_shown_as_they_are(photo):
    data = Jpeg(10).apply(photo).data
    assert shown_file(data, photo)[:2] == (data, "image/jpeg")
    webp = parse_corruption("webp:30").apply(photo).data
    assert shown_file(webp, photo)[:2] == (webp, "image/webp")
    for unknown in (None, b"\xff\x0a of JPEG XL"):
        file, mime, note = shown_file(unknown, photo)
        assert mime == "image/webp" and "losslessly" in note
        assert np.array_equal(np.asarray(Image.open(io.BytesIO(file)).convert("RGB")), photo)


def test_webp_is_near_and_never_too_large(photo):
    near = np.asarray(Image.open(io.BytesIO(as_webp(photo))).convert("RGB")).astype(int)
    error = np.square(near - photo).mean()
    assert 10 * math.log10(255**2 / error) > 30
    wide = Image.open(io.BytesIO(as_webp(np.zeros((2, 17000, 3), np.uint8))))
    assert wide.size[0] == 16383


def test_images_of_a_classifier_are_shown_with_what_they_were_taken_for(tmp_path, weights):
    for index, name in enumerate(("smooth", "textured")):
        (tmp_path / "classes" / name).mkdir(parents=True)
        pixels, _ = toysets.scene(index)
        Image.fromarray(pixels).save(tmp_path / "classes" / name / f"{index}.png")
    data = f"type='folders', data_root={str(tmp_path / 'classes')!r}"
    config = classifier_config(tmp_path, data)
    task = OnnxTask(config, texture(tmp_path / "toy.onnx", 20.0), tmp_path)
    done = run(task, parse_corruption("jpeg:2"), weights, tmp_path / "store")
    (original, first), (corrupted, second), (restored, third) = done.results
    done = replace(
        done,
        results=[
            (original, replace(first, labels=[(0, 0), (1, 1)])),
            (corrupted, replace(second, labels=[(0, 0), (0, 1)])),
            (restored, replace(third, labels=[(1, 0), (1, 1)])),
        ],
    )
    shown = gallery([task], [done], SETTINGS)
    assert [(one.change, one.classes) for one in shown.pictures] == [
        ("wrong → right", ("textured",)),
        ("right → wrong", ("smooth",)),
    ]
    assert "corrupted image for smooth, the restored one for textured" in shown.pictures[0].counts
    assert all(view.boxes == () and view.mask == b"" for view in shown.pictures[0].views)
