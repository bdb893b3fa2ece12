"""The folders of images that restoration is measured on."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from jpeg_preproc.errors import ImageReadError
from jpeg_preproc.jpeg.image import IMAGE_SUFFIXES


def find_images(folder: str | os.PathLike[str]) -> list[Path]:
    """Return the image files directly in a folder, by name.

    Args:
        folder: Path of the folder.

    Raises:
        ImageReadError: There is no such folder, or no image in it.
    """
    root = Path(folder)
    if not root.is_dir():
        raise ImageReadError(f"{root} is no folder; give a folder of images.")
    paths = sorted(
        path
        for path in root.iterdir()
        if path.suffix.lower() in IMAGE_SUFFIXES and not path.is_dir()
    )
    if not paths:
        below = sorted(path.name for path in root.iterdir() if path.is_dir())
        hint = f" Give one of its folders: {', '.join(below)}." if below else ""
        raise ImageReadError(f"{root} holds no image ({', '.join(sorted(IMAGE_SUFFIXES))}).{hint}")
    return paths


def dataset_folders(folders: Sequence[str | os.PathLike[str]]) -> dict[str, Path]:
    """Return the folders, each once, by as many last parts of its path as tell it from the others.

    Args:
        folders: Paths of folders.

    Raises:
        ImageReadError: There is no folder.
    """
    given = [Path(folder) for folder in folders]
    # A link keeps the name it was given by; '.' and '..' have none.
    named = [path if path.name not in ("", "..") else path.resolve() for path in given]
    paths = list(dict.fromkeys(path.absolute() for path in named))
    if not paths:
        raise ImageReadError("No folder of images was given; give at least one.")
    for count in range(1, max(len(path.parts) for path in paths) + 1):
        names = ["/".join(path.parts[-count:]) for path in paths]
        if len(set(names)) == len(paths):
            break
    return dict(zip(names, paths, strict=True))
