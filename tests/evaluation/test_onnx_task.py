from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from onnx_helpers import (
    bright_box,
    bright_pixels,
    constant,
    detector_config,
    segmenter_config,
    toysets,
)
from PIL import Image
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval
from stirring import stir

from jpeg_preproc.corruptions import Jpeg
from jpeg_preproc.errors import AnnotationError, ImageReadError, JpegPreprocError, ModelError
from jpeg_preproc.evaluation.conditions import Condition, RestorerChoice, RestoreSettings
from jpeg_preproc.evaluation.onnx import OnnxTask
from jpeg_preproc.restorers import build_restorer
from jpeg_preproc.restorers.weights import save_weights
from jpeg_preproc.stats.bootstrap import interval

SETTINGS = RestoreSettings()
ORIGINAL, JPEG = Condition(), Condition(Jpeg(2))
CONFIGS = Path(__file__).resolve().parents[2] / "configs" / "downstream"


@pytest.fixture
def coco(tmp_path):
    return toysets.write_coco(tmp_path / "coco")


@pytest.fixture
def voc(tmp_path):
    return toysets.write_voc(tmp_path / "voc")


@pytest.fixture
def restored(tmp_path):
    """A condition whose restorer is untrained and changes pixels."""
    torch.manual_seed(0)
    network = build_restorer("GridUNet", "nano").eval()
    stir(network)
    path = tmp_path / "noise.safetensors"
    save_weights(network, path, preset="nano")
    return Condition(Jpeg(2), RestorerChoice(str(path), "noise", ""))


def detector(tmp_path, root, threshold=110.0, config=None, **settings):
    path = bright_box(tmp_path / "toy.onnx", threshold)
    config = config or detector_config(tmp_path, root)
    return OnnxTask(config, path, tmp_path / "out", **settings)


def segmenter(tmp_path, root, threshold=160.0, **settings):
    path = bright_pixels(tmp_path / "toy.onnx", threshold)
    return OnnxTask(segmenter_config(tmp_path, root), path, tmp_path / "out", **settings)


def test_a_detector_that_sees_everything_has_an_ap_of_100(tmp_path, coco):
    task = detector(tmp_path, coco)
    assert (task.dataset, task.model, task.images) == ("coco", "onnx_toy", 6)
    steps = []
    result = task.measure(ORIGINAL, SETTINGS, "original", lambda: steps.append(1))
    assert (result.metric, result.images, len(steps)) == ("mAP", 6, 6)
    assert result.value == pytest.approx(100.0)
    assert result.replicates == pytest.approx([100.0] * 1000)


def test_the_ap_is_pycocotools_own(tmp_path, coco):
    result = detector(tmp_path, coco).measure(JPEG, SETTINGS, "jpeg")
    assert 0 < result.value < 99  # so that the comparison says something
    truth = COCO(str(coco / "annotations" / "val.json"))
    kept = tmp_path / "out" / "predictions" / "jpeg.bbox.json"
    evaluation = COCOeval(truth, truth.loadRes(str(kept)), "bbox")
    evaluation.evaluate()
    evaluation.accumulate()
    evaluation.summarize()
    assert result.value == pytest.approx(100 * evaluation.stats[0], abs=1e-9)
    names = ("bbox_mAP", "bbox_mAP_50", "bbox_mAP_75", "bbox_mAP_s", "bbox_mAP_m", "bbox_mAP_l")
    found = [result.all_metrics[name] for name in names]
    assert found == pytest.approx(evaluation.stats[:6].tolist())
    low, high = interval(result.replicates, result.value)
    assert low < result.value < high
    # The boxes themselves, from pixels compressed here.
    expected = []
    for index in range(6):
        pixels, _ = toysets.scene(index)
        bright = toysets.compressed(pixels, 2).astype(np.float32).mean(-1) > 110
        rows, columns = np.flatnonzero(bright.any(1)), np.flatnonzero(bright.any(0))
        left, top = float(columns[0]), float(rows[0])
        expected.append([left, top, columns[-1] + 1 - left, rows[-1] + 1 - top])
    assert [entry["bbox"] for entry in json.loads(kept.read_text())] == expected


