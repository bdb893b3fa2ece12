"""GridUNet `base`, tuned for what a detector and a segmenter see in its images.

As gridunet_base_task_cpu_2k.py, with the backbones of two models of mmdet and mmseg for the
classifier; put yours in their place. Their checkpoints are looked for in ``models`` of the data
folder. What comes out says nothing about the models that it was trained with: judge it on others.
"""

_base_ = ["gridunet_base_task_cpu_2k.py"]

custom_imports = dict(
    imports=[*_base_.custom_imports.imports, "jpeg_preproc.openmmlab.training.features"],
    allow_failed_imports=False,
)

model = dict(
    task=dict(
        networks=dict(
            _delete_=True,
            yolox=dict(
                type="OpenMMLabFeatures",
                config="{{fileDirname}}/../../downstream/yolox_nano_coco.py",
                checkpoint=f"{_base_.data_root}/models/yolox_nano_mmdet.pth",
            ),
            deeplab=dict(
                type="OpenMMLabFeatures",
                config="{{fileDirname}}/../../downstream/deeplabv3_mnv2_voc.py",
                checkpoint=f"{_base_.data_root}/models/deeplabv3_mnv2_mmseg.pth",
            ),
        ),
    ),
)
weights_name = "base-task-openmmlab"
