"""DAGN, tiny, whole, on the short schedule that the ablations of Table V share."""

_base_ = ["dagn_tiny_cpu_5k.py"]

train_cfg = dict(max_iters=2000, val_interval=500)
param_scheduler = [
    dict(type="LinearLR", start_factor=0.05, by_epoch=False, begin=0, end=100),
    dict(
        type="CosineAnnealingLR",
        by_epoch=False,
        begin=100,
        end=2000,
        T_max=1900,
        eta_min_ratio=0.005,
    ),
]
weights_name = "dagn-tiny-full"
