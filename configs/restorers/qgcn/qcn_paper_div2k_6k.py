"""QCN as qgcn_paper_div2k_6k.py trains QGCN."""

_base_ = ["qgcn_paper_div2k_6k.py"]

model = dict(restorer="QCN")
weights_name = "qcn-paper"
