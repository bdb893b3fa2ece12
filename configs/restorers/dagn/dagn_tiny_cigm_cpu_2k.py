"""DAGN, tiny, with CIGM alone (Table V), scheduled as dagn_tiny_full_cpu_2k.py."""

_base_ = ["dagn_tiny_full_cpu_2k.py"]

model = dict(settings=dict(cigm=True, csgm=False, cfm=False))
weights_name = "dagn-tiny-cigm"
