"""The annotation files of test sets: what is wrong with one, and a copy for fewer images."""

from __future__ import annotations

import hashlib
import json
import time
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from jpeg_preproc.datasets.coco import read_annotation_json
from jpeg_preproc.errors import AnnotationError
from jpeg_preproc.evaluation.testset import none_usable
from jpeg_preproc.io import json_text, remove_temporary_files, sha256_bytes, write_text_atomic

# What mmdet's CocoDataset and its CocoMetric read of each annotation, and what to do without it.
_DATASET_KEYS = {
    "id": "number them from 1",
    "image_id": "name the image of each",
    "category_id": "name the category of each",
    "bbox": "give each its [left, top, width, height]",
    "area": "give each its area in pixels, for boxes width times height",
}
_METRIC_KEYS = {"iscrowd": "set it to 0 for single objects"}
_SEGMENTATION = "give each its polygons or RLE, or set the metric to 'bbox'"
_IMAGE_KEYS = dict.fromkeys(("id", "file_name", "height", "width"), "export the file again")


def drop_bad_xml(leaf: Any, folder: Path, classes: Collection[str] = ()) -> list[dict[str, str]]:
    """Take blank lines, and ids without an XML file that ``XMLDataset`` reads, out of a VOC list.

    Args:
        leaf: Config of the dataset; its ``ann_file`` is changed if there are any.
        folder: Where the shortened list is written.
        classes: Classes whose objects are read; all, if empty.

    Returns:
        ``{'file': ..., 'reason': ...}`` of each id that was taken out.

    Raises:
        AnnotationError: None is left.
    """
    root = Path(str(leaf.get("data_root") or ""))
    listed = root / leaf["ann_file"]
    part = str((leaf.get("data_prefix") or {}).get("sub_data_root", ""))
    annotations = root / part / leaf.get("ann_subdir", "Annotations")
    images = root / part / leaf.get("img_subdir", "JPEGImages")
    kept, bad = [], []
    lines = listed.read_text(encoding="utf-8").splitlines()
    for name in filter(None, map(str.strip, lines)):
        path = annotations / f"{name}.xml"
        reason = _xml_fault(path, images / f"{name}.jpg", classes)
        if reason is None:
            kept.append(name)
        else:
            bad.append({"file": str(path), "reason": f"{path} {reason}; {listed} names it"})
    if not kept:
        raise none_usable(len(bad), bad)
    if kept != lines:
        text = "".join(f"{name}\n" for name in kept)
        target = folder / f"{listed.stem}-{sha256_bytes(text.encode())[:8]}.txt"
        leaf.ann_file = str(_write_shortened(target, text).resolve())
    return bad


def _xml_fault(path: Path, image: Path, classes: Collection[str]) -> str | None:
    """Return what ``XMLDataset`` would fail on in a file; ``None`` if nothing."""
    try:
        root = ElementTree.parse(path).getroot()
    except FileNotFoundError:
        return "does not exist"
    except (OSError, ElementTree.ParseError) as error:
        return f"cannot be parsed: {error}"
    needed = [("size/width", int), ("size/height", int)] if root.find("size") is not None else []
    if not needed and not image.is_file():
        return f"has no <size>, and its image {image} does not exist"
    places: list[tuple[ElementTree.Element, str, Callable[[str], Any]]]
    places = [(root, tag, kind) for tag, kind in needed]
    for entry in root.findall("object"):
        name = entry.findtext("name")
        if name is None:
            return "has an <object> without <name>"
        if classes and name not in classes:
            continue
        if entry.find("difficult") is not None:
            places.append((entry, "difficult", int))
        sides = ("xmin", "ymin", "xmax", "ymax")
        places += [(entry, f"bndbox/{side}", lambda text: int(float(text))) for side in sides]
    for place, tag, number in places:
        text = place.findtext(tag)
        try:
            number(text or "")
        except (ValueError, OverflowError):
            found = "lacks" if text is None else f"has {text!r} as"
            return f"{found} the number <{'><'.join(tag.split('/'))}>"
    return None


def check_coco(path: Path, metric: Any = None) -> set[Any]:
    """Check that all is in an annotation file of COCO's form that mmdet and pycocotools read.

    They would raise a bare KeyError, some only after all images, or count wrongly in silence.

    Args:
        path: The file.
        metric: Config of the ``CocoMetric`` that reads it; ``None`` for a dataset.

    Returns:
        The ids of its images.

    Raises:
        AnnotationError: Something is missing or stands there twice; the message says what to do.
    """
    document = _read_json(path)
    parts: list[Any] = [document.get(part) for part in ("images", "annotations", "categories")]
    if not all(
        isinstance(part, list) and all(isinstance(entry, dict) for entry in part) for part in parts
    ):
        raise AnnotationError(
            f"{path} is not of COCO's form: it needs lists of images, annotations and categories; "
            "check ann_file"
        )
    images, annotations, categories = parts
    needs = dict(_DATASET_KEYS)
    if metric is not None:
        needs |= _METRIC_KEYS
    masks = metric is not None and "segm" in metric.get("metric", "bbox")
    if masks:
        needs["segmentation"] = _SEGMENTATION
    for what, entries, keys in (
        ("images", images, _IMAGE_KEYS),
        ("annotations", annotations, needs),
        ("categories", categories, {"id": "number them", "name": "name them"}),
    ):
        for key, mend in keys.items():
            lacking = [index for index, entry in enumerate(entries) if entry.get(key) is None]
            if lacking:
                raise AnnotationError(
                    f"{path}: {len(lacking)} of its {len(entries)} {what} have no {key!r}, the "
                    f"first of them {what}[{lacking[0]}]; {mend}"
                )
    for entry in annotations:
        box = entry["bbox"]
        if not isinstance(box, list) or len(box) != 4:
            raise AnnotationError(
                f"{path}: annotation {entry.get('id')} has the bbox {box!r}; "
                f"{_DATASET_KEYS['bbox']}"
            )
    ids = _unique(path, "images", images)
    if masks:
        sizes = {entry["id"]: [entry["height"], entry["width"]] for entry in images}
        for entry in annotations:
            fault = _mask_fault(entry["segmentation"], sizes.get(entry["image_id"]))
            if fault:
                raise AnnotationError(
                    f"{path}: the segmentation of annotation {entry['id']} {fault}; {_SEGMENTATION}"
                )
    if 0 in _unique(path, "annotations", annotations) and metric is not None:
        raise AnnotationError(
            f"{path}: an annotation has the id 0, and pycocotools takes its match for none; number "
            "them from 1"
        )
    return ids


