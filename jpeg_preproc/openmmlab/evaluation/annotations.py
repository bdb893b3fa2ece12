"""The annotation files of test sets: what is wrong with one, and a copy for fewer images."""

from __future__ import annotations

import hashlib
import json
import xml.etree.ElementTree as ElementTree
from collections.abc import Collection
from pathlib import Path
from typing import Any

from jpeg_preproc.datasets.coco import read_annotation_json
from jpeg_preproc.errors import AnnotationError
from jpeg_preproc.io import sha256_bytes, write_json_atomic, write_text_atomic


def drop_bad_xml(leaf: Any, folder: Path) -> list[dict[str, str]]:
    """Take ids without a readable XML file out of a VOC list: ``XMLDataset`` fails on them.

    Args:
        leaf: Config of the dataset; its ``ann_file`` is changed if there are any.
        folder: Where the shortened list is written.

    Returns:
        ``{'file': ..., 'reason': ...}`` of each id that was taken out.
    """
    root = Path(str(leaf.get("data_root") or ""))
    listed = root / leaf["ann_file"]
    part = str((leaf.get("data_prefix") or {}).get("sub_data_root", ""))
    annotations = root / part / leaf.get("ann_subdir", "Annotations")
    kept, bad = [], []
    for line in listed.read_text(encoding="utf-8").splitlines():
        path = annotations / f"{line.strip()}.xml"
        try:
            ElementTree.parse(path)
        except FileNotFoundError:
            bad.append({"file": str(path), "reason": f"{path} does not exist; {listed} names it"})
        except (OSError, ElementTree.ParseError) as error:
            bad.append({"file": str(path), "reason": f"{path} cannot be parsed: {error}"})
        else:
            kept.append(line.strip())
    if bad:
        text = "".join(f"{name}\n" for name in kept)
        target = folder / f"{listed.stem}-{sha256_bytes(text.encode())[:8]}.txt"
        leaf.ann_file = str(write_text_atomic(target, text).resolve())
    return bad


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
    metric.ann_file = str(write_json_atomic(folder / f"{Path(path).stem}-{name}.json", kept))


def _read_json(path: Path) -> dict[str, Any]:
    value = read_annotation_json(path)
    if not isinstance(value, dict):
        raise AnnotationError(f"{path} is not an annotation file of COCO's form")
    return value
