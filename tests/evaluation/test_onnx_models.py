from __future__ import annotations

import sys

import numpy as np
import pytest
from onnx_helpers import bright_box, bright_pixels, constant, parsed

from jpeg_preproc.errors import ModelError
from jpeg_preproc.evaluation.onnx import OnnxDetector, OnnxSegmentor
from jpeg_preproc.evaluation.onnx.session import model_digest
from jpeg_preproc.evaluation.onnx.settings import Nms, data_settings, model_settings

DETECTOR = dict(type="OnnxDetector", decode="boxes", classes=["box"], channel_order="rgb")
SEGMENTOR = dict(
    type="OnnxSegmentor", decode="logits", classes=["dark", "bright"], channel_order="rgb"
)
DETS = dict(dets=np.zeros((1, 1, 6), np.float32))


@pytest.fixture
def image():
    pixels = np.zeros((40, 60, 3), np.uint8)
    pixels[10:30, 20:50] = 200
    return pixels


def detector(path, device="cpu", **settings):
    return OnnxDetector(path, model_settings(DETECTOR | settings), device)


def test_a_detector_finds_what_is_bright(tmp_path, image):
    found = detector(bright_box(tmp_path / "x.onnx"))(image)
    np.testing.assert_array_equal(found.boxes, [[20, 10, 50, 30]])
    assert found.scores.tolist() == [1.0] and found.labels.tolist() == [0]


def test_a_box_comes_back_from_a_scaled_and_padded_input(tmp_path, image):
    model = detector(bright_box(tmp_path / "x.onnx"), input_size=(160, 160), pad="centre")
    np.testing.assert_allclose(model(image).boxes, [[20, 10, 50, 30]], atol=0.5)


def test_nothing_bright_gives_no_box(tmp_path, image):
    assert len(detector(bright_box(tmp_path / "x.onnx", 240))(image).boxes) == 0


def test_a_segmenter_labels_what_is_bright(tmp_path, image):
    path = bright_pixels(tmp_path / "x.onnx")
    model = OnnxSegmentor(path, model_settings(SEGMENTOR))
    np.testing.assert_array_equal(model(image), image[..., 0] > 110)


def test_the_input_size_is_the_models_own(tmp_path, image):
    model = detector(constant(tmp_path / "x.onnx", (64, 96), **DETS))
    assert model.session.size == (64, 96)
    assert len(model(image).boxes) == 0


INPUTS = """
<ir_version: 9, opset_import: ["" : 17]>
several (float[1, 3, h, w] image, float[1, 2] scale) => (float[1, 1, 6] dets) {
    dets = Constant <value = float[1, 1, 6] {1.0, 2.0, 3.0, 4.0, 0.9, 0.0}> ()
}
"""


def test_further_inputs_get_their_constants(tmp_path, image):
    path = parsed(tmp_path / "x.onnx", INPUTS)
    assert len(detector(path, extra_inputs=dict(scale=[[1, 1]]))(image).boxes) == 1
    with pytest.raises(ModelError, match=r"takes scale beside .*'scale' \(1, 2\) float"):
        detector(path)
    with pytest.raises(ModelError, match="extra_inputs gives factor"):
        detector(path, extra_inputs=dict(factor=[[1, 1]]))
    with pytest.raises(ModelError, match="extra_inputs cannot be given"):
        detector(path, extra_inputs=dict(scale="large"))


@pytest.mark.parametrize(
    "declared,settings,layout,dtype",
    [
        ("float[1, 3, h, w]", {}, "NCHW", np.float32),
        ("float[n, h, w, 3]", {}, "NHWC", np.float32),
        ("float16[n, c, h, w]", {"layout": "NHWC"}, "NHWC", np.float16),
        ("uint8[1, h, w, 3]", {}, "NHWC", np.uint8),
    ],
)
def test_layout_and_type_are_the_models(tmp_path, image, declared, settings, layout, dtype):
    text = INPUTS.replace(", float[1, 2] scale", "").replace("float[1, 3, h, w]", declared)
    model = detector(parsed(tmp_path / "x.onnx", text), **settings)
    assert (model.session.layout, model.session.dtype) == (layout, dtype)
    assert len(model(image).boxes) == 1