def test_a_detector_that_sees_nothing_has_an_ap_of_0(tmp_path, coco):
    result = detector(tmp_path, coco, threshold=999).measure(ORIGINAL, SETTINGS, "original")
    assert result.value == 0.0 and set(result.replicates) == {0.0}


def test_it_measures_what_mmdet_measures(tmp_path, coco):
    pytest.importorskip("mmdet", reason="needs mmdet")
    from jpeg_preproc.openmmlab.evaluation.task import OpenMMLabTask

    config = toysets.detector_config(tmp_path, coco)
    config.write_text(config.read_text().replace("scale_factor=2.0", "scale_factor=1.0"))
    mmdet = OpenMMLabTask(config, toysets.checkpoint(tmp_path), tmp_path / "mm")
    ours = detector(tmp_path, coco)
    for condition in (ORIGINAL, JPEG):
        expected = mmdet.measure(condition, SETTINGS, "x")
        found = ours.measure(condition, SETTINGS, "x")
        assert found.value == pytest.approx(expected.value)
        assert found.replicates == pytest.approx(expected.replicates)
        boxes = [[one[1:] for one in image] for image in expected.detections]
        assert [[one[1:] for one in image] for image in found.detections] == boxes


def test_each_image_is_measured_as_mmseg_measures_it(tmp_path, voc):
    pytest.importorskip("mmseg", reason="needs mmseg")
    from jpeg_preproc.openmmlab.evaluation.task import OpenMMLabTask

    config = toysets.segmenter_config(tmp_path, voc)
    mmseg = OpenMMLabTask(config, toysets.checkpoint(tmp_path, 160.0), tmp_path / "mm")
    expected = mmseg.measure(JPEG, SETTINGS, "x").image_iou
    assert segmenter(tmp_path, voc).measure(JPEG, SETTINGS, "x").image_iou == pytest.approx(
        expected
    )


def test_the_order_of_images_is_that_of_the_bootstraps_draws(tmp_path, coco):
    annotations = coco / "annotations" / "val.json"
    expected = detector(tmp_path, coco).measure(JPEG, SETTINGS, "x")
    document = json.loads(annotations.read_text())
    document["images"].reverse()
    annotations.write_text(json.dumps(document))
    found = detector(tmp_path, coco).measure(JPEG, SETTINGS, "x")
    assert found.replicates == expected.replicates
    assert found.detections == expected.detections and len(set(map(str, found.detections))) == 6


@pytest.mark.parametrize("qf", [None, 2])
def test_miou_is_that_of_the_masks(tmp_path, voc, qf):
    result = segmenter(tmp_path, voc).measure(
        Condition(None if qf is None else Jpeg(qf)), SETTINGS, "x"
    )
    assert result.metric == "mIoU"
    expected = toysets.expected_miou(range(6), 160.0, qf)
    assert result.value == pytest.approx(expected, abs=1e-6)
    classes = [result.all_metrics["IoU/dark"], result.all_metrics["IoU/bright"]]
    assert np.mean(classes) == pytest.approx(expected, abs=1e-6)
    low, high = interval(result.replicates, result.value)
    assert low < result.value < high


def test_images_left_out_count_in_no_condition(tmp_path, coco):
    (coco / "val" / "003.png").unlink()
    (coco / "val" / "004.png").write_bytes((coco / "val" / "004.png").read_bytes()[:-100])
    task = detector(tmp_path, coco)
    assert task.images == 4 and len(task.skipped) == 2
    assert task.measure(ORIGINAL, SETTINGS, "x").value == pytest.approx(100.0)


def test_a_limit_is_the_metrics_limit_too(tmp_path, coco, voc):
    task = detector(tmp_path, coco, limit=2)
    assert task.measure(ORIGINAL, SETTINGS, "x").value == pytest.approx(100)
    value = segmenter(tmp_path, voc, limit=2).measure(ORIGINAL, SETTINGS, "x").value
    assert value == pytest.approx(toysets.expected_miou([0, 3], 160.0), abs=1e-6)


def test_restored_images_reach_the_model(tmp_path, voc, restored):
    task = segmenter(tmp_path, voc)
    before = task.measure(JPEG, SETTINGS, "jpeg").value
    assert task.measure(restored, SETTINGS, "restored").value != before


