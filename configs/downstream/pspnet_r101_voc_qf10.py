"""PSPNet R101-D8 on PASCAL VOC 2012 val, compressed at QF 10 and restored."""

_base_ = "./pspnet_r101_voc.py"

custom_imports = dict(imports=["jpeg_preproc.openmmlab"], allow_failed_imports=False)

test_pipeline = [
    *_base_.test_pipeline[:1],
    dict(type="JpegCompress", qf=10),
    dict(type="JpegRestore"),
    *_base_.test_pipeline[1:],
]
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader
