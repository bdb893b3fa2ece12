"""PicoDet-S as an ONNX file under onnxruntime, on COCO val2017; no mmcv, mmdet or mmseg needed.

Weights for it: PicoDet-S as exported without its post-processing, of 416 x 416 or, with
``--cfg-options model.input_size=320,320``, of 320 x 320: class scores and distributions of
distances at four strides.
"""

model = dict(
    type="OnnxDetector",
    decode=dict(type="gfl", strides=(8, 16, 32, 64), bins=8, offset=0.5),
    input_size=(416, 416),  # height, width
    keep_ratio=False,
    pad="none",
    mean=(103.53, 116.28, 123.675),
    std=(57.375, 57.12, 58.395),
    channel_order="bgr",
    score_threshold=0.025,
    nms=dict(iou=0.6),
    # Exactly as the annotation file names its categories, in the order of the model's labels.
    classes=(
        *("person", "bicycle", "car", "motorcycle", "airplane", "bus", "train", "truck", "boat"),
        *("traffic light", "fire hydrant", "stop sign", "parking meter", "bench", "bird", "cat"),
        *("dog", "horse", "sheep", "cow", "elephant", "bear", "zebra", "giraffe", "backpack"),
        *("umbrella", "handbag", "tie", "suitcase", "frisbee", "skis", "snowboard"),
        *("sports ball", "kite", "baseball bat", "baseball glove", "skateboard", "surfboard"),
        *("tennis racket", "bottle", "wine glass", "cup", "fork", "knife", "spoon", "bowl"),
        *("banana", "apple", "sandwich", "orange", "broccoli", "carrot", "hot dog", "pizza"),
        *("donut", "cake", "chair", "couch", "potted plant", "bed", "dining table", "toilet"),
        *("tv", "laptop", "mouse", "remote", "keyboard", "cell phone", "microwave", "oven"),
        *("toaster", "sink", "refrigerator", "book", "clock", "vase", "scissors"),
        *("teddy bear", "hair drier", "toothbrush"),
    ),
)

data = dict(
    type="coco",
    data_root="data/coco",  # --data-root of tools/eval_downstream.py replaces it
    ann_file="annotations/instances_val2017.json",
    images="val2017",
)
