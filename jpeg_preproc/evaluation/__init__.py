"""What restoration is worth: measures of images, and the accuracy of models."""

from jpeg_preproc.evaluation.metrics import Scores, measure, psnr, psnr_b, ssim
from jpeg_preproc.evaluation.protocols import PROTOCOLS, EvaluationProtocol, get_protocol

__all__ = [
    "PROTOCOLS",
    "EvaluationProtocol",
    "Scores",
    "get_protocol",
    "measure",
    "psnr",
    "psnr_b",
    "ssim",
]
