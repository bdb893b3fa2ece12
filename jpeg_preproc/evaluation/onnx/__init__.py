"""Deployed models measured without OpenMMLab: ONNX files under onnxruntime.

A config says what the model takes and gives (``model``) and what it is measured on (``data``);
``configs/downstream/onnx_yolox_nano_coco.py`` is one for a detector,
``configs/downstream/onnx_deeplabv3_mnv2_voc.py`` one for a segmenter.
"""

from jpeg_preproc.evaluation.onnx.models import Boxes, OnnxDetector, OnnxSegmentor
from jpeg_preproc.evaluation.onnx.task import OnnxTask, is_onnx_config

__all__ = ["Boxes", "OnnxDetector", "OnnxSegmentor", "OnnxTask", "is_onnx_config"]
