"""Detectors against boxes of COCO's form: mAP by pycocotools."""

from __future__ import annotations

import contextlib
import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from jpeg_preproc.datasets.coco import read_annotation_json
from jpeg_preproc.defaults import MAX_PIXELS
from jpeg_preproc.distributed import ALONE, Processes
from jpeg_preproc.errors import AnnotationError, JpegPreprocError
from jpeg_preproc.evaluation.figures import coco_figure
from jpeg_preproc.evaluation.onnx.models import Boxes
from jpeg_preproc.evaluation.onnx.settings import CocoSettings
from jpeg_preproc.evaluation.onnx.truth import annotated_path, choose_images
from jpeg_preproc.evaluation.task import Figure
from jpeg_preproc.evaluation.testset import OnCheck
from jpeg_preproc.io import write_text_atomic
from jpeg_preproc.jpeg import load_image
from jpeg_preproc.stats.agreement import confident
from jpeg_preproc.stats.coco_ap import coco_ap


class CocoTruth:
    """Images with boxes, as :class:`~jpeg_preproc.evaluation.onnx.truth.Truth`.

    Args:
        settings: Where they are.
        classes: Names of the model's classes; each is found among the categories by its name.
        limit: Evaluate this many images, evenly spaced over the set.
        on_check: Called for each image while the set is checked.
        processes: Those that share the checking.
        max_pixels: An image of more pixels is left out; ``None`` for any number.

    Raises:
        AnnotationError: The annotation file is missing or malformed, the model's classes are not
            its categories, or no image can be used.
        JpegPreprocError: pycocotools is not installed.
    """

    def __init__(
        self,
        settings: CocoSettings,
        classes: Sequence[str | None],
        limit: int | None = None,
        on_check: OnCheck | None = None,
        processes: Processes = ALONE,
        max_pixels: int | None = MAX_PIXELS,
    ) -> None:
        root = Path(settings.data_root)
        file = root / settings.ann_file
        document = _read(file)
        names = {entry["name"]: entry["id"] for entry in document["categories"]}
        self.category_ids, self._counted = _match(file, names, classes, settings.categories)
        self._truth = _index(document)
        records = document["images"]

        def check(index: int) -> tuple[Path, ...]:
            path = annotated_path(root, settings.images, records[index]["file_name"])
            load_image(path, max_pixels=max_pixels)
            return (path,)

        files = [record["file_name"] for record in records]
        content = json.dumps(document, sort_keys=True).encode()
        chosen = choose_images(files, check, content, limit, on_check, processes)
        self.paths, self.skipped, self.digest = chosen.paths, chosen.skipped, chosen.digest
        self.image_ids = [records[index]["id"] for index in chosen.indices]

    @property
    def order(self) -> list[int]:
        """Places of the images by their ids, as pycocotools and the draws of mAP have them."""
        return sorted(range(len(self.image_ids)), key=self.image_ids.__getitem__)

    @property
    def class_names(self) -> dict[int, str]:
        """Name of each category by its id, which is what is kept of a box."""
        return {entry["id"]: entry["name"] for entry in self._truth.dataset["categories"]}

    def tally(self) -> BoxTally:
        """Return an empty tally."""
        return BoxTally(self)

    def compare(self, detections: list[dict[str, Any]]) -> tuple[Figure, dict[str, float]]:
        """Return mAP of detections in COCO's results format, and its parts as fractions.

        Raises:
            AnnotationError: The images have no ground truth boxes.
        """
        found = coco_ap(self._truth, detections, self._counted, self.image_ids)
        return coco_figure(found, "bbox", self.class_names), found.parts


class BoxTally:
    """The boxes found in the images of a :class:`CocoTruth`."""

    def __init__(self, truth: CocoTruth) -> None:
        self._truth = truth
        self.found: dict[int, list[dict[str, Any]]] = {}

    def add(self, index: int, found: Boxes) -> None:
        """Take the boxes found in the image of an index; those without a category are dropped."""
        image = self._truth.image_ids[index]
        detections = self.found[index] = []
        for box, score, label in zip(found.boxes, found.scores, found.labels, strict=True):
            category = self._truth.category_ids[int(label)]
            if category is not None:
                left, top, right, bottom = (float(side) for side in box)
                detections.append(
                    {
                        "image_id": image,
                        "category_id": category,
                        "bbox": [left, top, right - left, bottom - top],
                        "score": float(score),
                    }
                )

    def figure(self, kept: Path) -> tuple[Figure, dict[str, float]]:
        """Return mAP, and keep the boxes as ``KEPT.bbox.json`` in COCO's results format."""
        detections = [entry for index in sorted(self.found) for entry in self.found[index]]
        # Before pycocotools adds keys of its own.
        write_text_atomic(kept.with_name(f"{kept.name}.bbox.json"), json.dumps(detections) + "\n")
        return self._truth.compare(detections)

    def per_image(self) -> dict[str, Any]:
        """Return the boxes of each image that count for its agreement with the original."""
        return {"detections": [_confident(self.found[index]) for index in self._truth.order]}


def _confident(detections: Sequence[Mapping[str, Any]]) -> list[list[float]]:
    """Return the boxes of an image, given in COCO's results format, whose score is high enough."""
    boxes = np.array([entry["bbox"] for entry in detections], float).reshape(-1, 4)
    boxes[:, 2:] += boxes[:, :2]
    scores, labels = (
        np.array([entry[key] for entry in detections]) for key in ("score", "category_id")
    )
    return confident(boxes, scores, labels)


def _read(path: Path) -> dict[str, Any]:
    """Read an annotation file; number its annotations from 1 and fill in the keys they lack."""
    document = read_annotation_json(path)
    try:
        images = [{**entry, "file_name": str(entry["file_name"])} for entry in document["images"]]
        categories = [
            {"id": entry["id"], "name": str(entry["name"])} for entry in document["categories"]
        ]
        annotations = []
        # From 1 on: pycocotools takes a match with the object of id 0 for none.
        for number, entry in enumerate(document["annotations"], start=1):
            left, top, width, height = (float(side) for side in entry["bbox"])
            annotations.append(
                {
                    "id": number,
                    "image_id": entry["image_id"],
                    "category_id": entry["category_id"],
                    "bbox": [left, top, width, height],
                    "area": float(entry.get("area", width * height)),
                    "iscrowd": int(entry.get("iscrowd", 0)),
                }
            )
        for part, key in ((images, "id"), (categories, "id"), (categories, "name")):
            if len({entry[key] for entry in part}) < len(part):
                raise ValueError(f"an {key} of its images or categories stands there twice")
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise AnnotationError(
            f"{path} is not of COCO's form ({type(error).__name__}: {error}): it needs images with "
            "id and file_name, categories with id and name, annotations with image_id, "
            "category_id and bbox"
        ) from error
    return {"images": images, "categories": categories, "annotations": annotations}


def _match(
    file: Path,
    categories: dict[str, int],
    classes: Sequence[str | None],
    chosen: Sequence[str] | None,
) -> tuple[list[int | None], list[int]]:
    """Return the category id of each class, ``None`` where it does not count, and all that do."""
    counted = list(categories) if chosen is None else list(chosen)
    unknown = [name for name in (*classes, *counted) if name is not None and name not in categories]
    if unknown:
        raise AnnotationError(
            f"{file} has no category {', '.join(dict.fromkeys(unknown[:5]))}, which model.classes "
            f"or data.categories names; it has {', '.join(categories)}: name them exactly so, and "
            "give None for a class that has no category"
        )
    lacking = [name for name in counted if name not in classes]
    if lacking:
        raise AnnotationError(
            f"{file} has the category {', '.join(lacking[:5])}, which model.classes does not name; "
            "add it there, or say in data.categories which are to count"
        )
    ids = {name: categories[name] for name in counted}
    return [ids.get(name) if name is not None else None for name in classes], list(ids.values())


def _index(document: dict[str, Any]) -> Any:
    """Return pycocotools' index of an annotation file that was read."""
    try:
        from pycocotools.coco import COCO
    except ImportError as error:
        raise JpegPreprocError(
            f"box AP needs pycocotools ({error}); pip install 'jpeg_preproc[onnx]'"
        ) from error
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO()
        truth.dataset = document
        truth.createIndex()
    return truth
