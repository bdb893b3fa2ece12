"""The estimator of quality_estimator_cpu_6k.py, which goes on: it is told what files claim.

It goes on from the shipped one, or from the file that JPEG_PREPROC_ESTIMATOR names.
"""

_base_ = ["quality_estimator_cpu_6k.py"]

max_iters = 4000

model = dict(weights="{{$JPEG_PREPROC_ESTIMATOR:shipped}}")
train_cfg = dict(max_iters=max_iters)
optim_wrapper = dict(optimizer=dict(lr=1e-3))
param_scheduler = [
    _base_.param_scheduler[0],
    dict(_base_.param_scheduler[1], end=max_iters, T_max=max_iters - 100),
]
