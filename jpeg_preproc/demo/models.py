"""The demo's two trained models: where their configs and weights lie, and what data they read.

Nothing here imports mmdet or mmseg.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

_HERE = Path(__file__).resolve().parent

MODELS: tuple[str, ...] = ("detector", "segmenter")


def demo_configs() -> dict[str, tuple[Path, Path]]:
    """Return ``{'detector': (config, checkpoint), 'segmenter': (config, checkpoint)}``.

    The checkpoints load with ``torch.load(..., weights_only=True)``.
    """
    return {
        name: (_HERE / "configs" / f"{name}.py", _HERE / "weights" / f"{name}.pth")
        for name in MODELS
    }


def demo_cfg_options(root: str | os.PathLike[str], name: str) -> dict[str, Any]:
    """Return the config keys that point a demo config at the set below ``root``.

    Meant for ``mmengine.Config.merge_from_dict``:

    >>> demo_cfg_options("out/demo", "segmenter")["test_dataloader.dataset.data_root"]
    'out/demo'

    Args:
        root: Folder given to :func:`~.layout.make_demo_dataset`.
        name: Which model: ``'detector'`` or ``'segmenter'``.

    Raises:
        KeyError: ``name`` is none of these.
    """
    if name not in MODELS:
        raise KeyError(f"no demo model is called {name!r}; there are {', '.join(MODELS)}")
    root = Path(root)
    options: dict[str, Any] = {
        "data_root": str(root),
        "train_dataloader.dataset.data_root": str(root),
        "test_dataloader.dataset.data_root": str(root),
    }
    if name == "detector":
        options["test_evaluator.ann_file"] = str(root / "coco/annotations/instances_val.json")
    return options
