from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from onnx_helpers import constant
from torch.nn import functional as F
from torchvision.ops import box_convert, nms

from jpeg_preproc.errors import ModelError
from jpeg_preproc.evaluation.config import read_config
from jpeg_preproc.evaluation.onnx import OnnxDetector
from jpeg_preproc.evaluation.onnx.decode import (
    BoxesDecoding,
    GflDecoding,
    LogitsDecoding,
    YoloxDecoding,
)
from jpeg_preproc.evaluation.onnx.inputs import Fit
from jpeg_preproc.evaluation.onnx.settings import model_settings

SIZE = (64, 96)
CELLS = 8 * 12 + 4 * 6 + 2 * 3
CONFIGS = Path(__file__).resolve().parents[2] / "configs" / "downstream"


def yolox_grid(classes=3, seed=0):
    """Raw feature maps of a YOLOX head, (classes + 5, h, w) of each stride, before the sigmoid."""
    rng = np.random.default_rng(seed)
    shapes = [(SIZE[0] // stride, SIZE[1] // stride) for stride in (8, 16, 32)]
    return [rng.normal(0, 1, (classes + 5, *shape)).astype(np.float32) for shape in shapes]


def exported(maps):
    """What YOLOX's export makes of them: (1, cells, 5 + classes), with sigmoid on the scores."""
    flat = np.concatenate([part.reshape(len(part), -1) for part in maps], axis=1).T[None].copy()
    flat[..., 4:] = 1 / (1 + np.exp(-flat[..., 4:]))
    return flat


def test_yolox_is_decoded_and_selected_as_mmdet_does(tmp_path):
    heads = pytest.importorskip("mmdet.models.dense_heads", reason="needs mmdet")
    from mmengine.config import ConfigDict
    from mmengine.registry import DefaultScope

    maps = yolox_grid()
    with DefaultScope.overwrite_default_scope("mmdet"):
        head = heads.YOLOXHead(num_classes=3, in_channels=8)
    tested = ConfigDict(score_thr=0.3, nms=dict(type="nms", iou_threshold=0.5))
    (expected,) = head.predict_by_feat(
        [torch.from_numpy(part[None, 5:]) for part in maps],
        [torch.from_numpy(part[None, :4]) for part in maps],
        [torch.from_numpy(part[None, 4:5]) for part in maps],
        batch_img_metas=[{"scale_factor": (1.0, 1.0)}],
        cfg=tested,
        rescale=True,
    )
    model = dict(type="OnnxDetector", decode="yolox", classes=["a", "b", "c"], channel_order="bgr")
    settings = model_settings(model | dict(score_threshold=0.3, nms=dict(iou=0.5)))
    detector = OnnxDetector(constant(tmp_path / "x.onnx", SIZE, output=exported(maps)), settings)
    found = detector(np.zeros((*SIZE, 3), np.uint8))
    assert 5 < len(found.scores) < CELLS
    np.testing.assert_allclose(found.scores, expected.scores.numpy(), rtol=1e-5)
    np.testing.assert_array_equal(found.labels, expected.labels.numpy())
    np.testing.assert_allclose(found.boxes, expected.bboxes.numpy(), rtol=1e-4, atol=1e-3)


def test_a_cell_of_yolox_is_where_the_paper_puts_it():
    raw = np.zeros((1, CELLS, 5 + 2), np.float32)
    cell = 8 * 12 + 1 * 6 + 4  # stride 16, second row, fifth column
    raw[0, cell] = [0.25, 0.5, np.log(2), np.log(3), 0.8, 0.1, 0.5]
    found = YoloxDecoding()({"output": raw}, SIZE, classes=2)
    x, y = (4 + 0.25) * 16, (1 + 0.5) * 16
    np.testing.assert_allclose(found.boxes[cell], [x - 16, y - 24, x + 16, y + 24], atol=1e-4)
    assert found.scores[cell] == pytest.approx(0.4) and found.labels[cell] == 1


def gfl_outputs(classes=3, bins=8, seed=0):
    """Outputs of a GFL head: scores and distributions of strides 8, 16 and 32, in any order."""
    rng = np.random.default_rng(seed)
    outputs = {}
    for stride in (32, 8, 16):
        cells = (SIZE[0] // stride) * (SIZE[1] // stride)
        outputs[f"box{stride}"] = rng.normal(0, 2, (1, cells, 4 * bins)).astype(np.float32)
        outputs[f"score{stride}"] = rng.uniform(0, 1, (1, cells, classes)).astype(np.float32)
    return outputs


def test_gfl_is_decoded_as_mmdet_does():
    heads = pytest.importorskip("mmdet.models.dense_heads", reason="needs mmdet")
    from mmengine.config import ConfigDict
    from mmengine.registry import DefaultScope

    strides, outputs = (8, 16, 32), gfl_outputs()
    with DefaultScope.overwrite_default_scope("mmdet"):
        head = heads.GFLHead(
            num_classes=3,
            in_channels=8,
            reg_max=7,
            anchor_generator=dict(
                type="AnchorGenerator",
                ratios=[1.0],
                octave_base_scale=8,
                scales_per_octave=1,
                strides=strides,
            ),
        )

    def maps(name):
        """(1, channels, h, w) of each stride."""
        for stride in strides:
            values = torch.from_numpy(outputs[f"{name}{stride}"])
            yield values.mT.reshape(1, -1, SIZE[0] // stride, SIZE[1] // stride)

    (expected,) = head.predict_by_feat(
        [torch.logit(scores) for scores in maps("score")],
        list(maps("box")),
        # Large enough that no box is cut to the image.
        batch_img_metas=[{"scale_factor": (1.0, 1.0), "img_shape": SIZE}],
        cfg=ConfigDict(score_thr=0.0, nms_pre=10_000),
        rescale=False,
        with_nms=False,
    )
    found = GflDecoding(strides, offset=0.0)(outputs, SIZE, classes=3)
    boxes = np.clip(found.boxes, 0, [SIZE[1], SIZE[0]] * 2)
    # mmdet gives a box for each class.
    best = expected.scores.numpy().argsort()[::-1]
    mine = found.scores.argsort()[::-1][:40]
    theirs = []
    for index in best:
        where = tuple(np.round(expected.bboxes[index].tolist(), 3))
        if where not in [place for place, _, _ in theirs]:
            theirs.append((where, float(expected.scores[index]), int(expected.labels[index])))
        if len(theirs) == len(mine):
            break
    np.testing.assert_allclose([place for place, _, _ in theirs], boxes[mine], atol=2e-3)
    np.testing.assert_allclose([score for _, score, _ in theirs], found.scores[mine], atol=1e-5)
    np.testing.assert_array_equal([label for _, _, label in theirs], found.labels[mine])


def shipped(name):
    return model_settings(read_config(CONFIGS / f"onnx_{name}_coco.py")["model"])


def test_the_shipped_nanodet_finds_the_box_of_a_cell():
    settings = shipped("nanodet")
    outputs = {}
    for cells in (52 * 52, 26 * 26, 13 * 13):
        outputs[f"scores{cells}"] = np.zeros((1, cells, 80), np.float32)
        outputs[f"sides{cells}"] = np.zeros((1, cells, 4 * 11), np.float32)
    cell = 2 * 26 + 3  # third row, fourth column of stride 16
    outputs["scores676"][0, cell, 5] = 0.9
    for side, distance in enumerate((1, 2, 3, 10)):
        outputs["sides676"][0, cell, 11 * side + distance] = 50.0  # all of the distribution
    found = settings.decode(outputs, settings.input.input_size, len(settings.classes))
    best = found.scores.argmax()
    assert settings.classes[found.labels[best]] == "bus"
    expected = [(3.5 - 1) * 16, (2.5 - 2) * 16, (3.5 + 3) * 16, (2.5 + 10) * 16]
    np.testing.assert_allclose(found.boxes[best], expected)


def test_the_shipped_centernet_takes_its_peaks_as_they_are():
    settings = shipped("centernet")
    peaks = np.array([[[8, 16, 100, 200, 0.75, 79], [-4, 0, 64, 64, 0.5, 0]]], np.float32)
    found = settings.decode({"dets": peaks}, settings.input.input_size, len(settings.classes))
    np.testing.assert_array_equal(found.boxes, peaks[0, :, :4])
    assert [settings.classes[label] for label in found.labels] == ["toothbrush", "person"]
    assert settings.input.layout == "NHWC" and settings.select.nms is None


def test_a_cell_of_picodet_is_measured_from_its_middle():
    outputs = {name: np.zeros_like(array) for name, array in gfl_outputs().items()}
    cell = 1 * 6 + 4  # stride 16, second row, fifth column
    for side, distance in enumerate((1, 2, 3, 0)):
        outputs["box16"][0, cell, 8 * side + distance] = 50
    outputs["score16"][0, cell] = [0.1, 0.7, 0.2]
    found = GflDecoding((8, 16, 32))(outputs, SIZE, classes=3)
    x, y = (4 + 0.5) * 16, (1 + 0.5) * 16
    place = 8 * 12 + cell
    np.testing.assert_allclose(found.boxes[place], [x - 16, y - 32, x + 48, y], atol=1e-3)
    assert found.scores[place] == pytest.approx(0.7) and found.labels[place] == 1


def test_gfl_names_what_it_lacks():
    with pytest.raises(ModelError, match=r"one output .1, 96, 4. for stride 8.*bins or classes"):
        GflDecoding((8, 16, 32))(gfl_outputs(), SIZE, classes=4)
    outputs = gfl_outputs()
    outputs["score8"] *= 9
    with pytest.raises(ModelError, match="set sigmoid=True"):
        GflDecoding((8, 16, 32))(outputs, SIZE, classes=3)
    found = GflDecoding((8, 16, 32), sigmoid=True)(outputs, SIZE, classes=3)
    assert found.scores[:96] == pytest.approx(1 / (1 + np.exp(-outputs["score8"][0].max(1))))


def test_decoded_boxes_of_yolox_are_taken_as_they_are():
    maps = yolox_grid()
    raw = YoloxDecoding()({"output": exported(maps)}, SIZE, classes=3)
    pixels = box_convert(torch.from_numpy(raw.boxes), "xyxy", "cxcywh").numpy()
    decoded = np.concatenate([pixels[None], exported(maps)[..., 4:]], axis=-1)
    again = YoloxDecoding(decoded=True)({"output": decoded}, SIZE, classes=3)
    np.testing.assert_allclose(again.boxes, raw.boxes, rtol=1e-6)
    np.testing.assert_array_equal(again.labels, raw.labels)


def test_a_lacking_sigmoid_is_noticed_and_may_be_applied():
    maps = yolox_grid()
    flat = np.concatenate([part.reshape(len(part), -1) for part in maps], axis=1).T[None]
    with pytest.raises(ModelError, match="set sigmoid=True"):
        YoloxDecoding()({"output": flat}, SIZE, classes=3)
    found = YoloxDecoding(sigmoid=True)({"output": flat}, SIZE, classes=3)
    expected = YoloxDecoding()({"output": exported(maps)}, SIZE, classes=3)
    np.testing.assert_allclose(found.scores, expected.scores, rtol=1e-5)


BOXES = np.array([[10, 20, 30, 60], [0, 0, 96, 64], [50.5, 1.5, 60, 9]], np.float32)
SCORES, LABELS = np.array([0.9, 0.5, 0.7], np.float32), np.array([2, 0, 1])


@pytest.mark.parametrize("form", ["xyxy", "cxcywh", "xywh"])
@pytest.mark.parametrize("normalised", [False, True])
@pytest.mark.parametrize("batched", [False, True])
def test_final_boxes_of_every_form(form, normalised, batched):
    boxes = box_convert(torch.from_numpy(BOXES), "xyxy", form).numpy()
    if normalised:
        boxes = boxes / np.array([96, 64, 96, 64], np.float32)
    outputs = {"boxes": boxes, "scores": SCORES, "labels": LABELS}
    if batched:
        outputs = {name: value[None] for name, value in outputs.items()}
    found = BoxesDecoding(box_format=form, normalised=normalised)(outputs, SIZE, classes=3)
    np.testing.assert_allclose(found.boxes, BOXES, rtol=1e-5, atol=1e-5)
    np.testing.assert_array_equal(found.scores, SCORES.astype(np.float64))
    np.testing.assert_array_equal(found.labels, LABELS)


def test_dets_hold_the_score_and_maybe_the_label():
    five = np.hstack([BOXES, SCORES[:, None]])[None]
    six = np.concatenate([five, LABELS[None, :, None].astype(np.float32)], axis=-1)
    for outputs, names in (
        ({"dets": five, "labels": LABELS[None], "masks": np.zeros(1)}, {}),
        ({"output0": six}, {}),
        ({"a": five, "b": LABELS[None]}, {"dets": "a", "labels": "b"}),
        ({"a": six, "b": np.zeros(1)}, {"dets": "a"}),
    ):
        found = BoxesDecoding(**names)(outputs, SIZE, classes=3)
        np.testing.assert_array_equal(found.boxes, BOXES.astype(np.float64))
        np.testing.assert_array_equal(found.labels, LABELS)


def detector(tmp_path, outputs, **model):
    kept = dict(type="OnnxDetector", decode="boxes", classes=["a", "b", "c"], channel_order="rgb")
    return OnnxDetector(
        constant(tmp_path / "x.onnx", SIZE, **outputs), model_settings(kept | model)
    )


def test_weak_and_filling_boxes_are_dropped_and_the_best_come_first(tmp_path):
    labels = np.array([2, 0, 1, -1])
    scores = np.array([0.5, 0.005, 0.7, 0.9], np.float32)
    boxes = np.vstack([BOXES, BOXES[:1]])
    outputs = dict(boxes=boxes, scores=scores, labels=labels)
    found = detector(tmp_path, outputs)(np.zeros((*SIZE, 3), np.uint8))
    assert found.labels.tolist() == [1, 2]
    np.testing.assert_allclose(found.boxes, BOXES[[2, 0]])
    found = detector(tmp_path, outputs, score_threshold=0.0, max_detections=1)(
        np.zeros((*SIZE, 3), np.uint8)
    )
    assert found.labels.tolist() == [1]


def test_boxes_come_back_in_the_pixels_of_the_image(tmp_path):
    outputs = dict(boxes=BOXES, scores=SCORES, labels=LABELS)
    found = detector(tmp_path, outputs)(np.zeros((128, 100, 3), np.uint8))
    # Scaled by 1/2 to (64, 50), padded on the right.
    np.testing.assert_allclose(found.boxes, 2 * BOXES[[0, 2, 1]])


def test_nms_spares_other_classes(tmp_path):
    rng = np.random.default_rng(1)
    corner = rng.uniform(0, 40, (60, 2))
    boxes = np.hstack([corner, corner + rng.uniform(15, 25, (60, 2))]).astype(np.float32)
    outputs = dict(
        boxes=boxes,
        scores=rng.permutation(np.linspace(0.1, 0.9, 60)).astype(np.float32),
        labels=rng.integers(0, 3, 60),
    )
    found = detector(tmp_path, outputs, nms=dict(iou=0.4))(np.zeros((*SIZE, 3), np.uint8))
    kept = []
    for label in range(3):
        of_class = np.flatnonzero(outputs["labels"] == label)
        parts = torch.from_numpy(boxes[of_class]), torch.from_numpy(outputs["scores"][of_class])
        kept += of_class[nms(*parts, 0.4).numpy()].tolist()
    expected = sorted(kept, key=lambda index: -outputs["scores"][index])
    assert len(kept) < 60
    np.testing.assert_allclose(found.boxes, boxes[expected], rtol=1e-6)


WHOLE = Fit(image=(64, 96), resized=(64, 96), offset=(0, 0), size=(64, 96))


def test_logits_are_scaled_cut_and_scaled_again():
    logits = np.random.default_rng(2).normal(size=(1, 5, 8, 12)).astype(np.float32)
    where = Fit(image=(77, 51), resized=(60, 40), offset=(2, 28), size=(64, 96))
    for align in (False, True):
        found = LogitsDecoding(align_corners=align)({"x": logits}, where, 5, "NCHW")
        full = F.interpolate(
            torch.from_numpy(logits), (64, 96), mode="bilinear", align_corners=align
        )
        cut = full[..., 2:62, 28:68]
        expected = F.interpolate(cut, (77, 51), mode="bilinear", align_corners=align).argmax(1)[0]
        np.testing.assert_array_equal(found, expected.numpy())


def test_logits_with_channels_last():
    logits = np.random.default_rng(2).normal(size=(1, 5, 8, 12)).astype(np.float32)
    first = LogitsDecoding()({"x": logits}, WHOLE, 5, "NCHW")
    last = LogitsDecoding()({"x": logits.transpose(0, 2, 3, 1)}, WHOLE, 5, "NHWC")
    np.testing.assert_array_equal(first, last)


WHOLE_NUMBERS = [np.int64, np.int32, np.uint8]


@pytest.mark.parametrize(
    "dtype,extra",
    # Floats with a channel are logits.
    [(np.float32, False), *((dtype, extra) for dtype in WHOLE_NUMBERS for extra in (False, True))],
)
def test_labels_are_scaled_by_the_nearest(dtype, extra):
    labels = np.array([[[0, 1, 2], [3, 4, 2]]], dtype)
    labels = labels[:, None] if extra else labels
    where = Fit(image=(4, 4), resized=(4, 4), offset=(0, 0), size=(4, 6))
    found = LogitsDecoding()({"x": labels}, where, 5, "NCHW")
    assert found.tolist() == [[0, 0, 1, 1]] * 2 + [[3, 3, 4, 4]] * 2


ONES = np.ones((1, CELLS, 8), np.float32)


@pytest.mark.parametrize(
    "decode,outputs,words",
    [
        (YoloxDecoding(), {"o": ONES[:, 1:]}, rf"needs an output \(1, {CELLS}, 8\)"),
        (YoloxDecoding(strides=(8, 16)), {"o": ONES}, r"needs an output \(1, 120, 8\)"),
        (YoloxDecoding(), {"a": ONES, "b": ONES}, "set decode=dict.*output='NAME'"),
        (YoloxDecoding(output="c"), {"a": ONES, "b": ONES}, "asks for 'c', and the model has 'a'"),
        (BoxesDecoding(), {"o": ONES}, r"needs boxes \(1, K, 4\).*gets 'o' \(1, 126, 8\)"),
        (BoxesDecoding(), {"a": ONES, "b": ONES}, "'boxes'.*model has 'a' .*, 'b'"),
        (
            BoxesDecoding(),
            {"boxes": BOXES, "scores": SCORES[:2], "labels": LABELS},
            r"gets 'boxes' \(3, 4\), 'scores' \(2,\)",
        ),
        (
            BoxesDecoding(),
            {"boxes": BOXES, "scores": SCORES, "labels": LABELS + 1},
            "gives label 3, and model.classes has 3",
        ),
    ],
)
def test_outputs_that_do_not_fit_are_named(decode, outputs, words):
    with pytest.raises(ModelError, match=words):
        decode(outputs, SIZE, 3)


@pytest.mark.parametrize(
    "outputs,words",
    [
        ({"x": np.zeros((1, 4, 8, 8), np.float32)}, r"needs logits \(1, 5, h, w\).*\(1, 4, 8, 8\)"),
        ({"x": np.zeros((1, 1, 8, 8), np.float32)}, r"\(1, 1, 8, 8\)"),
        ({"x": np.zeros((2, 8, 8), np.int64)}, r"labels \(1, h, w\)"),
        ({"x": np.full((1, 8, 8), 5)}, "labels 5 to 5, and model.classes has 5"),
        ({"x": np.full((1, 8, 8), -1)}, "labels -1 to -1"),
        ({"a": np.zeros(1), "b": np.zeros(1)}, "which output is 'output' is not clear"),
    ],
)
def test_segmentations_that_do_not_fit_are_named(outputs, words):
    with pytest.raises(ModelError, match=words):
        LogitsDecoding()(outputs, WHOLE, 5, "NCHW")


@pytest.mark.parametrize(
    "values,words",
    [(dict(box_format="yxyx"), "decode.box_format"), (dict(dets="a", boxes="b"), "one or the oth")],
)
def test_settings_that_exclude_each_other_are_refused(values, words):
    with pytest.raises(ModelError, match=words):
        BoxesDecoding(**values)
