"""What trainings on a CPU share: data, 5,000 steps of 8 crops of 96 × 96, AdamW.

Two cores take about an hour for a tiny preset. The data folder is laid out as in ../shared/data;
set JPEG_PREPROC_DATA to yours.
"""

_base_ = ["train_runtime.py"]

data_root = "{{$JPEG_PREPROC_DATA:../shared/data}}"

# For the manifest of the weights.
clean_data = [
    "BSDS500 train and val but its last ten (290 images; research and education)",
    "T91 (those of its 91 images that are as large as a crop; research use)",
    "COCO train2017, 294 images halved (COCO terms, CC licences per image)",
]

train_dataloader = dict(
    batch_size=8,
    num_workers=1,
    persistent_workers=True,
    sampler=dict(type="InfiniteSampler", shuffle=False),
    collate_fn=dict(type="default_collate"),
    dataset=dict(
        type="JpegCrops",
        crop=96,
        sources=[
            dict(folder=f"{data_root}/restoration/bsds500/train"),
            # The last ten are kept for validation.
            dict(folder=f"{data_root}/restoration/bsds500/val", stop=-10),
            dict(folder=f"{data_root}/restoration/t91"),
            dict(folder=f"{data_root}/coco/train2017", shrink=2),
        ],
        coding=dict(
            qf_ranges=[(5, 65, 0.9), (66, 95, 0.1)],
            full_chroma=0.0,
            grey=0.0,
            double=0.0,
            blind=0.0,
        ),
    ),
)
val_dataloader = dict(
    batch_size=1,
    num_workers=0,
    sampler=dict(type="DefaultSampler", shuffle=False),
    collate_fn=dict(type="default_collate"),
    dataset=dict(
        type="JpegImages",
        source=dict(folder=f"{data_root}/restoration/bsds500/val", start=-10),
        qfs=[10, 20, 40],
    ),
)
val_evaluator = dict(type="PsnrGain")

train_cfg = dict(type="IterBasedTrainLoop", max_iters=5000, val_interval=1000)
val_cfg = dict(type="ValLoop")

optim_wrapper = dict(
    type="OptimWrapper",
    optimizer=dict(type="AdamW", lr=1e-3, betas=(0.9, 0.99), weight_decay=1e-4),
    clip_grad=dict(max_norm=0.5),
)
param_scheduler = [
    dict(type="LinearLR", start_factor=0.05, by_epoch=False, begin=0, end=150),
    dict(
        type="CosineAnnealingLR",
        by_epoch=False,
        begin=150,
        end=5000,
        T_max=4850,
        eta_min_ratio=0.005,
    ),
]
custom_hooks = [
    dict(type="StopOnNanHook"),
    dict(type="EMAHook", ema_type="ExponentialMovingAverage", momentum=0.002, update_buffers=True),
    dict(type="SaveWeightsHook", licence="Apache-2.0"),
]
