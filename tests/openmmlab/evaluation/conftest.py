"""Small data sets in the forms of COCO and of VOC."""

from __future__ import annotations

import pytest
import toysets


@pytest.fixture
def coco(tmp_path):
    return toysets.write_coco(tmp_path / "coco")


@pytest.fixture
def voc(tmp_path):
    return toysets.write_voc(tmp_path / "voc")
