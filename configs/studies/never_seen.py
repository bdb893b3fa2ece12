"""Three detectors and three segmenters that no shipped weights were trained with, and their means.

How to come by the five ONNX files is written in their configs; where they lie is for --cfg-options
to say, as in _base_/small_models.py.
"""

_base_ = "_base_/small_models.py"

title = "What restoring gives models it has never seen"
models = dict(
    _delete_=True,
    picodet_s=dict(
        config="../downstream/onnx_picodet_s_coco.py",
        checkpoint="checkpoints/picodet_s_416_coco.onnx",
        datasets=["coco"],
    ),
    nanodet_g=dict(
        config="../downstream/onnx_nanodet_coco.py",
        checkpoint="checkpoints/nanodet.onnx",
        datasets=["coco"],
    ),
    centernet=dict(
        config="../downstream/onnx_centernet_coco.py",
        checkpoint="checkpoints/centernet.onnx",
        datasets=["coco"],
    ),
    dicenet_100=dict(
        config="../downstream/onnx_dicenet_voc.py",
        checkpoint="checkpoints/dicenet_1.0.onnx",
        datasets=["voc"],
    ),
    dicenet_125=dict(
        config="../downstream/onnx_dicenet_voc.py",
        checkpoint="checkpoints/dicenet_1.25.onnx",
        datasets=["voc"],
    ),
    deeplabv3_mnv2={{_base_.models.deeplabv3_mnv2}},
)
corruptions = [f"jpeg:{qf}" for qf in (10, 20, 40)]
restorers = ["small-task", "nano-task", "base-task"]
