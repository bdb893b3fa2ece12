"""NanoDet as an ONNX file under onnxruntime, on COCO val2017; no mmcv, mmdet or mmseg needed.

Weights for it: a NanoDet of 416 x 416 exported without its post-processing, with three strides and
class scores and distributions of 11 distances at each, as NanoDet-g has them.
"""

_base_ = ["onnx_picodet_s_coco.py"]

model = dict(decode=dict(strides=(8, 16, 32), bins=11))
