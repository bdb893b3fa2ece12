"""Fixtures of the studies' tests."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "evaluation"))

STUDY = """
title = "A study"
datasets = dict(coco=dict(data_root="coco"))
models = dict(one=dict(config="one.py", checkpoint="one.pth", datasets=["coco"]))
corruptions = ["jpeg:10", "jpeg:90", "webp:30"]
restorers = ["base"]
"""


@pytest.fixture
def write(tmp_path, monkeypatch):
    """Write a study into the working directory, with lines added, and the files that it names."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "coco").mkdir()
    for name in ("one.py", "one.pth"):
        (tmp_path / name).touch()

    def written(added: str = "", text: str = STUDY) -> Path:
        path = tmp_path / "mine.py"
        path.write_text(text + added)
        return path

    return written
