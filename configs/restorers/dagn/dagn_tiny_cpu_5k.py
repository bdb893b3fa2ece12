"""DAGN, tiny, stage 2: the whole network on frozen encoders, on two CPU cores.

Starts from what dagn_tiny_encoders_cpu_2k.py leaves; JPEG_PREPROC_ENCODERS names another place.
"""

_base_ = ["../../_base_/tiny_cpu_5k.py"]

model = dict(
    type="DAGNModel",
    restorer="DAGN",
    preset="tiny",
    loss="l1",
    encoders="{{$JPEG_PREPROC_ENCODERS:work_dirs/dagn_tiny_encoders_cpu_2k/encoders.safetensors}}",
)
train_dataloader = dict(dataset=dict(coding=dict(qf_ranges=[(10, 95, 1.0)])))
custom_hooks = [
    dict(type="StopOnNanHook"),
    dict(type="EMAHook", ema_type="ExponentialMovingAverage", momentum=0.002, update_buffers=True),
    dict(
        type="SaveWeightsHook",
        name="dagn-tiny",
        preset="tiny",
        data=[
            "BSDS500 train and val but its last ten (290 images; research and education)",
            "T91 (91 images; those of at least 128 x 128 pixels; research use)",
            "COCO train2017, 294 images halved (COCO terms, CC licences per image)",
        ],
        licence="Apache-2.0",
    ),
]
