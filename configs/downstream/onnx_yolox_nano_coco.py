"""YOLOX-nano as an ONNX file under onnxruntime, on COCO val2017; no mmcv, mmdet or mmseg needed.

Weights for it: ``yolox_nano.onnx`` as YOLOX's own export gives it, 416x416. The settings that a
model of yours may need are those of ``InputSettings`` (jpeg_preproc/evaluation/onnx/inputs.py), of
the decodings (decode.py) and of the test sets (settings.py).
"""

model = dict(
    type="OnnxDetector",
    decode=dict(type="yolox", strides=(8, 16, 32), decoded=False),
    input_size=(416, 416),  # height, width
    keep_ratio=True,
    pad="corner",
    pad_value=114,
    mean=0,
    std=1,
    channel_order="bgr",
    score_threshold=0.01,
    nms=dict(iou=0.65),
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
