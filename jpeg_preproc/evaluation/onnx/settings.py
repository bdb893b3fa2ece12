"""The two parts of an ONNX config, ``model`` and ``data``, checked and typed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from jpeg_preproc.errors import ModelError
from jpeg_preproc.evaluation.onnx.decode import (
    CLASSIFIER_DECODINGS,
    DETECTOR_DECODINGS,
    SEGMENTOR_DECODINGS,
    BoxesDecoding,
    Decoding,
    LogitsDecoding,
    ScoresDecoding,
    YoloxDecoding,
)
from jpeg_preproc.evaluation.onnx.fields import build, refuse_unknown
from jpeg_preproc.evaluation.onnx.inputs import InputSettings

DETECTOR, SEGMENTOR, CLASSIFIER = "OnnxDetector", "OnnxSegmentor", "OnnxClassifier"
_DECODINGS = {
    DETECTOR: DETECTOR_DECODINGS,
    SEGMENTOR: SEGMENTOR_DECODINGS,
    CLASSIFIER: CLASSIFIER_DECODINGS,
}


@dataclass(frozen=True)
class Nms:
    """Non-maximum suppression within each class: of boxes that overlap, the best one stays.

    Attributes:
        iou: Share of their union, 0-1, above which two boxes overlap.

    Raises:
        ModelError: The share is outside 0-1.
    """

    iou: float = 0.65

    def __post_init__(self) -> None:
        if not 0 < self.iou <= 1:
            raise ModelError(f"model.nms.iou is {self.iou}; give a number in 0 to 1")


@dataclass(frozen=True)
class BoxSelection:
    """Which boxes stay.

    Attributes:
        score_threshold: Those below it are dropped, 0-1.
        nms: Non-maximum suppression; ``None`` for none.
        max_detections: In one image, the best are kept; ``None`` for all.
    """

    score_threshold: float = 0.01
    nms: Nms | None = None
    max_detections: int | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.score_threshold <= 1:
            raise ModelError(
                f"model.score_threshold is {self.score_threshold}; give a number in 0 to 1"
            )
        if self.max_detections is not None and self.max_detections < 1:
            raise ModelError(f"model.max_detections is {self.max_detections}; give at least 1")


@dataclass(frozen=True)
class DetectorSettings:
    """A detector: its input, its outputs, and which of its boxes stay.

    Attributes:
        input: How an image becomes its input.
        classes: Name of each label, from 0; ``None`` where a label has no category.
        decode: What its outputs mean.
        select: Which boxes stay.
    """

    input: InputSettings
    classes: tuple[str | None, ...]
    decode: YoloxDecoding | BoxesDecoding
    select: BoxSelection


@dataclass(frozen=True)
class SegmentorSettings:
    """A segmenter: its input and its output.

    Attributes:
        input: How an image becomes its input.
        classes: Name of each label, from 0; ``None`` where a label has no category.
        decode: What its output means.
    """

    input: InputSettings
    classes: tuple[str | None, ...]
    decode: LogitsDecoding


@dataclass(frozen=True)
class ClassifierSettings:
    """A classifier: its input and its output.

    Attributes:
        input: How an image becomes its input.
        classes: Name of each label, from 0; ``None`` where a label has no category. Not given,
            they are the folders of images in alphabetical order.
        decode: What its output means.
    """

    input: InputSettings
    classes: tuple[str | None, ...] | None
    decode: ScoresDecoding


@dataclass(frozen=True)
class CocoSettings:
    """Boxes of COCO's form.

    Attributes:
        data_root: Folder that the others are relative to, and that no image may lie outside of.
        ann_file: JSON with ``images``, ``annotations`` and ``categories``.
        images: Folder of the images.
        categories: Names of those that count; all if not given.
    """

    data_root: str
    ann_file: str
    images: str
    categories: tuple[str, ...] | None = None


@dataclass(frozen=True)
class MaskSettings:
    """Images with a mask each, in two folders.

    Attributes:
        data_root: Folder that the others are relative to, and that no image may lie outside of.
        images: Folder of the images.
        masks: Folder of the masks: grey or palette images whose values are the classes.
        classes: Name of each value, from 0; ``None`` for values that do not count.
        split: Text file with the images' names without suffix, a line each; without it, all
            images of the folder.
        image_suffix: End of the images' file names.
        mask_suffix: End of the masks' file names.
        ignore: Value of pixels that do not count, 0-255.
    """

    data_root: str
    images: str
    masks: str
    classes: tuple[str | None, ...]
    split: str | None = None
    image_suffix: str = ".jpg"
    mask_suffix: str = ".png"
    ignore: int = 255


@dataclass(frozen=True)
class FolderSettings:
    """Images in a folder for each class, which is called after it.

    Attributes:
        data_root: Folder that the other is relative to.
        images: Folder of the folders.
    """

    data_root: str
    images: str = "."


@dataclass(frozen=True)
class ListSettings:
    """Images with a class each, in a text file.

    Attributes:
        data_root: Folder that the others are relative to, and that no image may lie outside of.
        ann_file: Text file with a line for each image: its path, a space, and its class, which is
            the name of one of the model's classes or its number, from 0.
        images: Folder that the paths are relative to.
    """

    data_root: str
    ann_file: str
    images: str = "."


_VOC_CLASSES = (
    *("background", "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat"),
    *("chair", "cow", "diningtable", "dog", "horse", "motorbike", "person", "pottedplant"),
    *("sheep", "sofa", "train", "tvmonitor"),
)
_VOC = {
    "images": "JPEGImages",
    "masks": "SegmentationClass",
    "split": "ImageSets/Segmentation/val.txt",
    "classes": _VOC_CLASSES,
}


def is_onnx_model(model: Any) -> bool:
    """Tell whether the ``model`` of a config is one of onnxruntime's."""
    return isinstance(model, Mapping) and model.get("type") in _DECODINGS


