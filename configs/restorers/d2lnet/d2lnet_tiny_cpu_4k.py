"""D2LNet, tiny: the paper's three losses, on two CPU cores.

One model for QF 5-65, where the paper has one for each of three qualities. A step takes twice as
long as those of the other tiny presets, so it has 4 crops, as in our paper configs, not 8.
"""

_base_ = ["../../_base_/cpu_5k.py"]

model = dict(type="D2LNetModel", restorer="D2LNet", preset="tiny", alpha=0.05)
train_dataloader = dict(batch_size=4)
train_cfg = dict(max_iters=4000)
param_scheduler = [
    dict(type="LinearLR", start_factor=0.05, by_epoch=False, begin=0, end=150),
    dict(
        type="CosineAnnealingLR",
        by_epoch=False,
        begin=150,
        end=4000,
        T_max=3850,
        eta_min_ratio=0.005,
    ),
]
weights_name = "d2lnet-tiny"
