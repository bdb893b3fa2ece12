"""AGARNet, tiny: both branches under both losses, on luma, on two CPU cores."""

_base_ = ["../../_base_/cpu_5k.py"]

model = dict(type="AGARNetModel", restorer="AGARNet", preset="tiny")
train_dataloader = dict(dataset=dict(luma=True))
val_dataloader = dict(dataset=dict(luma=True))
weights_name = "agarnet-tiny-told"
