"""CenterNet as an ONNX file under onnxruntime, on COCO val2017; no mmcv, mmdet or mmseg needed.

Weights for it: a CenterNet of 512 x 512 that takes RGB from 0 to 255, channels last, and gives one
output (1, K, 6): left, top, right, bottom, score, label of its K highest peaks.
"""

_base_ = ["onnx_yolox_nano_coco.py"]

model = dict(
    decode=dict(_delete_=True, type="boxes"),
    input_size=(512, 512),
    keep_ratio=False,
    pad="none",
    layout="NHWC",
    channel_order="rgb",
    score_threshold=0.025,
    nms=None,  # peaks are apart already
)
