"""QCN, tiny: the paper's loss and qualities, on two CPU cores."""

_base_ = ["../../_base_/cpu_5k.py"]

model = dict(type="RestorationModel", restorer="QCN", preset="tiny", loss="l1")
train_dataloader = dict(dataset=dict(coding=dict(qf_ranges=[(1, 60, 1.0)])))
weights_name = "qcn-tiny"
