"""GridUNet `small`, taught by `base` for longer: 12,000 steps at the flat rate.

gridunet_small_longer_decay_cpu.py goes on with what this writes, as base's two configs do.
"""

_base_ = ["gridunet_small_histories_cpu.py"]

max_iters = 12000

train_dataloader = dict(dataset=dict(seed=6))
train_cfg = dict(max_iters=max_iters, val_interval=4000)
param_scheduler = [
    _base_.param_scheduler[0],
    dict(_base_.param_scheduler[1], begin=max_iters // 4, end=max_iters, end_factor=0.5),
]
