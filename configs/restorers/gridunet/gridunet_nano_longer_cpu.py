"""GridUNet `nano`, taught by `base` for longer: 16,000 steps at the flat rate.

gridunet_nano_longer_decay_cpu.py goes on with what this writes, as base's two configs do.
"""

_base_ = ["gridunet_nano_histories_cpu.py"]

max_iters = 16000

train_dataloader = dict(dataset=dict(seed=8))
train_cfg = dict(max_iters=max_iters, val_interval=4000)
param_scheduler = [
    _base_.param_scheduler[0],
    dict(_base_.param_scheduler[1], begin=max_iters // 4, end=max_iters, end_factor=0.5),
]
