"""ResNet-50 as an ONNX file under onnxruntime, on ImageNet's validation images in their folders.

Weights for it: what ``torchvision.models.resnet50`` gives exported, from the normalised image
(1, 3, 224, 224) to scores (1, 1000). Its classes are those of the folders in alphabetical order, as
ImageNet numbers its own; with ``type="list"`` and an ``ann_file`` of lines ``path class``, images
may lie anywhere below ``images``, and ``model.classes`` names them.
"""

model = dict(
    type="OnnxClassifier",
    decode=dict(type="scores"),
    shorter_side=256,
    input_size=(224, 224),  # height, width; cut out of the centre
    antialias=True,
    mean=(123.675, 116.28, 103.53),
    std=(58.395, 57.12, 57.375),
    channel_order="rgb",
)

data = dict(type="folders", data_root="data/imagenet", images="val")
