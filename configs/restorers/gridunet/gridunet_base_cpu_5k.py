"""GridUNet, the shipped weights `base`: two CPU cores, about two hours.

The data folder is laid out as in ../shared/data; set JPEG_PREPROC_DATA to yours.
"""

_base_ = ["../../_base_/cpu_5k.py"]

model = dict(type="RestorationModel", restorer="GridUNet", preset="base")
# Every kind of file: grey, 4:4:4, coded twice, of unknown tables (the defaults of Coding).
train_dataloader = dict(dataset=dict(crop=128, coding=dict(_delete_=True)))
val_dataloader = dict(dataset=dict(qfs=[10, 40, 80]))
weights_name = "base"
