"""Mask R-CNN R50-FPN on COCO val2017: mmdet's own config, boxes and instance masks.

Weights for it: any checkpoint of ``mask-rcnn_r50_fpn_1x_coco`` that stock mmdet loads. Its rows are
of ``mAP`` (boxes) and of ``mask mAP``.
"""

_base_ = "mmdet::mask_rcnn/mask-rcnn_r50_fpn_1x_coco.py"

# --data-root of tools/eval_downstream.py replaces this wherever it occurs.
data_root = "data/coco/"
