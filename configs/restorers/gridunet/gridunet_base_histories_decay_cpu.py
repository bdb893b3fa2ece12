"""GridUNet `base`: the end of gridunet_base_histories_cpu.py, down to nothing on larger crops.

JPEG_PREPROC_WEIGHTS names what that training has written; without it, this goes on from what is
shipped. The pixels of a step are as many: 2 crops of 192 × 192 instead of 8 of 96 × 96.
"""

_base_ = ["gridunet_base_histories_cpu.py"]

max_iters = 7000
warm_up = 100

model = dict(weights="{{$JPEG_PREPROC_WEIGHTS:base}}")
train_dataloader = dict(
    batch_size=2, dataset=dict(seed=3, crop=192, coding=dict(double=0.15, resized=0.12))
)
train_cfg = dict(max_iters=max_iters, val_interval=3500)
optim_wrapper = dict(optimizer=dict(lr=3.5e-4))
param_scheduler = [
    dict(type="LinearLR", start_factor=0.05, by_epoch=False, begin=0, end=warm_up),
    dict(
        type="LinearLR",
        start_factor=1.0,
        end_factor=0.01,
        by_epoch=False,
        begin=warm_up,
        end=max_iters,
    ),
]
weights_name = "base"
