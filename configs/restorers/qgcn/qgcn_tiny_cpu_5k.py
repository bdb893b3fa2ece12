"""QGCN, tiny: the paper's loss and qualities, on two CPU cores."""

_base_ = ["../../_base_/tiny_cpu_5k.py"]

model = dict(type="RestorationModel", restorer="QGCN", preset="tiny", loss="l1")
train_dataloader = dict(dataset=dict(coding=dict(qf_ranges=[(1, 60, 1.0)])))
custom_hooks = [
    dict(type="StopOnNanHook"),
    dict(type="EMAHook", ema_type="ExponentialMovingAverage", momentum=0.002, update_buffers=True),
    dict(
        type="SaveWeightsHook",
        name="qgcn-tiny",
        preset="tiny",
        data=[
            "BSDS500 train and val but its last ten (290 images; research and education)",
            "T91 (91 images; those of at least 128 x 128 pixels; research use)",
            "COCO train2017, 294 images halved (COCO terms, CC licences per image)",
        ],
        licence="Apache-2.0",
    ),
]
