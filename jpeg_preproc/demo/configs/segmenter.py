"""The demo's segmenter: mmseg's semantic FPN on three eighths of a ResNet-18, on 256x192 images.

Trained on lossless images: no JPEG, in no form, takes part. To read another
copy of the set, override the keys that ``jpeg_preproc.demo.demo_cfg_options`` returns.
"""

_base_ = ["runtime.py"]

default_scope = "mmseg"

classes = ("background", "banded", "spotted", "ringed")
palette = [[0, 0, 0], [128, 0, 0], [0, 128, 0], [128, 128, 0]]
data_root = "data/demo/"
metainfo = dict(classes=classes, palette=palette)
norm_cfg = dict(type="BN", requires_grad=True)

model = dict(
    type="EncoderDecoder",
    data_preprocessor=dict(
        type="SegDataPreProcessor",
        mean=[123.675, 116.28, 103.53],
        std=[58.395, 57.12, 57.375],
        bgr_to_rgb=True,
        pad_val=0,
        seg_pad_val=255,
        size=(192, 256),
    ),
    backbone=dict(
        type="ResNetV1c",
        depth=18,
        base_channels=24,
        stem_channels=24,
        num_stages=4,
        out_indices=(0, 1, 2, 3),
        dilations=(1, 1, 1, 1),
        strides=(1, 2, 2, 2),
        norm_cfg=norm_cfg,
        norm_eval=False,
        style="pytorch",
        contract_dilation=True,
    ),
    neck=dict(type="FPN", in_channels=[24, 48, 96, 192], out_channels=48, num_outs=4),
    decode_head=dict(
        type="FPNHead",
        in_channels=[48, 48, 48, 48],
        in_index=[0, 1, 2, 3],
        feature_strides=[4, 8, 16, 32],
        channels=32,
        dropout_ratio=0.1,
        num_classes=len(classes),
        norm_cfg=norm_cfg,
        align_corners=False,
        loss_decode=dict(type="CrossEntropyLoss", use_sigmoid=False, loss_weight=1.0),
    ),
    train_cfg={},
    test_cfg=dict(mode="whole"),
)

train_pipeline = [
    dict(type="LoadImageFromFile"),
    dict(type="LoadAnnotations"),
    dict(
        type="PhotoMetricDistortion",
        brightness_delta=16,
        contrast_range=(0.8, 1.2),
        saturation_range=(0.7, 1.3),
        hue_delta=4,
    ),
    dict(
        type="RandomFlip", prob=[0.25, 0.25, 0.25], direction=["horizontal", "vertical", "diagonal"]
    ),
    dict(type="PackSegInputs"),
]
test_pipeline = [
    dict(type="LoadImageFromFile"),
    dict(type="Resize", scale=(256, 192), keep_ratio=True),
    dict(type="LoadAnnotations"),
    dict(type="PackSegInputs"),
]

train_dataloader = dict(
    batch_size=4,
    num_workers=0,
    sampler=dict(type="DefaultSampler", shuffle=True),
    dataset=dict(
        type="BaseSegDataset",
        metainfo=metainfo,
        data_root=data_root,
        img_suffix=".png",
        ann_file="voc/ImageSets/Segmentation/train.txt",
        data_prefix=dict(img_path="voc/JPEGImages", seg_map_path="voc/SegmentationClass"),
        pipeline=train_pipeline,
    ),
)
test_dataloader = dict(
    batch_size=8,
    num_workers=0,
    sampler=dict(type="DefaultSampler", shuffle=False),
    dataset=dict(
        type="BaseSegDataset",
        metainfo=metainfo,
        data_root=data_root,
        img_suffix=".png",
        ann_file="voc/ImageSets/Segmentation/val.txt",
        data_prefix=dict(img_path="voc/JPEGImages", seg_map_path="voc/SegmentationClass"),
        test_mode=True,
        pipeline=test_pipeline,
    ),
)
test_evaluator = dict(type="IoUMetric", iou_metrics=["mIoU"])

max_epochs = 12
train_cfg = dict(type="EpochBasedTrainLoop", max_epochs=max_epochs)
optim_wrapper = dict(
    type="OptimWrapper",
    optimizer=dict(type="AdamW", lr=1.5e-3, weight_decay=0.05),
    paramwise_cfg=dict(norm_decay_mult=0, bias_decay_mult=0),
)
param_scheduler = [
    dict(type="LinearLR", start_factor=0.05, by_epoch=False, begin=0, end=100),
    dict(
        type="CosineAnnealingLR",
        eta_min=2e-5,
        T_max=max_epochs,
        end=max_epochs,
        by_epoch=True,
        convert_to_iter_based=True,
    ),
]