@pytest.mark.parametrize(
    "declared,settings,words",
    [
        ("float[n, c, h, w]", {}, "is not clear; set model.layout"),
        ("float[1, 1, 64, 64]", {}, "model.layout"),
        ("float[1, 3, h, w]", {"layout": "NHWC"}, "not as model.layout='NHWC' says"),
        ("float[4, 3, h, w]", {}, "batches of 4"),
        ("float[1, h, w]", {}, "which input takes the image is not clear"),
        ("int64[1, 3, h, w]", {}, "takes no image"),
        (
            "float[1, 3, h, w]",
            {"input_name": "images"},
            "no input 'images'; its inputs are 'image'",
        ),
        ("float[1, 3, 64, 64]", {"input_size": (32, 32)}, r"takes images of \(64, 64\)"),
        ("float[1, 3, 64, 64]", {"pad": "none"}, "set pad='corner'"),
        ("float[1, 3, 64, 64]", {"edges": (64, 64)}, "without edges"),
        ("float[1, 3, h, w]", {"keep_ratio": False}, "set model.input_size"),
    ],
)
def test_an_input_that_does_not_fit_is_named(tmp_path, declared, settings, words):
    text = INPUTS.replace(", float[1, 2] scale", "").replace("float[1, 3, h, w]", declared)
    path = parsed(tmp_path / "x.onnx", text)
    with pytest.raises(ModelError, match=words) as error:
        detector(path, **settings)
    assert str(path) in str(error.value)


def test_a_model_that_fails_while_running_is_named(tmp_path, image):
    text = """
    <ir_version: 9, opset_import: ["" : 17]>
    even (float[1, 3, h, w] image) => (float[1, 3, 32, 32] dets) {
        shape = Constant <value = int64[4] {1, 3, 32, 32}> ()
        dets = Reshape (image, shape)
    }
    """
    model = detector(parsed(tmp_path / "x.onnx", text))
    with pytest.raises(ModelError, match=r"x\.onnx fails on an input of shape \(1, 3, 40, 60\)"):
        model(image)


@pytest.mark.parametrize("content", [b"", b"no model", b"PK\x03\x04 and nothing more"])
def test_what_is_no_onnx_file_is_named(tmp_path, content):
    path = tmp_path / "bad.onnx"
    path.write_bytes(content)
    with pytest.raises(ModelError, match=r"bad\.onnx cannot be loaded as an ONNX model"):
        detector(path)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(ModelError, match=r"absent\.onnx does not exist"):
        detector(tmp_path / "absent.onnx")
    with pytest.raises(ModelError, match=r"absent\.onnx does not exist"):
        model_digest(tmp_path / "absent.onnx")


def test_a_missing_onnxruntime_is_named_with_its_extra(tmp_path, monkeypatch):
    path = bright_box(tmp_path / "x.onnx")
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(ModelError, match=r"needs onnxruntime.*jpeg_preproc\[onnx\]"):
        detector(path)


@pytest.mark.parametrize("device,words", [("tpu", "none of onnxruntime's"), ("cuda:x", "none of")])
def test_a_device_that_does_not_exist_is_refused(tmp_path, device, words):
    with pytest.raises(ModelError, match=words):
        detector(bright_box(tmp_path / "x.onnx"), device)


def test_cuda_without_its_onnxruntime_is_refused(tmp_path):
    runtime = pytest.importorskip("onnxruntime")
    if "CUDAExecutionProvider" in runtime.get_available_providers():
        pytest.skip("this onnxruntime runs on CUDA")
    with pytest.raises(ModelError, match="install onnxruntime-gpu in its place"):
        detector(bright_box(tmp_path / "x.onnx"), "cuda")


def test_the_digest_covers_weights_beside_the_file(tmp_path):
    path = bright_box(tmp_path / "x.onnx")
    alone = model_digest(path)
    (tmp_path / "x.onnx.data").write_bytes(b"weights")
    (tmp_path / "y.onnx").write_bytes(b"another model")
    beside = model_digest(path)
    (tmp_path / "x.onnx.data").write_bytes(b"others")
    assert len({alone, beside, model_digest(path)}) == 3


