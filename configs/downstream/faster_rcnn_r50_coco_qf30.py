"""Faster R-CNN R50-FPN on COCO val2017, compressed at QF 30 and restored."""

_base_ = "./faster_rcnn_r50_coco.py"

custom_imports = dict(imports=["jpeg_preproc.openmmlab"], allow_failed_imports=False)

test_pipeline = [
    *_base_.test_pipeline[:1],
    dict(type="JpegCompress", qf=30),
    dict(type="JpegRestore"),
    *_base_.test_pipeline[1:],
]
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader
