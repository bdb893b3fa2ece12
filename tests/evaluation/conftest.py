"""A folder of images to measure restoration on."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image


@pytest.fixture
def images(tmp_path, photo) -> Path:
    """A folder ``set`` of three small images, one of them grey."""
    folder = tmp_path / "set"
    folder.mkdir()
    Image.fromarray(photo[:48, :64]).save(folder / "a.png")
    Image.fromarray(photo[30:90, 40:100]).save(folder / "b.png")
    Image.fromarray(photo[50:100, 90:160, 0]).save(folder / "c.PNG")
    return folder
