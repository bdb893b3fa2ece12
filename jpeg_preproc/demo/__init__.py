"""The embedded default: forty annotated photographs, a detector and a segmenter; no download."""

from __future__ import annotations

from jpeg_preproc.demo.files import DEMO_STUDY, WHAT_IT_SHOWS, check_demo_files, demo_configs

__all__ = ["DEMO_STUDY", "WHAT_IT_SHOWS", "check_demo_files", "demo_configs"]
