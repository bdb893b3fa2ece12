"""GridUNet, the shipped weights `base`."""

_base_ = ["../../_base_/muon_24k.py"]

model = dict(type="RestorationModel", restorer="GridUNet", preset="base")
weights_name = "base"
