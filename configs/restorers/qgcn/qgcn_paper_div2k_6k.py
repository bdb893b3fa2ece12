"""QGCN as its authors trained it (Li et al., TIP 2020): 50 epochs of about 120 steps of 256.

Their epoch is a pass over patch files whose number is not known; 120 steps are our reckoning.
"""

_base_ = ["../../_base_/div2k.py"]

model = dict(type="RestorationModel", restorer="QGCN", preset="paper", loss="l1")
train_dataloader = dict(
    batch_size=256, dataset=dict(crop=64, coding=dict(qf_ranges=[(1, 60, 1.0)]))
)
train_cfg = dict(type="IterBasedTrainLoop", max_iters=6000, val_interval=600)
optim_wrapper = dict(type="OptimWrapper", optimizer=dict(type="Adam", lr=1e-4))
# A tenth every 20 epochs.
param_scheduler = [dict(type="MultiStepLR", by_epoch=False, milestones=[2400, 4800], gamma=0.1)]
weights_name = "qgcn-paper"
