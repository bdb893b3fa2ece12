"""Writes configs in mmengine's pure Python style: ``read_base``, and classes as types.

As ``mmdet/configs`` and ``mmseg/configs`` of the public repositories are, of which the installed
packages may ship none.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

from mmengine.config import Config, ConfigDict

SCOPES = {"detector": "mmdet", "segmenter": "mmseg"}
_REGISTRIES = (
    *("MODELS", "TRANSFORMS", "DATASETS", "DATA_SAMPLERS", "METRICS", "LOOPS", "VISUALIZERS"),
    *("VISBACKENDS", "HOOKS", "LOG_PROCESSORS"),
)
# What stands in the base that all share, in one of its own, and in the config itself.
_FILES = {
    "data.py": ("test_pipeline", "test_dataloader", "test_evaluator", "tta_pipeline"),
    "model.py": ("model", "tta_model"),
    "runtime.py": ("test_cfg", "visualizer", "default_hooks"),
}


def _public_module(found: type) -> str:
    """Return the module that people import a class from: mmdet.models, not one of its files."""
    parts = found.__module__.split(".")
    paths = [".".join(parts[:depth]) for depth in range(2, len(parts) + 1)]
    return next(path for path in paths if getattr(import_module(path), found.__name__, 0) is found)


class _Writer:
    """Writes values as Python: what the registries of a scope know by name becomes a class."""

    def __init__(self, scope: str, as_names: Collection[str]) -> None:
        registry = import_module(f"{scope}.registry")
        self.registries = [getattr(registry, name) for name in _REGISTRIES]
        self.as_names = as_names
        self.imports: set[str] = set()

    def text(self, value: object) -> str:
        if isinstance(value, Mapping):
            return "dict(" + ", ".join(f"{key}={self.item(key, value[key])}" for key in value) + ")"
        if isinstance(value, (list, tuple)):
            inner = "".join(f"{self.text(item)}, " for item in value)
            return f"[{inner}]" if isinstance(value, list) else f"({inner})"
        return repr(value)

    def item(self, key: str, value: object) -> str:
        if key == "type" and isinstance(value, str) and value not in self.as_names:
            found = next(filter(None, (one.get(value) for one in self.registries)), None)
            # Two names that mmdet's and torch's classes share would need an alias.
            if isinstance(found, type) and not found.__module__.startswith("torch"):
                self.imports.add(f"from {_public_module(found)} import {found.__name__}")
                return found.__name__
        # mmcv knows by the names of activations which arguments these take.
        return repr(value) if key == "act_cfg" else self.text(value)


def write_pure_python(
    config: Config,
    role: str,
    folder: Path,
    as_names: Sequence[str] = (),
    default_scope: str | None = None,
) -> Path:
    """Write what a config says of its tests in the new style, below ``folder``; return its path.

    Args:
        config: A config whose types are names.
        role: ``'detector'`` or ``'segmenter'``.
        folder: An empty folder.
        as_names: Types that remain names.
        default_scope: As in the config; all public ones have ``None``.
    """
    import_module(f"{SCOPES[role]}.utils").register_all_modules(init_default_scope=False)
    folder.mkdir(parents=True, exist_ok=True)
    for name, keys in _FILES.items():
        writer = _Writer(SCOPES[role], as_names)
        body = "".join(
            f"{key} = {writer.text(_plain(config[key]))}\n" for key in keys if config.get(key)
        )
        imports = "".join(f"{line}\n" for line in sorted(writer.imports))
        assert imports or not body, "no class was found, so that this is no pure Python config"
        (folder / name).write_text(f"{imports}\n{body}")
    child = folder / f"{role}.py"
    child.write_text(
        "from mmengine.config import read_base\n\n"
        "with read_base():\n"
        "    from .data import *\n    from .model import *\n    from .runtime import *\n\n"
        f"default_scope = {default_scope!r}\n"
        "test_dataloader.update(dict(num_workers=0, persistent_workers=False))\n"
    )
    assert Config._is_lazy_import(str(child))
    return child


def _plain(value: Any) -> Any:
    """Return a config's value in plain containers."""
    if isinstance(value, Mapping):
        return ConfigDict(value).to_dict()
    return [ConfigDict(step).to_dict() for step in value] if isinstance(value, list) else value
