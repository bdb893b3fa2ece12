"""DeepLabV3 with MobileNetV2 on PASCAL VOC 2012 val, 513x513, for TensorFlow's weights in mmseg."""

_base_ = "../../jpeg_preproc/demo/configs/deeplabv3_mnv2.py"

data_root = "data/VOCdevkit/VOC2012"
test_dataloader = dict(
    dataset=dict(
        data_root=data_root,
        data_prefix=dict(img_path="JPEGImages", seg_map_path="SegmentationClass"),
        ann_file="ImageSets/Segmentation/val.txt",
    ),
)
