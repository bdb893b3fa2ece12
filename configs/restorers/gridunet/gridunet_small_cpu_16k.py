"""GridUNet, the weights `small`: as `base` and `nano`, but 16,000 steps, 75 minutes of one core."""

_base_ = ["../../_base_/muon_24k.py"]

max_iters = 16000
model = dict(type="RestorationModel", restorer="GridUNet", preset="small")
train_cfg = dict(max_iters=max_iters)
param_scheduler = [
    _base_.param_scheduler[0],
    dict(_base_.param_scheduler[1], begin=max_iters // 2, end=max_iters),
]
weights_name = "small"
