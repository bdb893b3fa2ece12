"""Classifiers against folders of classes, or a list of images with their classes: top-1."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from jpeg_preproc.defaults import MAX_PIXELS
from jpeg_preproc.distributed import ALONE, Processes
from jpeg_preproc.errors import AnnotationError, ModelError
from jpeg_preproc.evaluation.figures import OF_CLASS, TOP1, top1_figure
from jpeg_preproc.evaluation.onnx.settings import FolderSettings, ListSettings
from jpeg_preproc.evaluation.onnx.truth import annotated_path, choose_images
from jpeg_preproc.evaluation.task import Figure
from jpeg_preproc.evaluation.testset import OnCheck
from jpeg_preproc.jpeg import load_image
from jpeg_preproc.jpeg.image import IMAGE_SUFFIXES

#: Path of an image in the folder of images, and the index of its class.
_Record = tuple[str, int]


class LabelTruth:
    """Images with a class each, as :class:`~jpeg_preproc.evaluation.onnx.truth.Truth`.

    Attributes:
        classes: Names of the model's classes: those given, or the folders' in alphabetical order.
        labels: Index of each image's class among them.

    Args:
        settings: Where they are.
        classes: Names of the model's classes; ``None`` for those of the folders.
        limit: Evaluate this many images, evenly spaced over the set.
        on_check: Called for each image while the set is checked.
        processes: Those that share the checking.
        max_pixels: An image of more pixels is left out; ``None`` for any number.

    Raises:
        ModelError: The model's classes are neither named nor those of folders.
        AnnotationError: The list or the folder is missing, names a class that the model has not,
            or no image can be used.
    """

    def __init__(
        self,
        settings: FolderSettings | ListSettings,
        classes: Sequence[str | None] | None,
        limit: int | None = None,
        on_check: OnCheck | None = None,
        processes: Processes = ALONE,
        max_pixels: int | None = MAX_PIXELS,
    ) -> None:
        root = Path(settings.data_root)
        if isinstance(settings, FolderSettings):
            self.classes, records = _of_folders(root / settings.images, classes)
        elif classes is None:
            raise ModelError(
                "model.classes is missing: a list of images does not say what the model's classes "
                "are; name them in the model's order, or number them: [str(i) for i in range(1000)]"
            )
        else:
            self.classes = tuple(classes)
            records = _of_list(root / settings.ann_file, self.classes)

        def check(index: int) -> tuple[Path, ...]:
            path = annotated_path(root, settings.images, records[index][0])
            load_image(path, max_pixels=max_pixels)
            return (path,)

        content = "".join(f"{name}:{self.classes[label]}\n" for name, label in records).encode()
        names = [name for name, _ in records]
        chosen = choose_images(names, check, content, limit, on_check, processes)
        self.paths, self.skipped, self.digest = chosen.paths, chosen.skipped, chosen.digest
        self.labels = [records[index][1] for index in chosen.indices]

    @property
    def order(self) -> range:
        """Places of the images: as they are."""
        return range(len(self.paths))

    @property
    def class_names(self) -> dict[int, str]:
        """Name of each class by its index."""
        return {index: name or f"class {index}" for index, name in enumerate(self.classes)}

    def tally(self) -> LabelTally:
        """Return an empty tally."""
        return LabelTally(self)


class LabelTally:
    """What a classifier took the images of a :class:`LabelTruth` for."""

    def __init__(self, truth: LabelTruth) -> None:
        self._truth = truth
        self.found: dict[int, int] = {}

    def add(self, index: int, found: int) -> None:
        """Take the index of the class found in the image of an index."""
        self.found[index] = int(found)

    def figure(self, kept: Path) -> tuple[Figure, dict[str, float]]:
        """Return top-1 accuracy, whole and of each class, in percent; nothing is kept."""
        del kept
        figure = top1_figure(self._labels(), self._truth.class_names)
        parts = {
            f"{TOP1}/{name.removeprefix(OF_CLASS)}": part[0]
            for name, part in (figure.parts or {}).items()
        }
        return figure, {TOP1: figure.value, **parts}

    def per_image(self) -> dict[str, Any]:
        """Return the class found in each image, and its own."""
        return {"labels": self._labels()}

    def _labels(self) -> list[tuple[int, int]]:
        found = (self.found[index] for index in sorted(self.found))
        return list(zip(found, self._truth.labels, strict=True))


def _of_folders(
    folder: Path, classes: Sequence[str | None] | None
) -> tuple[tuple[str | None, ...], list[_Record]]:
    """Return the classes, and the images in the folder of each, by name."""
    if not folder.is_dir():
        raise AnnotationError(f"{folder} is no folder; check data_root and data.images")
    names = sorted(path.name for path in folder.iterdir() if path.is_dir())
    if not names:
        raise AnnotationError(f"{folder} holds no folder; put one there for each class")
    known = tuple(names) if classes is None else tuple(classes)
    unknown = [name for name in names if name not in known]
    if unknown:
        raise AnnotationError(
            f"{folder} has the folder {', '.join(unknown[:5])}, and model.classes has no such "
            f"class among its {len(known)}; name it there, or take the folder out"
        )
    records = []
    for name in names:
        label = known.index(name)
        images = sorted(
            path.relative_to(folder).as_posix()
            for path in (folder / name).rglob("*")
            if path.suffix.lower() in IMAGE_SUFFIXES and not path.is_dir()
        )
        if not images:
            raise AnnotationError(
                f"{folder / name} holds no image ({', '.join(sorted(IMAGE_SUFFIXES))}), though it "
                "stands for a class; put some there, or take the folder out"
            )
        records += [(image, label) for image in images]
    return known, records


def _of_list(path: Path, classes: Sequence[str | None]) -> list[_Record]:
    """Return what a list says of each image, in its order."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise AnnotationError(f"{path} cannot be read: {error}; check data.ann_file") from error
    # A name goes before a number, which may be the name of another class.
    known = {str(index): index for index, name in enumerate(classes) if name is not None}
    known |= {name: index for index, name in enumerate(classes) if name is not None}
    records: dict[str, int] = {}
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        name, label = _split(line.strip(), known)
        where = f"{path}, line {number}"
        if label is None:
            raise AnnotationError(
                f"{where}: {line.strip()!r} does not end in a class; give the image's path, a "
                f"space, and one of model.classes or its number, 0 to {len(classes) - 1}"
            )
        if records.get(name, label) != label:
            raise AnnotationError(f"{where}: {name} is there twice, with two classes; keep one")
        records[name] = label
    if not records:
        raise AnnotationError(f"{path} names no image; give a line for each: its path and class")
    return list(records.items())


def _split(line: str, known: Mapping[str, int]) -> tuple[str, int | None]:
    """Return the path and the index of the class in a line; ``None`` where there is no such class.

    Both may hold spaces: the class is the longest end of the line that is one.
    """
    words = line.split(" ")
    for start in range(1, len(words)):
        name, text = " ".join(words[:start]).rstrip(), " ".join(words[start:])
        if text in known:
            return name, known[text]
    return line, None
