"""As gridunet_base_task_cpu_2k.py, YOLOX-nano alone; judge it on VOC (DeepLabV3-MobileNetV2)."""

_base_ = ["gridunet_base_task_cpu_2k.py"]

model = dict(task=dict(networks=dict(_delete_=True, yolox=_base_.model.task.networks.yolox)))
weights_name = "base-task-yolox"
