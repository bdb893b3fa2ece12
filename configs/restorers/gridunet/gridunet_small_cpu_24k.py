"""GridUNet, the shipped weights `small`."""

_base_ = ["../../_base_/muon_24k.py"]

model = dict(type="RestorationModel", restorer="GridUNet", preset="small")
weights_name = "small"
