"""GridUNet, the first generation of `small-task`: as gridunet_base_task_cpu_2k.py."""

_base_ = ["gridunet_base_task_cpu_2k.py"]

model = dict(preset="small", weights="small")
weights_name = "small-task"
