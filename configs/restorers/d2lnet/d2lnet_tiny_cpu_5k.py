"""D2LNet, tiny: the paper's three losses, on two CPU cores.

One model for QF 5-65, where the paper has one for each of three qualities.
"""

_base_ = ["../../_base_/tiny_cpu_5k.py"]

model = dict(type="D2LNetModel", restorer="D2LNet", preset="tiny", alpha=0.05)
custom_hooks = [
    dict(type="StopOnNanHook"),
    dict(type="EMAHook", ema_type="ExponentialMovingAverage", momentum=0.002, update_buffers=True),
    dict(
        type="SaveWeightsHook",
        name="d2lnet-tiny",
        preset="tiny",
        data=[
            "BSDS500 train and val but its last ten (290 images; research and education)",
            "T91 (91 images; those of at least 128 x 128 pixels; research use)",
            "COCO train2017, 294 images halved (COCO terms, CC licences per image)",
        ],
        licence="Apache-2.0",
    ),
]
