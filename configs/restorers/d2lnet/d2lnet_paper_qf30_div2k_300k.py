"""D2LNet as in d2lnet_paper_qf10_div2k_300k.py, for quality factor 30."""

_base_ = ["d2lnet_paper_qf10_div2k_300k.py"]

train_dataloader = dict(dataset=dict(coding=dict(qf_ranges=[(30, 30, 1.0)])))
val_dataloader = dict(dataset=dict(qfs=[30]))
weights_name = "d2lnet-paper-qf30"
