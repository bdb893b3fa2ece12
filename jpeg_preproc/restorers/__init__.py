"""Networks under one contract, their weights, and the engine that runs them on real images."""

from jpeg_preproc.restorers.catalogue import list_restorers, list_weights, macs
from jpeg_preproc.restorers.contract import Quality, Restorer, RestorerOutput, RestorerSpec
from jpeg_preproc.restorers.engine import JpegRestorer, Restored
from jpeg_preproc.restorers.inputs import DecodedImage
from jpeg_preproc.restorers.quality import ImageQuality, QualitySource
from jpeg_preproc.restorers.registry import build_restorer, register_restorer, registered_names
from jpeg_preproc.restorers.weights import (
    WeightsManifest,
    load_weights,
    save_weights,
    shipped_names,
    weights_path,
)

__all__ = [
    "DecodedImage",
    "ImageQuality",
    "JpegRestorer",
    "WeightsManifest",
    "Quality",
    "QualitySource",
    "Restored",
    "Restorer",
    "RestorerOutput",
    "RestorerSpec",
    "build_restorer",
    "list_restorers",
    "list_weights",
    "load_weights",
    "macs",
    "register_restorer",
    "registered_names",
    "save_weights",
    "shipped_names",
    "weights_path",
]
