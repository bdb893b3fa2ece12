"""D2LNet (Yang et al., ICONIP 2023) for quality factor 10.

The paper implies one model for each quality. It names the data, the crops and Adam's betas; batch,
rate and length are ours.
"""

_base_ = ["../../_base_/div2k_flickr2k.py"]

model = dict(type="D2LNetModel", restorer="D2LNet", preset="paper", alpha=0.05)
train_dataloader = dict(
    batch_size=4,
    dataset=dict(
        crop=256,
        coding=dict(qf_ranges=[(10, 10, 1.0)]),
    ),
)
val_dataloader = dict(dataset=dict(qfs=[10]))
train_cfg = dict(type="IterBasedTrainLoop", max_iters=300_000, val_interval=10_000)
optim_wrapper = dict(type="OptimWrapper", optimizer=dict(type="Adam", lr=2e-4, betas=(0.9, 0.999)))
param_scheduler = [dict(type="CosineAnnealingLR", by_epoch=False, T_max=300_000, eta_min=1e-6)]
weights_name = "d2lnet-paper-qf10"
