"""The demo's files, which lie in the package: what they are, and that they are the right ones.

``files.csv`` names each of them with its SHA-256, licence, source and author. Nothing here imports
mmdet or mmseg.
"""

from __future__ import annotations

import csv
from pathlib import Path

from jpeg_preproc.errors import DemoError
from jpeg_preproc.io import sha256_file

FOLDER = Path(__file__).resolve().parent

PHOTOS = FOLDER / "photos"
"""The photographs with ``instances.json`` (COCO), ``masks`` (VOC's classes) and ``names.txt``."""

DEMO_STUDY = FOLDER / "configs" / "demo.py"
"""The study of the demo's models, which is measured where none is named."""

TABLE = FOLDER / "files.csv"

WHAT_IT_SHOWS = (
    "These are photographs (forty of COCO val2017) and stock models, and no shipped restorer was "
    "trained with either: what is lost on JPEG and what comes back is measured, not staged. Forty "
    "photographs are few: read the intervals, above all of mIoU, where a photograph that holds "
    "most of a class moves the figure by points. It says nothing of other models, cameras and "
    "encoders, and as the masks are drawn from COCO's polygons, this mIoU compares with none "
    "published on VOC."
)
"""What the demo's figures do and do not show."""

_MODELS = {"detector": "yolox_nano", "segmenter": "deeplabv3_mnv2"}


def demo_configs() -> dict[str, tuple[Path, Path]]:
    """Return ``{'detector': (config, checkpoint), 'segmenter': (config, checkpoint)}``.

    The configs test on the demo's photographs, where these lie. The checkpoints load
    with ``weights_only=True``.
    """
    return {
        role: (FOLDER / "configs" / f"{name}.py", FOLDER / "weights" / f"{name}.pth")
        for role, name in _MODELS.items()
    }


def demo_files(table: Path = TABLE) -> list[dict[str, str]]:
    """Return the table's rows: ``file``, ``sha256``, ``licence``, ``source`` and ``author``."""
    with table.open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def check_demo_files(folder: Path = FOLDER) -> None:
    """Check that the demo's photographs, annotations and weights are the ones that were shipped.

    Args:
        folder: Folder of ``files.csv`` and of what it names.

    Raises:
        DemoError: A file is missing or has another SHA-256.
    """
    mend = "install jpeg_preproc anew, or restore the file with git"
    try:
        rows = demo_files(folder / TABLE.name)
    except OSError as error:
        raise DemoError(f"{folder / TABLE.name} cannot be read: {error}; {mend}") from error
    for row in rows:
        path = folder / row["file"]
        try:
            digest = sha256_file(path)
        except OSError as error:
            raise DemoError(f"{path} cannot be read: {error}; {mend}") from error
        if digest != row["sha256"]:
            raise DemoError(
                f"{path}: SHA-256 is {digest[:16]}…, but {TABLE.name} says {row['sha256'][:16]}…; "
                f"{mend}"
            )
