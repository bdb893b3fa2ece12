"""Table IV of the DAGN paper: a detector and a segmenter at QF 10 to 40, restored.

AR-CNN has one set of weights for each quality: those of its authors, converted with
``jpeg_preproc.restorers.arcnn.from_official`` and ``save_weights``. DAGN's authors have published
none; ``dagn-tiny`` is our small one. A study with this as its ``_base_`` may list others.
"""

title = "DAGN's Table IV: detection and segmentation at QF 10 to 40"
datasets = dict(
    coco=dict(data_root="data/coco"),
    voc=dict(data_root="data/VOCdevkit/VOC2012"),
)
models = dict(
    faster_rcnn_r50=dict(
        config="../downstream/faster_rcnn_r50_coco.py",
        checkpoint="checkpoints/faster_rcnn_r50_fpn_1x_coco.pth",
        datasets=["coco"],
    ),
    pspnet_r101=dict(
        config="../downstream/pspnet_r101_voc.py",
        checkpoint="checkpoints/pspnet_r101-d8_512x512_20k_voc12aug.pth",
        datasets=["voc"],
    ),
)
corruptions = ["jpeg:10", "jpeg:20", "jpeg:30", "jpeg:40"]
restorers = [
    dict(
        name="arcnn",
        weights={
            "jpeg:10": "checkpoints/arcnn_q10.safetensors",
            "jpeg:20": "checkpoints/arcnn_q20.safetensors",
            "jpeg:30": "checkpoints/arcnn_q30.safetensors",
            "jpeg:40": "checkpoints/arcnn_q40.safetensors",
        },
    ),
    "dagn-tiny",
    "small-task",
    "base-task",
]
compare = dict(baseline="arcnn")
