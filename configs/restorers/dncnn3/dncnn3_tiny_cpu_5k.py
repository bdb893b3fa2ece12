"""DnCNN-3, tiny, in colour, on two CPU cores.

The paper's network also learns noise and super-resolution; this one JPEG alone.
"""

_base_ = ["../../_base_/tiny_cpu_5k.py"]

model = dict(type="RestorationModel", restorer="DnCNN3", preset="tiny", loss="l2")
custom_hooks = [
    dict(type="StopOnNanHook"),
    dict(type="EMAHook", ema_type="ExponentialMovingAverage", momentum=0.002, update_buffers=True),
    dict(
        type="SaveWeightsHook",
        name="dncnn3-tiny",
        preset="tiny",
        data=[
            "BSDS500 train and val but its last ten (290 images; research and education)",
            "T91 (91 images; those of at least 128 x 128 pixels; research use)",
            "COCO train2017, 294 images halved (COCO terms, CC licences per image)",
        ],
        licence="Apache-2.0",
    ),
]
