"""AGARNet, tiny: both branches under both losses, on luma, on two CPU cores.

A step takes half as long again as those of the other tiny presets, so it has 4 crops, not 8.
"""

_base_ = ["../../_base_/cpu_5k.py"]

model = dict(type="AGARNetModel", restorer="AGARNet", preset="tiny")
train_dataloader = dict(batch_size=4, dataset=dict(luma=True))
val_dataloader = dict(dataset=dict(luma=True))
weights_name = "agarnet-tiny-told"
