"""GridUNet `nano`, taught by `base`: as gridunet_small_longer_cpu.py, for 16,000 steps."""

_base_ = ["gridunet_small_longer_cpu.py"]

max_iters = 16000

model = dict(preset="nano", weights="nano")
train_dataloader = dict(dataset=dict(seed=8))
train_cfg = dict(max_iters=max_iters)
param_scheduler = [
    _base_.param_scheduler[0],
    dict(_base_.param_scheduler[1], begin=max_iters // 4, end=max_iters),
]
weights_name = "nano"
weights_strength = dict(_delete_=True, **_base_.gentle_strength)
