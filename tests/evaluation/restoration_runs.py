"""Restoration runs with functions of a test's own, and images as Pillow codes them."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from jpeg_preproc.evaluation.conditions import RestorerChoice
from jpeg_preproc.evaluation.restoration import RestorationRun, evaluate_restoration
from jpeg_preproc.restorers import DecodedImage, Restored

OneImage = Callable[[DecodedImage], np.ndarray]


class Function:
    """A function of one image as a restorer that takes several."""

    def __init__(self, function: OneImage) -> None:
        self.function = function

    def restore(self, images: Sequence[DecodedImage], qf: object) -> list[Restored]:
        return [Restored(self.function(image), None, "blind") for image in images]


def choice(name: str = "blur") -> RestorerChoice:
    return RestorerChoice(name, name, sha256=f"that of {name}")


def measured(
    folders: Sequence[Path],
    corruptions: Sequence[str],
    function: OneImage | Mapping[str, OneImage],
    **options: Any,
) -> RestorationRun:
    """Measure a function of a user's own, under the name ``blur``; or several, by name."""
    functions = function if isinstance(function, Mapping) else {"blur": function}
    return evaluate_restoration(
        folders,
        corruptions,
        [choice(name) for name in functions],
        load=lambda chosen, settings: Function(functions[chosen.name]),
        **options,
    )


def coded_by_pillow(pixels: np.ndarray, kind: str, **options: Any) -> tuple[bytes, np.ndarray]:
    """Return the file that Pillow writes and the pixels that it reads back."""
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, kind, **options)
    return stream.getvalue(), np.array(Image.open(stream))
