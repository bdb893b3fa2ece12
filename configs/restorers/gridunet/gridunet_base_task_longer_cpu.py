"""GridUNet, the weights `base-task`, trained on: gridunet_base_task_histories_cpu.py for longer.

6,000 steps instead of 3,000. JPEG_PREPROC_WEIGHTS names the weights to go on from.
"""

_base_ = ["gridunet_base_task_histories_cpu.py"]

max_iters = 6000

model = dict(weights="{{$JPEG_PREPROC_WEIGHTS:base}}")
train_dataloader = dict(dataset=dict(seed=13))
train_cfg = dict(max_iters=max_iters, val_interval=2000)
param_scheduler = [
    _base_.param_scheduler[0],
    dict(_base_.param_scheduler[1], end=max_iters),
]
