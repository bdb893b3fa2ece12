"""Tasks of the toy models on the toy sets."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import toysets

from jpeg_preproc.openmmlab.evaluation.task import OpenMMLabTask


def detector(
    tmp_path: Path,
    root: Path,
    threshold: float = 110.0,
    config: Path | None = None,
    **settings: Any,
) -> OpenMMLabTask:
    config = config or toysets.detector_config(tmp_path, root)
    return OpenMMLabTask(
        config, toysets.checkpoint(tmp_path, threshold), tmp_path / "out", **settings
    )


def segmenter(
    tmp_path: Path, root: Path, threshold: float = 110.0, **settings: Any
) -> OpenMMLabTask:
    config = toysets.segmenter_config(tmp_path, root)
    return OpenMMLabTask(
        config, toysets.checkpoint(tmp_path, threshold), tmp_path / "out", **settings
    )
