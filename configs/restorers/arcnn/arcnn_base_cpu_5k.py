"""AR-CNN in colour, one model for all qualities, on two CPU cores.

The paper has one model for each quality, on luma; its four layers are as small as a tiny preset.
"""

_base_ = ["../../_base_/cpu_5k.py"]

model = dict(type="RestorationModel", restorer="ARCNN", preset="base", loss="l2")
weights_name = "arcnn"
