"""DAGN, tiny, with CSGM alone (Table V), scheduled as dagn_tiny_full_cpu_2k.py."""

_base_ = ["dagn_tiny_full_cpu_2k.py"]

model = dict(settings=dict(cigm=False, csgm=True, cfm=False))
weights_name = "dagn-tiny-csgm"
