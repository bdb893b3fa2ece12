"""DAGN, tiny, stage 2: the whole network on frozen encoders, on two CPU cores.

Starts from what dagn_tiny_encoders_cpu_3k.py leaves; JPEG_PREPROC_ENCODERS names another place.
"""

_base_ = ["../../_base_/cpu_5k.py"]

model = dict(
    type="DAGNModel",
    restorer="DAGN",
    preset="tiny",
    loss="l1",
    # Eq. 10 as it stands makes the bottleneck 15 times as large with these encoders; after 300
    # steps the loss was still 0.28, that of a flat image.
    settings=dict(normalise_cfm=True),
    encoders="{{$JPEG_PREPROC_ENCODERS:work_dirs/dagn_tiny_encoders_cpu_3k/encoders.safetensors}}",
)
train_dataloader = dict(dataset=dict(coding=dict(qf_ranges=[(10, 95, 1.0)])))
weights_name = "dagn-tiny"
