"""DeepLabV3 with MobileNetV2 as an ONNX file under onnxruntime, on PASCAL VOC 2012 val.

Weights for it: what mmseg's network of ``deeplabv3_mnv2_voc.py`` gives exported, from the
normalised image (1, 3, 513, 513) to logits (1, 21, h, w).
"""

model = dict(
    type="OnnxSegmentor",
    decode=dict(type="logits", align_corners=True),
    input_size=(513, 513),  # height, width
    pad="corner",
    pad_value=128,
    mean=128,
    std=128,
    channel_order="rgb",
    classes=(
        *("background", "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat"),
        *("chair", "cow", "diningtable", "dog", "horse", "motorbike", "person", "pottedplant"),
        *("sheep", "sofa", "train", "tvmonitor"),
    ),
)

# "masks" instead of "voc" takes any two folders: images, masks and classes.
data = dict(type="voc", data_root="data/VOCdevkit/VOC2012")
