"""Tiny COCO and VOC sets on disk, and configs of stock mmdet and mmseg classes that read them."""

from __future__ import annotations

import io
import json
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import torch
from PIL import Image

SIDES = [(37, 53), (40, 64), (64, 40), (33, 33), (48, 56), (41, 47)]  # (H, W)


def scene(index: int) -> tuple[np.ndarray, tuple[int, int, int, int]]:
    """A dark textured image with one bright rectangle, and that as (left, top, right, bottom)."""
    rng = np.random.default_rng(index)
    height, width = SIDES[index]
    image = rng.integers(0, 70, (height, width, 3))
    left, top = int(rng.integers(3, width // 3)), int(rng.integers(3, height // 3))
    right, bottom = left + width // 2, top + height // 2
    image[top:bottom, left:right] = rng.integers(150, 256, (bottom - top, right - left, 3))
    return image.astype(np.uint8), (left, top, right, bottom)


def write_coco(root: Path, suffix: str = ".png") -> Path:
    images, annotations = [], []
    (root / "val").mkdir(parents=True)
    (root / "annotations").mkdir()
    for index, (height, width) in enumerate(SIDES):
        pixels, (left, top, right, bottom) = scene(index)
        name = f"{index:03d}{suffix}"
        Image.fromarray(pixels).save(root / "val" / name, quality=95)  # heeded by JPEG alone
        images.append({"id": 10 + index, "file_name": name, "height": height, "width": width})
        box = [left, top, right - left, bottom - top]
        annotations.append(
            {"id": index + 1, "image_id": 10 + index, "category_id": 7, "bbox": box}
            | {"area": box[2] * box[3], "iscrowd": 0}
        )
    document = {"images": images, "annotations": annotations}
    document["categories"] = [{"id": 7, "name": "box"}]
    (root / "annotations" / "val.json").write_text(json.dumps(document))
    return root


def write_voc(root: Path) -> Path:
    for folder in ("JPEGImages", "SegmentationClass", "ImageSets"):
        (root / folder).mkdir(parents=True)
    for index in range(len(SIDES)):
        pixels, (left, top, right, bottom) = scene(index)
        Image.fromarray(pixels).save(root / "JPEGImages" / f"{index:03d}.png")
        mask = np.zeros(pixels.shape[:2], np.uint8)
        mask[top:bottom, left:right] = 1
        Image.fromarray(mask).save(root / "SegmentationClass" / f"{index:03d}.png")
    names = "".join(f"{index:03d}\n" for index in range(len(SIDES)))
    (root / "ImageSets" / "val.txt").write_text(names)
    return root


def compressed(pixels: np.ndarray, qf: int) -> np.ndarray:
    """The pixels after Pillow has coded and decoded them."""
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "JPEG", quality=qf)
    with Image.open(stream) as picture:
        return np.array(picture)


def expected_miou(indices: Iterable[int], threshold: float, qf: int | None = None) -> float:
    """Mean IoU of dark and bright over a set of :func:`write_voc`, from masks counted here."""
    intersection, union = np.zeros(2), np.zeros(2)
    for index in indices:
        pixels, (left, top, right, bottom) = scene(index)
        pixels = pixels if qf is None else compressed(pixels, qf)
        truth = np.zeros(pixels.shape[:2], bool)
        truth[top:bottom, left:right] = True
        found = pixels.astype(np.float32).mean(-1) > threshold
        for label in (0, 1):
            intersection[label] += ((found == label) & (truth == label)).sum()
            union[label] += ((found == label) | (truth == label)).sum()
    return float(100 * (intersection / union).mean())


def detector_config(folder: Path, root: Path, pipeline: str = "") -> Path:
    path = folder / "toy_detector.py"
    load = "dict(type='LoadImageFromFile')"
    path.write_text(f"""
default_scope = 'mmdet'
custom_imports = dict(imports=['toys'], allow_failed_imports=False)
data_root = {str(root)!r}
model = dict(type='BrightBoxDetector')
test_pipeline = [{pipeline or load}, dict(type='Resize', scale_factor=2.0, keep_ratio=True),
    dict(type='LoadAnnotations', with_bbox=True), dict(type='PackDetInputs')]
test_dataloader = dict(batch_size=2, num_workers=2, persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(type='CocoDataset', data_root=data_root, ann_file='annotations/val.json',
        data_prefix=dict(img='val/'), metainfo=dict(classes=('box',)), test_mode=True,
        pipeline=test_pipeline))
test_evaluator = dict(type='CocoMetric', ann_file=data_root + '/annotations/val.json')
""")
    return path


def add_masks(annotations: Path) -> None:
    """Give every object of a file of :func:`write_coco` its box as a polygon."""
    document = json.loads(annotations.read_text())
    for entry in document["annotations"]:
        left, top, width, height = entry["bbox"]
        right, bottom = left + width, top + height
        entry["segmentation"] = [[left, top, right, top, right, bottom, left, bottom]]
    annotations.write_text(json.dumps(document))


def mask_config(folder: Path, root: Path, metric: str = "['bbox', 'segm']") -> Path:
    """The detector's config with a model that gives masks, on a set whose objects get theirs."""
    add_masks(root / "annotations" / "val.json")
    config = detector_config(folder, root)
    text = config.read_text().replace("BrightBoxDetector", "BrightMaskDetector")
    config.write_text(text + f"test_evaluator.update(metric={metric})\n")
    return config


def segmenter_config(folder: Path, root: Path) -> Path:
    path = folder / "toy_segmenter.py"
    path.write_text(f"""
default_scope = 'mmseg'
custom_imports = dict(imports=['toys'], allow_failed_imports=False)
model = dict(type='BrightPixelSegmenter')
val_dataloader = dict(batch_size=1, num_workers=0,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(type='BaseSegDataset', data_root={str(root)!r}, img_suffix='.png',
        data_prefix=dict(img_path='JPEGImages', seg_map_path='SegmentationClass'),
        ann_file='ImageSets/val.txt', metainfo=dict(classes=('dark', 'bright')),
        pipeline=[dict(type='LoadImageFromFile'), dict(type='LoadAnnotations'),
                  dict(type='PackSegInputs')]))
val_evaluator = dict(type='IoUMetric', iou_metrics=['mIoU'])
""")
    return path


def voc_boxes(folder: Path, voc: Path) -> Path:
    """Give a set of :func:`write_voc` JPEG images and XML boxes; return a config for it."""
    (voc / "Annotations").mkdir()
    for index, (height, width) in enumerate(SIDES):
        _, (left, top, right, bottom) = scene(index)
        with Image.open(voc / "JPEGImages" / f"{index:03d}.png") as picture:
            picture.save(voc / "JPEGImages" / f"{index:03d}.jpg", quality=95)
        (voc / "Annotations" / f"{index:03d}.xml").write_text(
            f"<annotation><size><width>{width}</width><height>{height}</height></size><object>"
            f"<name>box</name><difficult>0</difficult><bndbox><xmin>{left + 1}</xmin>"
            f"<ymin>{top + 1}</ymin><xmax>{right}</xmax><ymax>{bottom}</ymax></bndbox></object>"
            "</annotation>"
        )
    path = folder / "voc_detector.py"
    path.write_text(f"""
default_scope = 'mmdet'
custom_imports = dict(imports=['toys'], allow_failed_imports=False)
model = dict(type='BrightBoxDetector')
test_dataloader = dict(batch_size=1, num_workers=0,
    dataset=dict(type='VOCDataset', data_root={str(voc.parent)!r},
        ann_file='{voc.name}/ImageSets/val.txt', data_prefix=dict(sub_data_root='{voc.name}/'),
        metainfo=dict(classes=('box',)), test_mode=True,
        pipeline=[dict(type='LoadImageFromFile'),
                  dict(type='Resize', scale=(96, 96), keep_ratio=True),
                  dict(type='LoadAnnotations', with_bbox=True), dict(type='PackDetInputs')]))
test_evaluator = dict(type='VOCMetric', metric='mAP', eval_mode='11points')
""")
    return path


def checkpoint(folder: Path, threshold: float = 110.0) -> Path:
    path = folder / "toy.pth"
    torch.save({"state_dict": {"threshold": torch.tensor(threshold)}}, path)
    return path
