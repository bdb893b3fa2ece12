"""AGARNet (Kim et al., IEEE Access 2020): both branches under both losses.

Nothing of the paper's training is known but the two losses' names; all else is ours.
"""

_base_ = ["../../_base_/div2k.py"]

model = dict(type="AGARNetModel", restorer="AGARNet", preset="paper")
train_dataloader = dict(
    batch_size=16,
    dataset=dict(
        luma=True,
        crop=128,
        # Half of the draws from 10, 20, ..., 80, which the result table covers.
        coding=dict(
            qf_ranges=[(1, 95, 0.5), *[(qf, qf, 0.0625) for qf in range(10, 90, 10)]],
        ),
    ),
)
val_dataloader = dict(dataset=dict(luma=True))
train_cfg = dict(type="IterBasedTrainLoop", max_iters=300_000, val_interval=10_000)
optim_wrapper = dict(type="OptimWrapper", optimizer=dict(type="Adam", lr=1e-4))
param_scheduler = [dict(type="StepLR", by_epoch=False, step_size=60_000, gamma=0.5)]
weights_name = "agarnet-paper-told"
