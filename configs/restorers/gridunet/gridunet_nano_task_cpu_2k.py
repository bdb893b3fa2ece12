"""GridUNet, the weights `nano-task`: as gridunet_base_task_cpu_2k.py."""

_base_ = ["gridunet_base_task_cpu_2k.py"]

model = dict(preset="nano", weights="nano")
weights_name = "nano-task"
