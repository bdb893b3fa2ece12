"""DAGN, tiny, without CIGM, CSGM and CFM (Table V), scheduled as dagn_tiny_full_cpu_2k.py."""

_base_ = ["dagn_tiny_full_cpu_2k.py"]

model = dict(settings=dict(cigm=False, csgm=False, cfm=False))
weights_name = "dagn-tiny-baseline"
