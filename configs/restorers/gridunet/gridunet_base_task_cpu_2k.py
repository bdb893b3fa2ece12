"""GridUNet, the weights `base` tuned for what downstream networks see: half an hour on a CPU.

Goes on from the shipped weights with the loss on the features of two frozen networks beside the
pixel loss. Their checkpoints are looked for in ``models`` of the data folder. A variant says
nothing about the networks that it was trained with: the ones of gridunet_base_task_yolox_cpu_2k.py
and gridunet_base_task_deeplab_cpu_2k.py are there to be judged on the respective other one.
"""

_base_ = ["gridunet_base_cpu_24k.py"]

custom_imports = dict(
    imports=[*_base_.custom_imports.imports, "jpeg_preproc.openmmlab.features"],
    allow_failed_imports=False,
)
max_iters = 2000

model = dict(
    weights="base",
    task=dict(
        # The gradient of either network's loss is then about as long as the pixel loss's, at the
        # restorer's weights: 1.03 (YOLOX) and 0.77 times (DeepLab), three batches, weights `base`.
        # At its output it is 1.1 to 1.9 times, much the same from QF 10 to 80.
        weight=0.01,
        networks=dict(
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
# Crops that the weights were not trained on.
train_dataloader = dict(dataset=dict(seed=1))
train_cfg = dict(max_iters=max_iters, val_interval=500)
optim_wrapper = dict(optimizer=dict(lr=1e-4))
param_scheduler = [
    dict(_base_.param_scheduler[0], end=100),
    dict(_base_.param_scheduler[1], begin=max_iters // 2, end=max_iters),
]
weights_name = "base-task"