def _mask_fault(segmentation: Any, size: list[int] | None) -> str | None:
    """Return what pycocotools would fail on, or take for a box, in a mask; ``None`` if nothing.

    Args:
        segmentation: Polygons or RLE.
        size: Height and width of the image; ``None`` where there is none.
    """
    if isinstance(segmentation, Mapping):
        if not segmentation.get("counts"):
            return "is an RLE without counts"
        given = list(segmentation.get("size") or ())
        return f"is of size {given}, its image {size}" if size and given != size else None
    if not isinstance(segmentation, list) or not segmentation:
        return f"is {segmentation!r}"
    for polygon in segmentation:
        if not isinstance(polygon, list) or len(polygon) < 6 or len(polygon) % 2:
            return "has a polygon that is no list of three or more points x, y"
    return None


def _unique(path: Path, what: str, entries: Sequence[Mapping[str, Any]]) -> set[Any]:
    """Return the ids of entries, none of which may stand there twice."""
    seen: set[Any] = set()
    for entry in entries:
        if entry["id"] in seen:
            raise AnnotationError(
                f"{path}: two of its {what} have the id {entry['id']!r}, so that one of them would "
                "not count; give each its own"
            )
        seen.add(entry["id"])
    return seen


def check_classes(dataset: Any) -> None:
    """Check that COCO categories are the dataset's classes, in order.

    mmdet numbers labels by the annotation file's order and says nothing of names it does not
    find, so a differing list would give a wrong AP, often 0, in silence.

    Args:
        dataset: The built dataset; one without ``cat_ids`` is not of COCO's kind and passes.

    Raises:
        AnnotationError: They differ; the message says how.
    """
    where = Path(str(dataset.ann_file))
    if not hasattr(dataset, "cat_ids") or not where.is_file():
        return
    classes = list(dataset.metainfo["classes"])
    names_by_id = {entry["id"]: entry["name"] for entry in _read_json(where)["categories"]}
    names = [names_by_id[number] for number in dataset.cat_ids]
    if names != classes:
        lacking = [name for name in classes if name not in names]
        what = f"lacks {', '.join(lacking[:5])}" if lacking else "has them in another order"
        raise AnnotationError(
            f"{where}: its categories are not the config's {len(classes)} classes ({what}); give "
            "metainfo=dict(classes=...) exactly as the annotation file names them, in its order"
        )


def annotation_digest(dataset: Any) -> bytes:
    """Return the SHA-256 of the annotation file, or that of no bytes where there is no file."""
    path = Path(str(getattr(dataset, "ann_file", "") or ""))
    return hashlib.sha256(path.read_bytes() if path.is_file() else b"").digest()


def shorten_annotations(metric: Any, ids: Collection[Any], folder: Path) -> None:
    """Give a metric that has its own annotation file a copy with these images only.

    Raises:
        AnnotationError: The file is not of COCO's form.
    """
    path = metric.get("ann_file")
    if not path:
        return
    full = _read_json(Path(path))
    if not {"images", "annotations"} <= full.keys():
        raise AnnotationError(
            f"{path}: only annotations of COCO's form can be shortened; evaluate all images "
            "(no --limit), or mend those that are skipped"
        )
    kept = {
        **full,
        "images": [entry for entry in full["images"] if entry["id"] in ids],
        "annotations": [entry for entry in full["annotations"] if entry["image_id"] in ids],
    }
    # By its content: two data sets of one study may number their images alike.
    name = sha256_bytes(json.dumps(kept, sort_keys=True).encode())[:8]
    target = folder / f"{Path(path).stem}-{name}.json"
    metric.ann_file = str(_write_shortened(target, json_text(kept)))


def _write_shortened(target: Path, text: str) -> Path:
    """Write a shortened file and remove what a killed run had written of the same one."""
    begun = time.time()
    write_text_atomic(target, text)
    # Another run may be writing it too, but none that takes so long over one file.
    remove_temporary_files([target.name], target.parent, before=begun)
    return target


def _read_json(path: Path) -> dict[str, Any]:
    value = read_annotation_json(path)
    if not isinstance(value, dict):
        raise AnnotationError(f"{path} is not an annotation file of COCO's form")
    return value
