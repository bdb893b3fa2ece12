"""GridUNet `nano`, taught by `base`: as gridunet_small_histories_cpu.py."""

_base_ = ["gridunet_small_histories_cpu.py"]

model = dict(preset="nano", weights="nano")
weights_name = "nano"
