"""As gridunet_base_task_cpu_2k.py, DeepLabV3-MobileNetV2 alone; judge it on COCO (YOLOX-nano)."""

_base_ = ["gridunet_base_task_cpu_2k.py"]

model = dict(task=dict(networks=dict(_delete_=True, deeplab=_base_.model.task.networks.deeplab)))
weights_name = "base-task-deeplab"
