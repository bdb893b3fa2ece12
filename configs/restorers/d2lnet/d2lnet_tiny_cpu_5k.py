"""D2LNet, tiny: the paper's three losses, on two CPU cores.

One model for QF 5-65, where the paper has one for each of three qualities.
"""

_base_ = ["../../_base_/cpu_5k.py"]

model = dict(type="D2LNetModel", restorer="D2LNet", preset="tiny", alpha=0.05)
weights_name = "d2lnet-tiny"
