"""A selection of a config's test images, and damage for it to find."""

from __future__ import annotations

from pathlib import Path

from mmengine.config import Config
from mmengine.registry import init_default_scope

from jpeg_preproc.openmmlab.config import load_config
from jpeg_preproc.openmmlab.evaluation.selection import Selection, select_images


def select(path: Path, folder: Path, limit: int | None = None) -> tuple[Config, Selection]:
    config = load_config(path)
    init_default_scope(config.default_scope)
    return config, select_images(config, folder / "narrowed", limit)


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])


def drop(path: Path) -> None:
    path.unlink()
