"""YOLOX-nano on COCO val2017: mmdet's own config, tested on one image at a time.

Weights for it: any checkpoint of ``yolox_nano_8xb8-300e_coco`` that stock mmdet loads.
"""

_base_ = "mmdet::yolox/yolox_nano_8xb8-300e_coco.py"

# --data-root of tools/eval_downstream.py replaces this wherever it occurs.
data_root = "data/coco/"
