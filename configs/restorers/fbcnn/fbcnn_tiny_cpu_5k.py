"""FBCNN, tiny: blind, with its predicted quality, on two CPU cores."""

_base_ = ["../../_base_/cpu_5k.py"]

model = dict(type="FBCNNModel", restorer="FBCNN", preset="tiny")
weights_name = "fbcnn-tiny"
