"""DiCENet as an ONNX file under onnxruntime, on PASCAL VOC 2012 val.

Weights for it: ``load_dicenet`` of jpeg_preproc/training/dicenet.py reads the authors', which
``torch.onnx.export(network, (torch.zeros(1, 3, 384, 384),), "dicenet.onnx", dynamo=True)`` writes.
"""

_base_ = ["onnx_deeplabv3_mnv2_voc.py"]

model = dict(input_size=(384, 384), keep_ratio=False, pad="none", pad_value=0, mean=0, std=255)