ModelSettings = DetectorSettings | SegmentorSettings | ClassifierSettings
DataSettings = CocoSettings | MaskSettings | FolderSettings | ListSettings


def model_settings(model: Mapping[str, Any]) -> ModelSettings:
    """Read the ``model`` of a config.

    Args:
        model: ``type`` (``'OnnxDetector'``, ``'OnnxSegmentor'`` or ``'OnnxClassifier'``),
            ``classes``, ``decode`` (a name, or a dict of ``type`` and the decoding's own settings;
            of a classifier ``'scores'``, which may be left out), of a detector
            those of :class:`BoxSelection` (``nms=dict(iou=...)``; by default 0.65 for
            ``'yolox'``), and those of
            :class:`~jpeg_preproc.evaluation.onnx.inputs.InputSettings`.

    Raises:
        ModelError: A setting is missing, unknown or out of range.
    """
    rest = dict(model)
    kind = rest.pop("type", None)
    if kind not in _DECODINGS:
        raise ModelError(f"model.type is {kind!r}; give {', '.join(map(repr, _DECODINGS))}")
    if kind == CLASSIFIER:
        rest.setdefault("decode", "scores")
    own = [item.name for item in fields(BoxSelection)] if kind == DETECTOR else []
    inputs = [item.name for item in fields(InputSettings)]
    refuse_unknown(rest, ["classes", "decode", *own, *inputs], "model")
    may_lack = ("classes",) if kind == CLASSIFIER else ()
    for name in ("classes", "decode"):
        if not rest.get(name) and name not in may_lack:
            raise ModelError(f"model.{name} is missing")
    given = rest.pop("classes", None)
    classes = () if given is None else _names(given, "model.classes")
    decode: Any = _decoding(rest.pop("decode"), _DECODINGS[kind], kind)
    if kind == CLASSIFIER:
        return ClassifierSettings(build(InputSettings, rest, "model"), classes or None, decode)
    if rest.get("shorter_side") is not None:
        raise ModelError(f"model.shorter_side cuts the image, which an {kind} has to see whole")
    if kind == SEGMENTOR:
        return SegmentorSettings(build(InputSettings, rest, "model"), classes, decode)
    chosen = {name: rest.pop(name) for name in own if name in rest}
    if isinstance(decode, YoloxDecoding):
        chosen.setdefault("nms", {})  # its boxes are many to an object
    select = build(BoxSelection, chosen, "model")
    return DetectorSettings(build(InputSettings, rest, "model"), classes, decode, select)


def data_settings(data: Any) -> DataSettings:
    """Read the ``data`` of a config.

    Args:
        data: ``type``, and the settings of :class:`CocoSettings` (``'coco'``), of
            :class:`MaskSettings` (``'masks'``, or ``'voc'`` for masks as PASCAL VOC 2012 has
            them), of :class:`FolderSettings` (``'folders'``) or of :class:`ListSettings`
            (``'list'``).

    Raises:
        ModelError: A setting is missing or unknown.
    """
    rest = dict(data) if isinstance(data, Mapping) else {}
    kind = rest.pop("type", None)
    plain = {"coco": CocoSettings, "folders": FolderSettings, "list": ListSettings}
    if kind not in (*plain, "masks", "voc"):
        raise ModelError(f"data.type is {kind!r}; give 'coco', 'masks', 'voc', 'folders' or 'list'")
    for name in ("classes", "categories"):
        if (name == "classes" and name in rest) or rest.get(name) is not None:
            rest[name] = _names(rest[name], f"data.{name}")
    if kind in plain:
        return build(plain[kind], rest, "data")
    if kind == "voc":
        rest = {**_VOC, **rest}
    return build(MaskSettings, rest, "data")


def _names(value: Any, where: str) -> tuple[str | None, ...]:
    """Return the names of classes, each but ``None`` once."""
    names = tuple(value) if isinstance(value, (list, tuple)) else ()
    given = [name for name in names if name is not None]
    if not given or not all(isinstance(name, str) for name in given):
        raise ModelError(f"{where} is {value!r}; give a list of names")
    twice = sorted({name for name in given if given.count(name) > 1})
    if twice:
        raise ModelError(f"{where} names {', '.join(twice)} twice")
    return names


def _decoding(value: Any, known: Mapping[str, type[Decoding]], kind: str) -> Decoding:
    settings = dict(value) if isinstance(value, Mapping) else {"type": value}
    name = settings.pop("type", None)
    if name not in known:
        raise ModelError(f"model.decode is {name!r}; an {kind} knows {', '.join(map(repr, known))}")
    return build(known[name], settings, "model.decode")
