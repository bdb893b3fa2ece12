"""DeepLabV3 with MobileNetV2 on the demo's photographs, 513x513, with TensorFlow's weights.

Complete, because mmengine resolves ``mmseg::`` bases by a distribution name that forks lack.
"""

default_scope = "mmseg"
data_root = "{{ fileDirname }}/../photos/"
crop_size = (513, 513)

norm_cfg = dict(type="BN", requires_grad=True)
model = dict(
    type="EncoderDecoder",
    data_preprocessor=dict(
        type="SegDataPreProcessor",
        # TensorFlow's (x - 128) / 128; the zeros padded after it are grey 128.
        mean=[128.0, 128.0, 128.0],
        std=[128.0, 128.0, 128.0],
        bgr_to_rgb=True,
        size=crop_size,
        pad_val=0,
        seg_pad_val=255,
        test_cfg=dict(size=crop_size),
    ),
    backbone=dict(
        type="MobileNetV2",
        widen_factor=1.0,
        # Output stride 32. The trained network has 16, by dilating whole stages; mmseg dilates
        # the first block of a stage alone, so the last two keep their stride of 2 instead.
        strides=(1, 2, 2, 2, 1, 2, 1),
        dilations=(1, 1, 1, 1, 1, 1, 1),
        out_indices=(1, 2, 4, 6),
        norm_cfg=norm_cfg,
        act_cfg=dict(type="ReLU6"),
    ),
    decode_head=dict(
        type="ASPPHead",
        in_channels=320,
        in_index=3,
        channels=256,
        dilations=(1,),
        dropout_ratio=0.1,
        num_classes=21,
        norm_cfg=norm_cfg,
        align_corners=True,
        loss_decode=dict(type="CrossEntropyLoss", use_sigmoid=False, loss_weight=1.0),
    ),
    train_cfg={},
    test_cfg=dict(mode="whole"),
)

test_pipeline = [
    dict(type="LoadImageFromFile"),
    dict(type="Resize", scale=crop_size, keep_ratio=True),
    # Behind Resize, so that the ground truth keeps the size of the file.
    dict(type="LoadAnnotations"),
    dict(type="PackSegInputs"),
]
test_dataloader = dict(
    batch_size=1,
    num_workers=2,
    persistent_workers=True,
    sampler=dict(type="DefaultSampler", shuffle=False),
    dataset=dict(
        type="PascalVOCDataset",
        data_root=data_root,
        data_prefix=dict(img_path="images", seg_map_path="masks"),
        ann_file="names.txt",
        pipeline=test_pipeline,
    ),
)
test_evaluator = dict(type="IoUMetric", iou_metrics=["mIoU"])
test_cfg = dict(type="TestLoop")
