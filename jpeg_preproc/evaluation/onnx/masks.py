"""Segmenters against folders of masks: mIoU over the set, as mmseg's ``IoUMetric`` counts it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from jpeg_preproc.defaults import MAX_PIXELS
from jpeg_preproc.distributed import ALONE, Processes
from jpeg_preproc.errors import AnnotationError, ModelError
from jpeg_preproc.evaluation.figures import iou_figure
from jpeg_preproc.evaluation.onnx.settings import MaskSettings
from jpeg_preproc.evaluation.onnx.truth import annotated_path, choose_images
from jpeg_preproc.evaluation.task import Figure, LabelMap
from jpeg_preproc.evaluation.testset import OnCheck, read_mask
from jpeg_preproc.jpeg import apply_orientation, load_image
from jpeg_preproc.stats.per_image import image_iou

_VALUES = 256


class MaskTruth:
    """Images with masks, as :class:`~jpeg_preproc.evaluation.onnx.truth.Truth`.

    Args:
        settings: Where they are, and what their values mean.
        classes: Names of the model's classes; each is found among those of the masks by its name.
        limit: Evaluate this many images, evenly spaced over the set.
        on_check: Called for each image while the set is checked.
        processes: Those that share the checking.
        max_pixels: An image of more pixels is left out; ``None`` for any number.

    Raises:
        ModelError: The model's classes are not those of the masks.
        AnnotationError: The list or folder of images is missing, or no image can be used.
    """

    def __init__(
        self,
        settings: MaskSettings,
        classes: Sequence[str | None],
        limit: int | None = None,
        on_check: OnCheck | None = None,
        processes: Processes = ALONE,
        max_pixels: int | None = MAX_PIXELS,
    ) -> None:
        self._settings = settings
        self._root = Path(settings.data_root)
        self.names = [name for name in settings.classes if name is not None]
        _require_same(classes, self.names)
        # Value of the mask, and label of the model, to the class's number; -1 counts as none.
        self._of_value = np.full(_VALUES, -1)
        for value, name in enumerate(settings.classes):
            if name is not None and value != settings.ignore:
                self._of_value[value] = self.names.index(name)
        self._of_label = np.array(
            [-1 if name is None else self.names.index(name) for name in classes]
        )
        stems = _stems(self._root, settings)

        def check(index: int) -> tuple[Path, ...]:
            path = annotated_path(self._root, settings.images, stems[index] + settings.image_suffix)
            loaded = load_image(path, max_pixels=max_pixels)
            upright = apply_orientation(loaded.pixels, loaded.orientation)
            mask = self._mask_path(stems[index])
            self._read(mask, (upright.shape[0], upright.shape[1]))
            return path, mask

        images = [stem + settings.image_suffix for stem in stems]
        chosen = choose_images(images, check, "\n".join(stems).encode(), limit, on_check, processes)
        self.paths, self.skipped, self.digest = chosen.paths, chosen.skipped, chosen.digest
        self._stems = [stems[index] for index in chosen.indices]

    @property
    def order(self) -> range:
        """Places of the images: as they are."""
        return range(len(self.paths))

    @property
    def class_names(self) -> dict[int, str]:
        """Name of each class by its number."""
        return dict(enumerate(self.names))

    def tally(self) -> MaskTally:
        """Return an empty tally."""
        return MaskTally(self)

    def areas(self, index: int, labels: np.ndarray) -> tuple[np.ndarray, ...]:
        """Return intersection, union, and the truth alone: pixels of each class, (classes,) each.

        Args:
            index: Index of the image.
            labels: Labels that the model gave, (H, W).
        """
        found, truth = self.label_map(index, labels)
        counts = truth >= 0
        truth, found = truth[counts], found[counts]
        number = len(self.names)
        hit = np.bincount(truth[truth == found], minlength=number)
        area = np.bincount(truth, minlength=number)
        taken = np.bincount(found[found >= 0], minlength=number)
        return hit, area + taken - hit, area

    def label_map(self, index: int, labels: np.ndarray) -> LabelMap:
        """Return labels that the model gave, (H, W), and the truth of the image of an index."""
        mask = self._read(self._mask_path(self._stems[index]), (labels.shape[0], labels.shape[1]))
        return LabelMap(self._of_label[labels], self._of_value[mask])

    def _mask_path(self, stem: str) -> Path:
        return annotated_path(self._root, self._settings.masks, stem + self._settings.mask_suffix)

    def _read(self, path: Path, shape: tuple[int, int]) -> np.ndarray:
        """Return a mask, (H, W) uint8, all of whose values have a meaning."""
        mask = read_mask(path.read_bytes(), str(path), shape)
        if mask.ndim != 2 or mask.max() >= _VALUES:
            raise AnnotationError(
                f"{path}: the mask has shape {mask.shape} and values up to {mask.max()}; give grey "
                "or palette images with the class of each pixel, 0-255"
            )
        values = np.unique(mask.astype(np.uint8))
        unknown = values[
            (values >= len(self._settings.classes)) & (values != self._settings.ignore)
        ]
        if unknown.size:
            raise AnnotationError(
                f"{path}: the mask has the value {int(unknown[0])}, and data.classes has "
                f"{len(self._settings.classes)} names, from 0; name it, or set data.ignore"
            )
        return mask.astype(np.uint8)


class MaskTally:
    """What a segmenter found in the images of a :class:`MaskTruth`, as areas by class."""

    def __init__(self, truth: MaskTruth) -> None:
        self._truth = truth
        self.found: dict[int, tuple[np.ndarray, ...]] = {}

    def add(self, index: int, found: np.ndarray) -> None:
        """Take the (H, W) labels found in the image of an index."""
        self.found[index] = self._truth.areas(index, found)

    def figure(self, kept: Path) -> tuple[Figure, dict[str, float]]:
        """Return mIoU, and the IoU of each class in percent; nothing is kept."""
        del kept
        intersect, union, _ = self._areas()
        figure = iou_figure(intersect, union, self._truth.names)
        hit, area = intersect.sum(0), union.sum(0)
        parts = {
            f"IoU/{name}": float(100 * hit[number] / area[number])
            for number, name in enumerate(self._truth.names)
            if area[number]
        }
        return figure, {"mIoU": figure.value, **parts}

    def per_image(self) -> dict[str, Any]:
        """Return the IoU of each image."""
        return {"image_iou": image_iou(*self._areas())}

    def _areas(self) -> list[np.ndarray]:
        """Return what :meth:`MaskTruth.areas` gives of all images, (I, classes) each."""
        ordered = [self.found[index] for index in sorted(self.found)]
        return [np.stack(part).astype(float) for part in zip(*ordered, strict=True)]


def _require_same(classes: Sequence[str | None], names: Sequence[str]) -> None:
    unknown = [name for name in classes if name is not None and name not in names]
    lacking = [name for name in names if name not in classes]
    if unknown or lacking:
        raise ModelError(
            f"model.classes and data.classes differ: only the model has "
            f"{', '.join(unknown[:5]) or 'none'}, only the masks have "
            f"{', '.join(lacking[:5]) or 'none'}; name the same in both, in any order, with None "
            "for what does not count"
        )


def _stems(root: Path, settings: MaskSettings) -> list[str]:
    """Return the images' names without suffix: those of the list, or all in the folder."""
    if settings.split is not None:
        path = root / settings.split
        try:
            lines = path.read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise AnnotationError(f"{path} cannot be read: {error}; check data.split") from error
        return list(dict.fromkeys(line.strip() for line in lines if line.strip()))
    folder = root / settings.images
    if not folder.is_dir():
        raise AnnotationError(f"{folder} is no folder; check data_root and data.images")
    suffix = settings.image_suffix
    stems = sorted(path.name.removesuffix(suffix) for path in folder.glob(f"*{suffix}"))
    if not stems:
        raise AnnotationError(f"{folder} holds no {suffix} images; check data.image_suffix")
    return stems
