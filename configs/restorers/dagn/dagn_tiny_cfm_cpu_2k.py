"""DAGN, tiny, with CFM alone (Table V), scheduled as dagn_tiny_full_cpu_2k.py."""

_base_ = ["dagn_tiny_full_cpu_2k.py"]

model = dict(settings=dict(cigm=False, csgm=False, cfm=True))
weights_name = "dagn-tiny-cfm"