# --- settings


@pytest.mark.parametrize(
    "change,words",
    [
        (dict(type="YOLOX"), "model.type is 'YOLOX'; give 'OnnxDetector', 'OnnxSegmentor', 'OnnxC"),
        (dict(decode="logits"), "an OnnxDetector knows 'yolox', 'gfl', 'boxes'"),
        (dict(decode=None), "model.decode is missing"),
        (dict(decode=dict(type="yolox", stride=8)), "model.decode.stride is unknown"),
        (dict(classes=[]), "model.classes is missing"),
        (dict(classes="person"), "model.classes is 'person'; give a list of names"),
        (dict(classes=["a", "a"]), "names a twice"),
        (dict(classes=[1, 2]), "give a list of names"),
        (dict(score_threshold=2), "model.score_threshold is 2"),
        (dict(score_threshold="low"), "model.score_threshold is 'low'; give a number"),
        (dict(nms=0.5), r"model.nms is 0.5; give a dict"),
        (dict(nms=dict(iou_threshold=0.5)), "model.nms.iou_threshold is unknown.*may have iou"),
        (dict(nms=dict(iou=0)), "model.nms.iou is 0"),
        (dict(max_detections=0), "model.max_detections is 0"),
        (dict(shorter_side=256), "model.shorter_side cuts the image, which an OnnxDetector"),
        (dict(score_thr=0.1), "model.score_thr is unknown.*score_threshold, .*channel_order"),
    ],
)
def test_a_wrong_setting_of_a_model_is_named(change, words):
    with pytest.raises(ModelError, match=words):
        model_settings(DETECTOR | change)


CLASSIFIER = dict(type="OnnxClassifier", channel_order="rgb", classes=["a", "b"])


@pytest.mark.parametrize(
    "change,words",
    [
        (dict(decode="logits"), "decode is 'logits'; an OnnxClassifier knows 'scores'"),
        (dict(shorter_side=0), "model.shorter_side is 0; give 256"),
        (dict(shorter_side=9, edges=(8, 9)), "shorter_side keeps the ratio and cuts input_size"),
        (dict(nms=0.5), "model.nms is unknown"),
        (dict(classes=["a", "a"]), "names a twice"),
    ],
)
def test_a_wrong_setting_of_a_classifier_is_named(change, words):
    with pytest.raises(ModelError, match=words):
        model_settings(CLASSIFIER | change)


def test_yolox_has_nms_and_final_boxes_have_none_unless_asked():
    yolox = DETECTOR | dict(decode="yolox")
    assert model_settings(DETECTOR).select.nms is None
    assert model_settings(yolox).select.nms == Nms(0.65)
    assert model_settings(yolox | dict(nms=None)).select.nms is None
    assert model_settings(DETECTOR | dict(nms=dict(iou=0.5))).select.nms == Nms(0.5)


@pytest.mark.parametrize(
    "data,words",
    [
        (None, "data.type is None; give 'coco', 'masks', 'voc', 'folders' or 'list'"),
        (dict(type="lvis"), "data.type is 'lvis'"),
        (dict(type="coco", data_root="x", images="y"), "data.ann_file is missing"),
        (dict(type="voc"), "data.data_root is missing"),
        (dict(type="voc", data_root="x", ann_file="y"), "data.ann_file is unknown"),
        (dict(type="voc", data_root="x", classes=None), "data.classes is None"),
    ],
)
def test_a_wrong_setting_of_the_data_is_named(data, words):
    with pytest.raises(ModelError, match=words):
        data_settings(data)


def test_voc_is_masks_with_its_own_places_and_classes():
    voc = data_settings(dict(type="voc", data_root="x", split=None))
    assert (voc.images, voc.masks, voc.split) == ("JPEGImages", "SegmentationClass", None)
    assert len(voc.classes) == 21 and voc.classes[15] == "person"
