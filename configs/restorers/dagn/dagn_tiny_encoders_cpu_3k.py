"""DAGN, tiny, stage 1: the two encoders, on two CPU cores."""

_base_ = ["../../_base_/cpu_5k.py"]

# With eq. 9's L1 the predictor calls everything clean from the first hundred steps on (a loss of
# 1.0000, half of the images being clean) and the encoder learns nothing of quality.
model = dict(type="DAGNAutoEncoders", preset="tiny", decoder_width=64, quality="cross_entropy")
train_dataloader = dict(dataset=dict(coding=dict(qf_ranges=[(10, 95, 1.0)])))
val_dataloader = None
val_evaluator = None
val_cfg = None
train_cfg = dict(_delete_=True, type="IterBasedTrainLoop", max_iters=3000)
optim_wrapper = dict(
    _delete_=True,
    constructor="AdversarialOptimizers",
    type="OptimWrapper",
    optimizer=dict(type="Adam", lr=5e-4),
    clip_grad=dict(max_norm=1.0),
)
# The paper's steps to a tenth at one and two thirds leave too little of 3,000 steps.
param_scheduler = [dict(type="CosineAnnealingLR", by_epoch=False, T_max=3000, eta_min_ratio=0.01)]
default_hooks = dict(checkpoint=dict(save_best=None))
custom_hooks = [dict(type="StopOnNanHook"), dict(type="SaveEncodersHook")]
