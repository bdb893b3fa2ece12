"""COCO and VOC on disk: found, compressed, recorded."""

from jpeg_preproc.datasets.compress import (
    compress_dataset,
    compression_rows,
    compression_variants,
    corrupt_dataset,
    corruption_variants,
)
from jpeg_preproc.datasets.pool import rewrite_images, start_worker_server, stop_on_signals
from jpeg_preproc.datasets.rewrite import RewriteSummary, rewrite_dataset
from jpeg_preproc.datasets.scan import LAYOUTS, DatasetTree, scan_dataset
from jpeg_preproc.datasets.share import Execution
from jpeg_preproc.datasets.tree import Problem

__all__ = [
    "LAYOUTS",
    "DatasetTree",
    "Execution",
    "Problem",
    "RewriteSummary",
    "compress_dataset",
    "compression_rows",
    "compression_variants",
    "corrupt_dataset",
    "corruption_variants",
    "rewrite_dataset",
    "rewrite_images",
    "scan_dataset",
    "start_worker_server",
    "stop_on_signals",
]
