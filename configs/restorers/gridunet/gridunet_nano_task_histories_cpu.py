"""GridUNet, the weights `nano-task`, trained on: as gridunet_small_task_histories_cpu.py."""

_base_ = ["gridunet_small_task_histories_cpu.py"]

model = dict(preset="nano", weights="nano")
weights_name = "nano-task"
