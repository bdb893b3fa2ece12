"""Faster R-CNN R50-FPN on COCO val2017: mmdet's own config, tested on one image at a time.

A detector of the DAGN paper's experiments. Weights for it: any checkpoint of
``faster-rcnn_r50_fpn_1x_coco`` that stock mmdet loads.
"""

_base_ = "mmdet::faster_rcnn/faster-rcnn_r50_fpn_1x_coco.py"

# --data-root of tools/eval_downstream.py replaces this wherever it occurs.
data_root = "data/coco/"
