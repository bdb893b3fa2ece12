"""GridUNet `small`: three hours of one core. No weights ship yet."""

_base_ = ["../../_base_/muon_24k.py"]

model = dict(type="RestorationModel", restorer="GridUNet", preset="small")
weights_name = "small"
