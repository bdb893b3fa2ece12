"""DAGN, tiny, with CIGM alone (Table V), scheduled as dagn_tiny_cpu_5k.py."""

_base_ = ["dagn_tiny_cpu_5k.py"]

model = dict(settings=dict(cigm=True, csgm=False, cfm=False))
custom_hooks = [
    dict(type="StopOnNanHook"),
    dict(type="EMAHook", ema_type="ExponentialMovingAverage", momentum=0.002, update_buffers=True),
    dict(
        type="SaveWeightsHook",
        name="dagn-tiny-cigm",
        preset="tiny",
        data=[
            "BSDS500 train and val but its last ten (290 images; research and education)",
            "T91 (91 images; those of at least 128 x 128 pixels; research use)",
            "COCO train2017, 294 images halved (COCO terms, CC licences per image)",
        ],
        licence="Apache-2.0",
    ),
]
