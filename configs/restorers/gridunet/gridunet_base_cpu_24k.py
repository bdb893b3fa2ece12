"""GridUNet `base`: seven hours of one core. Until it is through, gridunet_base_cpu_5k.py ships."""

_base_ = ["../../_base_/muon_24k.py"]

model = dict(type="RestorationModel", restorer="GridUNet", preset="base")
weights_name = "base"
