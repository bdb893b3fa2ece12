"""GridUNet, the shipped weights `nano`."""

_base_ = ["../../_base_/muon_24k.py"]

model = dict(type="RestorationModel", restorer="GridUNet", preset="nano")
weights_name = "nano"
