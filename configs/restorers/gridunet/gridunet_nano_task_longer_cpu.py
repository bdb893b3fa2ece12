"""GridUNet, the weights `nano-task`: as gridunet_small_task_longer_cpu.py, from third `nano`."""

_base_ = ["gridunet_small_task_longer_cpu.py"]

model = dict(preset="nano", weights="nano")
weights_name = "nano-task"
