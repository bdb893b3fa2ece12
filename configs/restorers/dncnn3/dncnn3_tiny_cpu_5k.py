"""DnCNN-3, tiny, in colour, on two CPU cores.

The paper's network also learns noise and super-resolution; this one JPEG alone.
"""

_base_ = ["../../_base_/cpu_5k.py"]

model = dict(type="RestorationModel", restorer="DnCNN3", preset="tiny", loss="l2")
weights_name = "dncnn3-tiny"
