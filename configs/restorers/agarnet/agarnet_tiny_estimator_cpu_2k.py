"""AGARNet, tiny: its quality estimator, on top of the branches that agarnet_tiny_cpu_5k.py trained.

JPEG_PREPROC_STAGE1 names their weights; the default is where tools/train.py leaves them.
"""

_base_ = ["../../_base_/cpu_5k.py"]

model = dict(
    type="AGARNetEstimatorModel",
    restorer="AGARNet",
    preset="tiny",
    weights="{{$JPEG_PREPROC_STAGE1:work_dirs/agarnet_tiny_cpu_5k/agarnet-tiny-told.safetensors}}",
)
train_dataloader = dict(dataset=dict(luma=True, crop=128, coding=dict(qf_ranges=[(1, 100, 1.0)])))
val_dataloader = dict(dataset=dict(luma=True))
train_cfg = dict(max_iters=2000, val_interval=1000)
param_scheduler = [
    dict(type="LinearLR", start_factor=0.05, by_epoch=False, begin=0, end=50),
    dict(
        type="CosineAnnealingLR", by_epoch=False, begin=50, end=2000, T_max=1950, eta_min_ratio=0.01
    ),
]
weights_name = "agarnet-tiny"
