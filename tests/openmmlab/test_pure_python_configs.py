"""Configs of mmengine's pure Python style, with ``read_base`` and classes as types.

The installed packages may ship none, so the demo's models are written out in this style; where
mmdet ships some, one of each kind is converted as well.
"""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from mmengine.config import Config, ConfigDict

from jpeg_preproc.demo import demo_configs
from jpeg_preproc.openmmlab import with_jpeg_restore
from jpeg_preproc.openmmlab.place import transform_name

mmdet = pytest.importorskip("mmdet")
pytest.importorskip("mmseg")

SCOPES = {"detector": "mmdet", "segmenter": "mmseg"}


def public_module(found: type) -> str:
    """The module that people import a class from: mmdet.models, not one of its files."""
    parts = found.__module__.split(".")
    paths = [".".join(parts[:depth]) for depth in range(2, len(parts) + 1)]
    return next(path for path in paths if getattr(import_module(path), found.__name__, 0) is found)


class Writer:
    """Writes parts of a config as pure Python: what the registries know becomes a class."""

    def __init__(self, scope: str) -> None:
        self.scope = scope
        self.imports: set[str] = set()

    def text(self, value: object) -> str:
        if isinstance(value, dict):
            return "dict(" + ", ".join(f"{key}={self.item(key, value[key])}" for key in value) + ")"
        if isinstance(value, (list, tuple)):
            inner = "".join(f"{self.text(item)}, " for item in value)
            return f"[{inner}]" if isinstance(value, list) else f"({inner})"
        return repr(value)

    def item(self, key: str, value: object) -> str:
        # mmseg's inferencers look for this one by its name, so that a class would not be found.
        if key == "type" and isinstance(value, str) and value != "LoadAnnotations":
            registry = import_module(f"{self.scope}.registry")
            found = registry.MODELS.get(value) or registry.TRANSFORMS.get(value)
            # Two names that mmdet's and torch's classes share would need an alias.
            if isinstance(found, type) and not found.__module__.startswith("torch"):
                self.imports.add(f"from {public_module(found)} import {found.__name__}")
                return found.__name__
        # mmcv knows by the names of activations which arguments these take.
        return repr(value) if key == "act_cfg" else self.text(value)


def write(role: str, folder: Path) -> Path:
    """Write the demo's config of a role in the new style, the data in a base; return its path."""
    config = Config.fromfile(demo_configs()[role][0])
    import_module(f"{SCOPES[role]}.utils").register_all_modules(init_default_scope=False)
    files = {
        "data.py": {
            "test_pipeline": config.test_dataloader.dataset.pipeline,
            "test_dataloader": config.test_dataloader,
            "test_evaluator": config.test_evaluator,
        },
        "model.py": {"model": config.model},
    }
    for name, parts in files.items():
        writer = Writer(SCOPES[role])
        plain = {
            key: ConfigDict(value).to_dict()
            if isinstance(value, dict)
            else [ConfigDict(step).to_dict() for step in value]
            for key, value in parts.items()
        }
        body = "".join(f"{key} = {writer.text(value)}\n" for key, value in plain.items())
        imports = "".join(f"{line}\n" for line in sorted(writer.imports))
        assert imports, "no class was found, so that this is no pure Python config"
        (folder / name).write_text(f"{imports}\n{body}")
    child = folder / f"{role}.py"
    child.write_text(
        "from mmengine.config import read_base\n\n"
        "with read_base():\n    from .data import *\n    from .model import *\n\n"
        f"default_scope = {SCOPES[role]!r}\n"
        "test_dataloader.update(dict(num_workers=0, persistent_workers=False))\n"
        "test_cfg = dict()\n"
    )
    return child


def outcome(config, role, photo_file) -> np.ndarray:
    """Boxes with scores, or labels, that the role's model finds in a photograph."""
    checkpoint = str(demo_configs()[role][1])
    if role == "detector":
        from mmdet.apis import inference_detector, init_detector

        model = init_detector(config, checkpoint, device="cpu")
        found = inference_detector(model, str(photo_file)).pred_instances
        return np.column_stack([found.bboxes.numpy(), found.scores.numpy()])
    from mmseg.apis import inference_model, init_model

    model = init_model(config, checkpoint, device="cpu")
    return inference_model(model, str(photo_file)).pred_sem_seg.data.numpy()


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("where", ["pipeline", "preprocessor"])
@pytest.mark.parametrize("role", SCOPES)
def test_a_pure_python_config_restores_as_the_stock_one_does(
    role, where, weights, photo_file, tmp_path
):
    path = write(role, tmp_path)
    assert Config._is_lazy_import(str(path))
    restored = with_jpeg_restore(path, where=where, restorer=weights)
    steps = [transform_name(step) for step in restored.test_dataloader.dataset.pipeline]
    assert steps[:2] == ["LoadImageFromFile", {"pipeline": "JpegRestore"}.get(where, "JpegDefer")]
    restored.dump(str(tmp_path / "restored.py"))
    expected = with_jpeg_restore(demo_configs()[role][0], where=where, restorer=weights)
    found = outcome(str(tmp_path / "restored.py"), role, photo_file)
    np.testing.assert_array_equal(found, outcome(expected, role, photo_file))
    plain = outcome(demo_configs()[role][0], role, photo_file)
    assert found.shape != plain.shape or not np.array_equal(found, plain)


def shipped() -> list[Path]:
    """The first pure Python config of each kind that mmdet ships."""
    spec = find_spec("mmdet")
    folder = Path(str(spec.origin)).parent / "configs" if spec else Path("absent")
    kinds = [kind for kind in sorted(folder.glob("*")) if kind.name not in ("_base_", "common")]
    firsts = [next(iter(sorted(kind.glob("*.py"))), None) for kind in kinds]
    return [path for path in firsts if path is not None and "read_base" in path.read_text()]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("where", ["pipeline", "preprocessor"])
def test_one_of_each_kind_that_is_shipped(where):
    found = shipped()
    if not found:
        pytest.skip("this mmdet ships no pure Python configs")
    for path in found:
        restored = with_jpeg_restore(path, where=where)
        assert "Jpeg" in transform_name(restored.test_dataloader.dataset.pipeline[1])
