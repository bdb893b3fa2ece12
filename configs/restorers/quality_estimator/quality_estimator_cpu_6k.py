"""The estimator of the quality that a restorer is best told: labels first, then half an hour.

The data folder is laid out as ../shared/data; JPEG_PREPROC_DATA names yours. The labels are made by
trying, with the weights `nano`, which takes a quarter of an hour of one core; they are kept in
work_dirs, so that a run that was stopped goes on.
"""

_base_ = ["../../_base_/train_runtime.py"]

custom_imports = dict(
    imports=["jpeg_preproc.training.effective_quality", "jpeg_preproc.training.hooks"],
    allow_failed_imports=False,
)
data_root = "{{$JPEG_PREPROC_DATA:../shared/data}}"
clean_data = [
    "BSDS500 train and val but its last ten (290 images; research and education)",
    "COCO train2017, 294 images halved (COCO terms, CC licences per image)",
    "300 drawings of our own (jpeg_preproc/training/graphics.py)",
]
# For the manifest: the weights that were asked what they are best told.
labels = "nano"
max_iters = 6000

coding = dict(
    qf_ranges=[(4, 30, 0.6), (31, 70, 0.25), (71, 97, 0.15)],
    full_chroma=0.1,
    grey=0.05,
    double=0.35,
    double_qf=(5, 75),
    double_shifted=0.7,
    shifted=0.3,
    resized=0.4,
    other_tables=0.05,
)
train_dataloader = dict(
    batch_size=32,
    num_workers=0,
    sampler=dict(type="InfiniteSampler", shuffle=True),
    collate_fn=dict(type="default_collate"),
    dataset=dict(
        type="JoinedCrops",
        length=1_000_000,
        parts=[
            dict(
                count=12000,
                restorer="nano",
                cache="work_dirs/quality_estimator/train.npz",
                crops=dict(
                    sources=[
                        dict(folder=f"{data_root}/restoration/bsds500/train"),
                        # The last ten are kept for validation.
                        dict(folder=f"{data_root}/restoration/bsds500/val", stop=-10),
                        dict(folder=f"{data_root}/coco/train2017", shrink=2),
                    ],
                    coding=coding,
                ),
            ),
            dict(
                count=3000,
                clean=0.25,
                restorer="nano",
                cache="work_dirs/quality_estimator/graphics.npz",
                crops=dict(sources=[dict(graphics=300)], coding=coding),
            ),
        ],
    ),
)
val_dataloader = dict(
    batch_size=50,
    num_workers=0,
    sampler=dict(type="DefaultSampler", shuffle=False),
    collate_fn=dict(type="default_collate"),
    dataset=dict(
        type="EffectiveQualityCrops",
        count=500,
        restorer="nano",
        cache="work_dirs/quality_estimator/val.npz",
        crops=dict(
            sources=[dict(folder=f"{data_root}/restoration/bsds500/val", start=-10)],
            coding=coding,
        ),
    ),
)
val_evaluator = dict(type="OctaveError")
model = dict(type="QualityEstimatorModel")
train_cfg = dict(type="IterBasedTrainLoop", max_iters=max_iters, val_interval=500)
val_cfg = dict(type="ValLoop")
optim_wrapper = dict(
    type="OptimWrapper",
    optimizer=dict(type="AdamW", lr=2e-3, weight_decay=1e-2),
    clip_grad=dict(max_norm=1.0),
)
param_scheduler = [
    dict(type="LinearLR", start_factor=0.05, by_epoch=False, begin=0, end=100),
    dict(type="CosineAnnealingLR", by_epoch=False, begin=100, end=max_iters, T_max=max_iters - 100),
]
default_hooks = dict(
    checkpoint=dict(
        _delete_=True, type="CheckpointHook", by_epoch=False, interval=500, max_keep_ckpts=2
    ),
)
custom_hooks = [dict(type="StopOnNanHook"), dict(type="SaveEstimatorHook", licence="Apache-2.0")]
