"""GridUNet, a second `nano-task`, as gridunet_small_task_histories_cpu.py.

What came of it is not shipped: it gains on files that were saved again and loses at QF 20.
"""

_base_ = ["gridunet_small_task_histories_cpu.py"]

model = dict(preset="nano", weights="nano")
weights_name = "nano-task"
