"""Is it better to train the detector on JPEG, to restore its images, or both?

YOLOX-nano as it is and fine-tuned, each on JPEG as it is and restored, on the demo's photographs.
``docs/rival.md`` tells how the second checkpoint is made. Run it from the repository's root, or say
where the checkpoints lie: ``--cfg-options models.yolox_nano.checkpoint=PATH``. For all of COCO
val2017, replace ``models.yolox_nano.config`` and ``models.yolox_nano_jpeg.config`` by
``../downstream/yolox_nano_coco.py``, and ``datasets.photos.data_root`` by its root.
"""

title = "Trained on JPEG, restored, or both"
datasets = dict(photos={})
models = dict(
    yolox_nano=dict(
        config="../../jpeg_preproc/demo/configs/yolox_nano.py",
        checkpoint="jpeg_preproc/demo/weights/yolox_nano.pth",
        datasets=["photos"],
    ),
    yolox_nano_jpeg=dict(
        config="../../jpeg_preproc/demo/configs/yolox_nano.py",
        checkpoint="work_dirs/yolox_nano_coco_jpeg/iter_300.pth",
        datasets=["photos"],
    ),
)
corruptions = ["jpeg:10", "jpeg:20", "jpeg:40"]
restorers = ["small-task"]
compare = dict(rivals=dict(yolox_nano_jpeg="yolox_nano"))
