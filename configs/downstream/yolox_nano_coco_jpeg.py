"""YOLOX-nano fine-tuned on JPEG, the rival of restoring: docs/rival.md tells how to use it.

Started from weights that detect well, it sees JPEG of many qualities and, a quarter of the time,
images as they are, in the size of the tests and without mosaic. The learning rate is low and the
norms keep their statistics, so that few images do not undo what many have taught.
"""

_base_ = "yolox_nano_coco.py"

custom_imports = dict(
    imports=["jpeg_preproc.openmmlab", "jpeg_preproc.training.hooks"], allow_failed_imports=False
)
load_from = "checkpoints/yolox_nano.pth"
max_iters = 300

model = dict(data_preprocessor=dict(batch_augments=None))
train_pipeline = [
    dict(type="LoadImageFromFile"),
    dict(type="JpegCompress", qf=(5, 60), prob=0.75),
    dict(type="LoadAnnotations", with_bbox=True),
    dict(type="YOLOXHSVRandomAug"),
    dict(type="RandomFlip", prob=0.5),
    dict(type="Resize", scale=(416, 416), keep_ratio=True),
    dict(type="Pad", pad_to_square=True, pad_val=dict(img=(114.0, 114.0, 114.0))),
    dict(type="FilterAnnotations", min_gt_bbox_wh=(1, 1), keep_empty=False),
    dict(type="PackDetInputs"),
]
train_dataloader = dict(
    _delete_=True,
    batch_size=8,
    num_workers=0,
    sampler=dict(type="InfiniteSampler", shuffle=True),
    dataset=dict(
        type="CocoDataset",
        data_root="data/coco/",
        ann_file="annotations/instances_train2017.json",
        data_prefix=dict(img="train2017/"),
        filter_cfg=dict(filter_empty_gt=True, min_size=32),
        pipeline=train_pipeline,
    ),
)
train_cfg = dict(_delete_=True, type="IterBasedTrainLoop", max_iters=max_iters)
val_cfg = val_dataloader = val_evaluator = None  # a study measures what comes of it
optim_wrapper = dict(
    _delete_=True,
    type="OptimWrapper",
    optimizer=dict(type="AdamW", lr=1e-4, weight_decay=0.0),
    # Its weights are a hundredth of the others', as it takes pixels from 0 to 255.
    paramwise_cfg=dict(custom_keys={"backbone.stem": dict(lr_mult=0.1)}),
    clip_grad=dict(max_norm=35),
)
param_scheduler = [
    dict(type="LinearLR", start_factor=0.01, by_epoch=False, begin=0, end=30),
    dict(type="CosineAnnealingLR", by_epoch=False, begin=30, end=max_iters),
]
default_hooks = dict(
    checkpoint=dict(by_epoch=False, interval=50, max_keep_ckpts=2), logger=dict(interval=10)
)
log_processor = dict(by_epoch=False)
randomness = dict(seed=0)
custom_hooks = [dict(type="FreezeNormHook")]
