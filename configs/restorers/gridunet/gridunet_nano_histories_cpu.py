"""GridUNet `nano`, taught by `base`: as gridunet_small_histories_cpu.py, in half the steps."""

_base_ = ["gridunet_small_histories_cpu.py"]

max_iters = 5000

model = dict(preset="nano", weights="nano")
train_cfg = dict(max_iters=max_iters)
param_scheduler = [
    _base_.param_scheduler[0],
    dict(_base_.param_scheduler[1], begin=max_iters // 4, end=max_iters),
]
weights_name = "nano"
weights_strength = dict(_delete_=True, **_base_.gentle_strength)
