"""GridUNet, the shipped weights `base`: seven hours of one core."""

_base_ = ["../../_base_/muon_24k.py"]

model = dict(type="RestorationModel", restorer="GridUNet", preset="base")
weights_name = "base"
