"""YOLOX-nano on the demo's photographs: mmdet's own config."""

_base_ = "mmdet::yolox/yolox_nano_8xb8-300e_coco.py"

data_root = "{{ fileDirname }}/../photos/"
test_dataloader = dict(
    dataset=dict(data_root=data_root, ann_file="instances.json", data_prefix=dict(img="images/")),
)
test_evaluator = dict(ann_file=data_root + "instances.json")
