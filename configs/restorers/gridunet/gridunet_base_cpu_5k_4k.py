"""GridUNet, the shipped weights `base`, second stage: two CPU cores, about an hour.

Goes on from the first stage's weights with more of the low quality factors that cost downstream
models most. JPEG_PREPROC_STAGE1 names them; the default is where tools/train.py leaves them.
"""

_base_ = ["gridunet_base_cpu_5k.py"]

max_iters = 4000

model = dict(
    weights="{{$JPEG_PREPROC_STAGE1:work_dirs/gridunet_base_cpu_5k/base.safetensors}}",
)
train_dataloader = dict(
    dataset=dict(
        # Crops that the first stage did not see.
        seed=1,
        coding=dict(qf_ranges=[(5, 30, 0.5), (31, 60, 0.25), (61, 98, 0.25)]),
    )
)
train_cfg = dict(max_iters=max_iters)
optim_wrapper = dict(optimizer=dict(lr=6e-4))
param_scheduler = [
    dict(type="LinearLR", start_factor=0.05, by_epoch=False, begin=0, end=150),
    dict(
        type="CosineAnnealingLR",
        by_epoch=False,
        begin=150,
        end=max_iters,
        T_max=max_iters - 150,
        eta_min_ratio=0.005,
    ),
]
