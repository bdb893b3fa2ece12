"""GridUNet, the weights `small-task`, trained on: gridunet_small_task_histories_cpu.py for longer.

7,500 steps instead of 2,500, from the third generation of `small`.
"""

_base_ = ["gridunet_small_task_histories_cpu.py"]

max_iters = 7500

train_dataloader = dict(dataset=dict(seed=10))
train_cfg = dict(max_iters=max_iters, val_interval=2500)
param_scheduler = [
    _base_.param_scheduler[0],
    dict(_base_.param_scheduler[1], end=max_iters),
]