def test_workers_change_nothing(tmp_path, voc, restored):
    alone = segmenter(tmp_path, voc).measure(restored, SETTINGS, "a")
    two = segmenter(tmp_path, voc, num_workers=2).measure(restored, SETTINGS, "b")
    assert two.value == alone.value and two.replicates == alone.replicates


def test_a_turned_image_is_judged_upright(tmp_path, coco):
    exif = Image.Exif()
    exif[0x0112] = 6
    for path in (coco / "val").iterdir():
        with Image.open(path) as picture:
            on_its_side = picture.transpose(Image.Transpose.ROTATE_90)
        on_its_side.save(path, exif=exif)
    assert detector(tmp_path, coco).measure(ORIGINAL, SETTINGS, "x").value == pytest.approx(100.0)


def test_another_data_root_serves(tmp_path, coco):
    config = detector_config(tmp_path, tmp_path / "nowhere")
    task = detector(tmp_path, coco, config=config, data_root=coco)
    assert task.measure(ORIGINAL, SETTINGS, "x").value == pytest.approx(100.0)


def test_the_fingerprint_holds_what_the_result_depends_on(tmp_path, coco):
    first = detector(tmp_path, coco).fingerprint
    assert first == detector(tmp_path, coco).fingerprint
    assert first["images"] == 6 and first["device"] == "cpu"
    others = [
        detector(tmp_path, coco, threshold=111.0),
        detector(tmp_path, coco, limit=2),
        detector(tmp_path, coco, cfg_options={"model.score_threshold": 0.5}),
    ]
    assert all(other.fingerprint != first for other in others)
    moved = coco.rename(tmp_path / "moved")
    assert detector(tmp_path, moved).fingerprint == first


# --- bad input


def test_an_image_that_goes_bad_between_is_named(tmp_path, coco):
    for workers in (0, 2):
        task = detector(tmp_path, coco, num_workers=workers)
        path = coco / "val" / "002.png"
        data = path.read_bytes()
        path.unlink()
        with pytest.raises(ImageReadError, match=r"002\.png does not exist; check the path\.$"):
            task.measure(JPEG, SETTINGS, "x")
        path.write_bytes(data)


def test_a_wrong_decode_fails_before_anything_is_measured(tmp_path, coco):
    path = constant(tmp_path / "toy.onnx", (64, 64), output=np.zeros((1, 84, 7), np.float32))
    config = detector_config(tmp_path, coco, model="decode='yolox'")
    with pytest.raises(ModelError, match=r"toy\.onnx: decode 'yolox' needs .*\(1, 84, 6\)"):
        OnnxTask(config, path, tmp_path / "out")


@pytest.mark.parametrize(
    "model,data,words",
    [
        (
            "type='OnnxSegmentor', decode='logits'",
            "",
            "an OnnxSegmentor cannot be measured.*'coco'",
        ),
        ("type='YOLOX'", "", "model.type is 'YOLOX'"),
        ("channel='rgb'", "", "model.channel is unknown"),
        ("", "type='lvis'", "data.type is 'lvis'"),
    ],
)
def test_a_config_that_does_not_fit_is_named(tmp_path, coco, model, data, words):
    config = detector_config(tmp_path, coco, model, data)
    with pytest.raises(ModelError, match=words) as error:
        detector(tmp_path, coco, config=config)
    assert "onnx_toy.py" in str(error.value)


def test_class_names_that_differ_are_refused(tmp_path, coco):
    config = detector_config(tmp_path, coco, model="classes=['Box']")
    with pytest.raises(AnnotationError, match=r"val\.json has no category Box"):
        detector(tmp_path, coco, config=config)


def test_what_is_no_config_is_named(tmp_path, coco):
    config = tmp_path / "broken.py"
    config.write_text("model = dict(")
    with pytest.raises(JpegPreprocError, match=r"broken\.py cannot be read as"):
        detector(tmp_path, coco, config=config)


# --- real models


