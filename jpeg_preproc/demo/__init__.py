"""The embedded default: a small annotated set, a detector and a segmenter, with no download."""

from __future__ import annotations

from jpeg_preproc.demo.layout import make_demo_dataset
from jpeg_preproc.demo.models import demo_cfg_options, demo_configs

__all__ = ["demo_cfg_options", "demo_configs", "make_demo_dataset"]
