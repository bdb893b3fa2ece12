"""PicoDet-S as an ONNX file under onnxruntime, on COCO val2017; no mmcv, mmdet or mmseg needed.

Weights for it: PicoDet-S as exported without its post-processing, of 416 x 416 or, with
``--cfg-options model.input_size=320,320``, of 320 x 320: class scores and distributions of
distances at four strides.
"""

_base_ = ["onnx_yolox_nano_coco.py"]

model = dict(
    decode=dict(_delete_=True, type="gfl", strides=(8, 16, 32, 64), bins=8, offset=0.5),
    keep_ratio=False,
    pad="none",
    mean=(103.53, 116.28, 123.675),
    std=(57.375, 57.12, 58.395),
    score_threshold=0.025,
    nms=dict(iou=0.6),
)
