"""GridUNet `small`, taught by `base`, on: files that were cropped, resized or saved again.

Goes on from the shipped weights, at first as gridunet_base_histories_cpu.py and then down to
nothing; most of the loss is towards what `base` makes of the same image.
"""

_base_ = ["gridunet_base_histories_cpu.py"]

max_iters = 10000

model = dict(preset="small", weights="small", teacher=dict(weights="base", share=0.7))
train_cfg = dict(max_iters=max_iters)
optim_wrapper = dict(optimizer=dict(lr=1e-3))
param_scheduler = [
    _base_.param_scheduler[0],
    dict(_base_.param_scheduler[1], begin=max_iters // 4, end=max_iters, end_factor=0.01),
]
weights_name = "small"
