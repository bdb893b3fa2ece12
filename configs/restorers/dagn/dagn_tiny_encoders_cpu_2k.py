"""DAGN, tiny, stage 1: the two encoders, on two CPU cores."""

_base_ = ["../../_base_/cpu_5k.py"]

model = dict(type="DAGNAutoEncoders", preset="tiny", decoder_width=64)
train_dataloader = dict(dataset=dict(coding=dict(qf_ranges=[(10, 95, 1.0)])))
val_dataloader = None
val_evaluator = None
val_cfg = None
train_cfg = dict(_delete_=True, type="IterBasedTrainLoop", max_iters=2000)
optim_wrapper = dict(
    _delete_=True,
    constructor="AdversarialOptimizers",
    type="OptimWrapper",
    optimizer=dict(type="Adam", lr=5e-4),
    clip_grad=dict(max_norm=1.0),
)
# A tenth at a third and at two thirds, as the paper's 15 epochs have it.
param_scheduler = [dict(type="MultiStepLR", by_epoch=False, milestones=[667, 1333], gamma=0.1)]
default_hooks = dict(checkpoint=dict(save_best=None))
custom_hooks = [dict(type="StopOnNanHook"), dict(type="SaveEncodersHook")]
