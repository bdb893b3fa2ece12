"""Images' names that tell what they are: ``1.jpg`` becomes ``1.png``."""

from __future__ import annotations

import json
import posixpath
from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Any

from jpeg_preproc.datasets.scan import DatasetTree
from jpeg_preproc.errors import DatasetError
from jpeg_preproc.jpeg.image import IMAGE_SUFFIXES


def rename_image(name: str, suffix: str) -> str:
    """Return an image's name with another suffix.

    >>> rename_image("val2017/1.jpg", ".png"), rename_image("frame.0001", ".png")
    ('val2017/1.png', 'frame.0001.png')
    """
    found = PurePosixPath(name).suffix
    stem = name[: -len(found)] if found.lower() in IMAGE_SUFFIXES else name
    return stem + suffix


def target_names(tree: DatasetTree, suffix: str | None) -> Mapping[str, str]:
    """Return image -> its name in the rewritten tree, the same if ``suffix`` is None.

    Raises:
        DatasetError: Two files would have one name.
    """
    if suffix is None:
        return {name: name for name in tree.images}
    targets: dict[str, str] = {}
    sources = {name: name for name in tree.carried}
    for name in tree.images:
        target = rename_image(name, suffix)
        other = sources.setdefault(target, name)
        if other != name:
            raise DatasetError(
                f"{other} and {name} would both be called {target} in the result; rename one of "
                "them, or keep the names (--names keep)."
            )
        targets[name] = target
    return targets


def rename_in_annotation(data: bytes, suffix: str) -> bytes | None:
    """Return a COCO annotation file with its images' new names.

    Every ``images[].file_name`` changes, also those of splits that are not there yet; an absolute
    path stays, since the file that it names does.

    Args:
        data: Bytes of the annotation file.
        suffix: What the images' names end in from now on, such as ``.png``.

    Returns:
        The new bytes; None if it names no images.
    """
    try:
        content: Any = json.loads(data)
    except (ValueError, RecursionError):
        return None
    images = content.get("images") if isinstance(content, dict) else None
    if not isinstance(images, list):
        return None
    named = [
        image
        for image in images
        if isinstance(image, dict)
        and isinstance(image.get("file_name"), str)
        and not posixpath.isabs(image["file_name"])
    ]
    for image in named:
        image["file_name"] = rename_image(image["file_name"], suffix)
    # ASCII, since readers open it in whatever encoding their system prefers.
    return json.dumps(content).encode("ascii") if named else None
