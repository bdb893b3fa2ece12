"""DAGN, tiny, without CIGM, CSGM and CFM (Table V), scheduled as dagn_tiny_cpu_5k.py."""

_base_ = ["dagn_tiny_cpu_5k.py"]

model = dict(settings=dict(cigm=False, csgm=False, cfm=False))
weights_name = "dagn-tiny-baseline"
