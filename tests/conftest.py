"""Fixtures shared by all rooms."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

# There is one in several folders; --doctest-modules would import each under the same name.
collect_ignore_glob = ["*conftest.py"]

SHARED_DATA = Path(__file__).resolve().parents[2] / "shared" / "data"


@pytest.fixture(autouse=True)
def same_random_numbers():
    """Each test draws the same numbers, whichever others have run in its process."""
    np.random.seed(0)
    if torch := sys.modules.get("torch"):
        torch.manual_seed(0)


@pytest.fixture(scope="session", autouse=True)
def configs_as_they_are():
    """Configs are written without yapf, which takes a third of a second to lay one out."""
    try:
        from yapf.yapflib import yapf_api
    except ImportError:  # comes with mmengine
        yield
        return
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(yapf_api, "FormatCode", lambda text, *args, **kwargs: (text, False))
        yield


@pytest.fixture(autouse=True)
def data_sets_without_a_collection():
    """mmengine looks through all objects for each data set that it builds; here they are many."""
    if module := sys.modules.get("mmengine.dataset.base_dataset"):
        module.gc = SimpleNamespace(collect=lambda: 0)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The development data beside the checkout; a test that wants it skips where it is absent."""
    if not SHARED_DATA.is_dir():
        pytest.skip("needs the development data in ../shared/data, which is absent here")
    return SHARED_DATA


@pytest.fixture(scope="session")
def photo() -> np.ndarray:
    """A (120, 184, 3) uint8 RGB image with edges, texture and smooth parts, the same each run."""
    rng = np.random.default_rng(7)
    rows, cols = np.mgrid[0:120, 0:184].astype(np.float64)
    image = np.stack(
        [
            90 + 60 * np.sin(cols / 23) + 0.4 * rows,
            110 + 50 * np.cos(rows / 17),
            70 + 0.6 * cols + 30 * np.sin((rows + cols) / 9),
        ],
        axis=-1,
    )
    image[30:80, 50:110] = (200, 60, 40)
    image[(rows - 70) ** 2 + (cols - 130) ** 2 < 900] = (40, 160, 90)
    image += rng.normal(0, 6, image.shape)
    return np.clip(np.rint(image), 0, 255).astype(np.uint8)


@pytest.fixture(scope="session")
def small_weights(tmp_path_factory) -> Path:
    """The file of weights of a small network that changes each pixel a little."""
    import torch
    from stirring import stir

    from jpeg_preproc.restorers import build_restorer, save_weights

    torch.manual_seed(0)
    network = build_restorer("GridUNet", "nano")
    stir(network.tail)
    path = tmp_path_factory.mktemp("weights") / "small.safetensors"
    save_weights(network, path, preset="nano")
    return path


@pytest.fixture
def gentle_weights(tmp_path, small_weights) -> Path:
    """The same weights under the same name, with a manifest that makes half of the correction."""
    path: Path = tmp_path / "gentle" / small_weights.name
    path.parent.mkdir()
    path.write_bytes(small_weights.read_bytes())
    manifest = json.loads(small_weights.with_suffix(".json").read_text())
    path.with_suffix(".json").write_text(json.dumps({**manifest, "strength": {"50": 0.5}}))
    return path


@pytest.fixture
def miniature(tmp_path, photo):
    """Change a training's config to four steps of the smallest network on one image."""

    def shrink(config, **others):
        folder = tmp_path / "images"
        folder.mkdir()
        Image.fromarray(photo).save(folder / "a.png")
        settings = {
            "work_dir": str(tmp_path / "work"),
            "model.preset": "nano",
            "train_dataloader.batch_size": 2,
            "train_dataloader.num_workers": 0,
            "train_dataloader.persistent_workers": False,
            "train_cfg.max_iters": 4,
            "train_cfg.val_interval": 4,
            "log_level": "ERROR",
        }
        config.merge_from_dict({**settings, **others})
        source = {"folder": str(folder)}
        config.train_dataloader.dataset.sources = [source]
        config.val_dataloader.dataset = dict(type="JpegImages", source=source, qfs=[10])
        return config

    return shrink


@pytest.fixture
def ray_cluster(monkeypatch):
    """A Ray cluster of this machine with two workers, for as long as the session."""
    ray = pytest.importorskip("ray", reason="needs Ray, of the extra 'scale'")
    pytest.importorskip("ray.data", reason="needs Ray Data, of the extra 'scale'")
    if not ray.is_initialized():
        monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        # Workers import the checkout, and functions of tests.
        monkeypatch.setenv("PYTHONPATH", os.pathsep.join(entry for entry in sys.path if entry))
        ray.init(
            address="local",
            num_cpus=2,
            include_dashboard=False,
            object_store_memory=2 * 10**8,
            log_to_driver=False,
        )
    return ray
