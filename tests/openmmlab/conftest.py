"""A restorer whose every weight matters, and image files, for the OpenMMLab room."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from stirring import stir

# The toy models and sets are imported by name: by tests, by configs, and in spawned workers.
sys.path.insert(0, str(Path(__file__).parent))

pytest.importorskip("mmcv", reason="needs mmcv, which tools/bootstrap.py installs")

from jpeg_preproc.restorers.registry import build_restorer
from jpeg_preproc.restorers.weights import save_weights


@pytest.fixture(scope="session")
def weights(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Weights of an untrained network that changes pixels, heeds the tables and has no symmetry."""
    torch.manual_seed(0)
    settings = {"blocks": [1, 1, 1, 1, 1]}
    network = build_restorer("GridUNet", "nano", **settings).eval()
    stir(network)
    path = tmp_path_factory.mktemp("weights") / "noise.safetensors"
    save_weights(network, path, preset="nano", settings=settings)
    return str(path)


@pytest.fixture
def photo_file(tmp_path: Path, photo: np.ndarray) -> Path:
    """``photo``, cropped to odd sides (103, 157), as a JPEG of quality 20."""
    from jpeg_preproc.jpeg import compress_jpeg

    path = tmp_path / "photo.jpg"
    path.write_bytes(compress_jpeg(photo[:103, :157], qf=20))
    return path
