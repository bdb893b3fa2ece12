"""The JPEG of the robustness benchmarks: COCO-C's five severities, with P, mPC and rPC.

Michaelis et al., "Benchmarking Robustness in Object Detection" (2019): JPEG is one of 15 kinds of
corruption there, at QF 25, 18, 15, 10 and 7. Only this one is measured, so that mPC is its mean.
"""

_base_ = "_base_/small_models.py"

title = "JPEG as in COCO-C: five severities"
corruptions = ["jpeg:25", "jpeg:18", "jpeg:15", "jpeg:10", "jpeg:7"]
restorers = ["small-task", "base-task", "nano-task", "bilateral"]
compare = dict(robustness=True, rate="jpeg")
