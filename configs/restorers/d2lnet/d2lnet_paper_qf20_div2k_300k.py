"""D2LNet as in d2lnet_paper_qf10_div2k_300k.py, for quality factor 20."""

_base_ = ["d2lnet_paper_qf10_div2k_300k.py"]

train_dataloader = dict(dataset=dict(coding=dict(qf_ranges=[(20, 20, 1.0)])))
val_dataloader = dict(dataset=dict(qfs=[20]))
weights_name = "d2lnet-paper-qf20"
