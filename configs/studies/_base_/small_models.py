"""A small detector on COCO and a small segmenter on VOC, whose weights anyone can get.

Where checkpoints and data lie is for --cfg-options to say, such as
``models.yolox_nano.checkpoint=PATH`` and ``datasets.coco.data_root=PATH``.
"""

datasets = dict(
    coco=dict(data_root="data/coco"),
    voc=dict(data_root="data/VOCdevkit/VOC2012"),
)
models = dict(
    # Configs lie relative to the study that is run, not to this file.
    yolox_nano=dict(
        config="../downstream/yolox_nano_coco.py",
        checkpoint="checkpoints/yolox_nano.pth",
        datasets=["coco"],
    ),
    deeplabv3_mnv2=dict(
        config="../downstream/deeplabv3_mnv2_voc.py",
        checkpoint="checkpoints/deeplabv3_mnv2.pth",
        datasets=["voc"],
    ),
)
