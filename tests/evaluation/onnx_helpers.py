"""Small ONNX models with known outputs, configs for them, and the toy sets they are run on."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

for name in ("onnx", "onnxruntime", "torchvision", "pycocotools"):
    pytest.importorskip(name, reason=f"needs {name}: pip install '.[onnx]'")

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "openmmlab"))
import onnx  # noqa: E402
import onnx.parser  # noqa: E402
import toysets  # noqa: E402, F401  (needs no OpenMMLab; the tests have it from here)
from onnx import helper, numpy_helper  # noqa: E402

_BRIGHT_BOX = """
<ir_version: 9, opset_import: ["" : 17]>
bright_box (float[1, 3, height, width] image) => (float[1, 1, 5] dets, int64[1, 1] labels) {
    threshold = Constant <value = float {THRESHOLD}> ()
    one = Constant <value = int64 {1}> ()
    first = Constant <value = int64[1] {0}> ()
    labels = Constant <value = int64[1, 1] {0}> ()
    grey = ReduceMean <axes = [1], keepdims = 0> (image)
    bright = Greater (grey, threshold)
    mask = Cast <to = 1> (bright)
    columns = ReduceMax <axes = [1], keepdims = 0> (mask)
    rows = ReduceMax <axes = [2], keepdims = 0> (mask)
    left = ArgMax <axis = 1> (columns)
    top = ArgMax <axis = 1> (rows)
    last_column = ArgMax <axis = 1, select_last_index = 1> (columns)
    last_row = ArgMax <axis = 1, select_last_index = 1> (rows)
    right = Add (last_column, one)
    bottom = Add (last_row, one)
    corners = Concat <axis = 1> (left, top, right, bottom)
    box = Cast <to = 1> (corners)
    score = ReduceMax <axes = [1], keepdims = 1> (columns)
    row = Concat <axis = 1> (box, score)
    dets = Unsqueeze (row, first)
}
"""

_BRIGHT_PIXELS = """
<ir_version: 9, opset_import: ["" : 17]>
bright_pixels (float[1, 3, height, width] image) => (float[1, 2, height, width] logits) {
    threshold = Constant <value = float {THRESHOLD}> ()
    grey = ReduceMean <axes = [1], keepdims = 1> (image)
    bright = Sub (grey, threshold)
    dark = Neg (bright)
    logits = Concat <axis = 1> (dark, bright)
}
"""

_TEXTURE = """
<ir_version: 9, opset_import: ["" : 17]>
texture (float[1, 3, height, width] image) => (float[1, 2] scores) {
    threshold = Constant <value = float {THRESHOLD}> ()
    zero = Constant <value = int64[1] {0}> ()
    one = Constant <value = int64[1] {1}> ()
    last = Constant <value = int64[1] {-1}> ()
    end = Constant <value = int64[1] {100000}> ()
    axis = Constant <value = int64[1] {3}> ()
    left = Slice (image, zero, last, axis)
    right = Slice (image, one, end, axis)
    step = Sub (right, left)
    size = Abs (step)
    mean = ReduceMean <axes = [2, 3], keepdims = 0> (size)
    grey = ReduceMean <axes = [1], keepdims = 1> (mean)
    textured = Sub (grey, threshold)
    smooth = Neg (textured)
    scores = Concat <axis = 1> (smooth, textured)
}
"""


def parsed(path: Path, text: str) -> Path:
    """Write a model given in ONNX's textual form."""
    model = onnx.parser.parse_model(text)
    onnx.checker.check_model(model)
    onnx.save(model, path)
    return path


def bright_box(path: Path, threshold: float = 110.0) -> Path:
    """A detector of any size: one box around all that is bright, as mmdeploy gives boxes."""
    return parsed(path, _BRIGHT_BOX.replace("THRESHOLD", str(float(threshold))))


def bright_pixels(path: Path, threshold: float = 110.0) -> Path:
    """A segmenter of any size: class 1 where it is bright, 0 elsewhere."""
    return parsed(path, _BRIGHT_PIXELS.replace("THRESHOLD", str(float(threshold))))


def texture(path: Path, threshold: float) -> Path:
    """A classifier of any size: 1 where neighbouring pixels differ by more on average, else 0."""
    return parsed(path, _TEXTURE.replace("THRESHOLD", str(float(threshold))))


def constant(path: Path, size: tuple[int, int], **outputs: np.ndarray) -> Path:
    """A model of a fixed input size whose outputs do not depend on the image."""
    image = helper.make_tensor_value_info("image", onnx.TensorProto.FLOAT, [1, 3, *size])
    nodes = [
        helper.make_node("Constant", [], [name], value=numpy_helper.from_array(value, f"{name}_"))
        for name, value in outputs.items()
    ]
    infos = [
        helper.make_tensor_value_info(
            name, helper.np_dtype_to_tensor_dtype(value.dtype), value.shape
        )
        for name, value in outputs.items()
    ]
    graph = helper.make_graph(nodes, "constant", [image], infos)
    opset = helper.make_opsetid("", 17)
    onnx.save(helper.make_model(graph, opset_imports=[opset], ir_version=9), path)
    return path


def detector_config(folder: Path, root: Path, model: str = "", data: str = "") -> Path:
    """A config for :func:`bright_box` on a set of ``toysets.write_coco``, with further settings."""
    path = folder / "onnx_toy.py"
    path.write_text(
        "model = dict(type='OnnxDetector', decode='boxes', channel_order='rgb', classes=['box'])\n"
        f"data = dict(type='coco', data_root={str(root)!r}, ann_file='annotations/val.json',"
        f" images='val')\nmodel.update(dict({model}))\ndata.update(dict({data}))\n"
    )
    return path


def segmenter_config(folder: Path, root: Path, model: str = "", data: str = "") -> Path:
    """A config for :func:`bright_pixels` on a set of ``toysets.write_voc``, likewise."""
    path = folder / "onnx_toy.py"
    path.write_text(
        "model = dict(type='OnnxSegmentor', decode='logits', channel_order='rgb',"
        " classes=['dark', 'bright'])\n"
        f"data = dict(type='masks', data_root={str(root)!r}, images='JPEGImages',"
        " masks='SegmentationClass', split='ImageSets/val.txt', image_suffix='.png',"
        f" classes=['dark', 'bright'])\nmodel.update(dict({model}))\ndata.update(dict({data}))\n"
    )
    return path


def classifier_config(
    folder: Path, data: str, model: str = "classes=['smooth', 'textured']"
) -> Path:
    """A config for :func:`texture` on a set of classes."""
    path = folder / "onnx_toy.py"
    path.write_text(
        f"model = dict(dict(type='OnnxClassifier', channel_order='rgb'), {model})\n"
        f"data = dict({data})\n"
    )
    return path
