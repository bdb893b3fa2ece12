"""GridUNet, the weights `small-task`, trained on: as gridunet_base_task_histories_cpu.py.

Half of its pixel loss is towards what `base-task` makes of the same image. JPEG_PREPROC_TEACHER
names another teacher's file.
"""

_base_ = ["gridunet_base_task_histories_cpu.py"]

max_iters = 2500

model = dict(
    preset="small",
    weights="small",
    teacher=dict(weights="{{$JPEG_PREPROC_TEACHER:base-task}}", share=0.5),
)
train_cfg = dict(max_iters=max_iters)
param_scheduler = [
    _base_.param_scheduler[0],
    dict(_base_.param_scheduler[1], end=max_iters),
]
weights_name = "small-task"