@pytest.mark.slow
def test_yolox_nano_finds_what_it_finds_in_mmdet(tmp_path, shared_data):
    pytest.importorskip("mmdet", reason="needs mmdet")
    from jpeg_preproc.openmmlab.evaluation.task import OpenMMLabTask

    models, kept = shared_data / "models", dict(data_root=shared_data / "coco", limit=8)
    ours = OnnxTask(
        CONFIGS / "onnx_yolox_nano_coco.py", models / "yolox_nano.onnx", tmp_path / "a", **kept
    )
    mmdet = OpenMMLabTask(
        CONFIGS / "yolox_nano_coco.py", models / "yolox_nano_mmdet.pth", tmp_path / "b", **kept
    )
    assert ours.skipped == ()
    found = ours.measure(ORIGINAL, SETTINGS, "x").value
    assert found > 15
    assert found == pytest.approx(mmdet.measure(ORIGINAL, SETTINGS, "x").value, abs=1.0)


@pytest.mark.slow
def test_deeplabv3_labels_what_it_labels_in_mmseg(tmp_path, shared_data):
    pytest.importorskip("mmseg", reason="needs mmseg")
    pytest.importorskip("onnxscript", reason="needs onnxscript")
    from jpeg_preproc.openmmlab.evaluation.task import OpenMMLabTask

    models = shared_data / "models"
    kept = dict(data_root=shared_data / "voc" / "VOCdevkit" / "VOC2012", limit=6)
    mmseg = OpenMMLabTask(
        CONFIGS / "deeplabv3_mnv2_voc.py",
        models / "deeplabv3_mnv2_mmseg.pth",
        tmp_path / "b",
        **kept,
    )
    path = tmp_path / "deeplabv3.onnx"
    image = torch.zeros(1, 3, 513, 513)
    torch.onnx.export(
        mmseg.network, (image,), path, input_names=["image"], dynamo=True, verbose=False
    )
    ours = OnnxTask(CONFIGS / "onnx_deeplabv3_mnv2_voc.py", path, tmp_path / "a", **kept)
    for condition in (ORIGINAL, Condition(Jpeg(10))):
        found = ours.measure(condition, SETTINGS, "x").value
        assert found > 20
        expected = mmseg.measure(condition, SETTINGS, "x").value
        assert found == pytest.approx(expected, abs=0.5)


def test_images_are_named_in_the_order_of_what_is_kept_of_each(tmp_path, coco):
    path = coco / "annotations" / "val.json"
    document = json.loads(path.read_text())
    document["images"].reverse()
    path.write_text(json.dumps(document))
    task = detector(tmp_path, coco)
    by_id = sorted(document["images"], key=lambda one: one["id"])
    assert [one.name for one in task.image_paths] == [one["file_name"] for one in by_id]
    result = task.measure(ORIGINAL, SETTINGS, "original")
    for file, boxes in zip(task.image_paths, result.detections, strict=True):
        assert task.class_names[boxes[0][0]] == "box"
        bright = np.asarray(Image.open(file).convert("RGB")).mean(-1) > 110
        rows, columns = np.flatnonzero(bright.any(1)), np.flatnonzero(bright.any(0))
        corners = [columns[0], rows[0], columns[-1] + 1, rows[-1] + 1]
        assert boxes[0][2:] == pytest.approx(corners)
    with pytest.raises(ModelError, match="onnx_toy gives no label maps"):
        task.label_maps(ORIGINAL, SETTINGS, [0])


def test_label_maps_of_some_images_are_those_that_were_measured(tmp_path, voc, restored):
    task = segmenter(tmp_path, voc)
    assert task.class_names == {0: "dark", 1: "bright"}
    result = task.measure(restored, SETTINGS, "restored")
    for index, one in zip([4, 1], task.label_maps(restored, SETTINGS, [4, 1]), strict=True):
        ratios = [
            ((one.found == label) & (one.truth == label)).sum()
            / (((one.found == label) | (one.truth == label)) & (one.truth >= 0)).sum()
            for label in np.unique(one.truth[one.truth >= 0])
        ]
        assert result.image_iou[index] == pytest.approx(100 * np.mean(ratios))


@pytest.mark.parametrize("make", [detector, segmenter])
def test_images_that_are_too_large_are_left_out(tmp_path, coco, voc, make):
    with pytest.raises(AnnotationError, match="more than the 5 that are allowed"):
        make(tmp_path, coco if make is detector else voc, max_pixels=5)
