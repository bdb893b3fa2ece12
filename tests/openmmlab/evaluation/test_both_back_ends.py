"""OpenMMLab's pipelines and our own loop do the same to an image, and judge the same."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import toysets
from mmengine.registry import MODELS
from mmengine.structures import InstanceData
from PIL import Image
from toys import LOAD, BrightBoxDetector, run

from jpeg_preproc.corruptions import list_corruptions, parse_corruption
from jpeg_preproc.errors import CorruptionError
from jpeg_preproc.evaluation.apply import condition_image, load_restorer
from jpeg_preproc.evaluation.conditions import Condition, RestorerChoice, RestoreSettings
from jpeg_preproc.evaluation.onnx import OnnxTask
from jpeg_preproc.evaluation.onnx import task as onnx_task
from jpeg_preproc.evaluation.onnx.models import Boxes
from jpeg_preproc.jpeg import load_image
from jpeg_preproc.openmmlab.evaluation.condition import condition_transforms
from jpeg_preproc.openmmlab.evaluation.task import OpenMMLabTask

pytest.importorskip("mmdet")
pytest.importorskip("onnxruntime")

SETTINGS = RestoreSettings()
ORIENTATION_TAG = 0x0112


@pytest.fixture(params=range(1, 9))
def turned(request, tmp_path, photo):
    """A photograph of odd sides in each EXIF orientation, and how Pillow shows it upright."""
    path = tmp_path / f"turned{request.param}.jpg"
    exif = Image.Exif()
    exif[ORIENTATION_TAG] = request.param
    Image.fromarray(photo[:103, :157]).save(path, quality=96, exif=exif)
    return path


@pytest.mark.parametrize(
    "spelling", ["jpeg:10", "double_jpeg:10,90,shift=3", "resized_jpeg:20,0.75", "webp:20"]
)
@pytest.mark.parametrize("restored", [False, True])
def test_the_same_pixels_reach_the_model(turned, weights, spelling, restored):
    choice = RestorerChoice(weights, "noise", "") if restored else None
    condition = Condition(parse_corruption(spelling), choice)
    restorer = load_restorer(choice, SETTINGS) if choice else None
    ours = condition_image(load_image(turned), condition, restorer)
    theirs = run([LOAD, *condition_transforms(condition, SETTINGS)], turned)
    np.testing.assert_array_equal(theirs["img"][..., ::-1], ours.pixels)
    assert theirs["jpeg_corruption"]["geometry"] == ours.geometry
    assert theirs["jpeg_corruption"]["bytes"] == ours.num_bytes
    assert theirs["ori_shape"] == theirs["img_shape"] == ours.pixels.shape[:2]


@pytest.mark.parametrize("qf", [10, 75])
def test_a_turned_photograph_is_compressed_as_stored(turned, tmp_path, qf):
    """What Pillow makes of the stored pixels, turned as Pillow turns, is what both give."""
    with Image.open(turned) as picture:
        exif = picture.getexif()
        picture.save(tmp_path / "again.jpg", quality=qf, exif=exif)
    with Image.open(tmp_path / "again.jpg") as picture:
        expected = np.asarray(upright(picture))
    condition = Condition(parse_corruption(f"jpeg:{qf}"))
    np.testing.assert_array_equal(condition_image(load_image(turned), condition).pixels, expected)
    for transform in (
        dict(type="JpegCompress", qf=qf),
        dict(type="JpegCorrupt", corruption=f"jpeg:{qf}"),
    ):
        found = run([LOAD, transform], turned)["img"]
        np.testing.assert_array_equal(found[..., ::-1], expected)


def upright(picture):
    from PIL import ImageOps

    return ImageOps.exif_transpose(picture)


# --- predictions judged by the annotations of the originals


def every_corruption():
    """An example of each kind, and settings that move the image in other ways."""
    examples = [entry.example for entry in list_corruptions().values()]
    moved = [
        "resized_jpeg:30,1.5",
        "resized_jpeg:30,0.7,then=80",
        "cropped_jpeg:30,offset=5:2",
        "cropped_jpeg:30,offset=random",
        "double_jpeg:30,80,shift=3:6",
    ]
    return list(dict.fromkeys([*examples, *moved]))


def as_seen(index, shape, corruption, name):
    """The box of a scene where it lies in a corrupted image of a shape.

    From the settings alone: what is cut is cut off at the top left, what is resized is resized as a
    whole.
    """
    pixels, box = toysets.scene(index)
    height, width = pixels.shape[:2]
    if corruption.kind in ("cropped_jpeg", "double_jpeg"):
        top, left = height - shape[0], width - shape[1]
        return np.array(box, float) - [left, top, left, top]
    scale = np.array([shape[1] / width, shape[0] / height] * 2)
    return np.array(box, float) * scale


@MODELS.register_module(force=True)
class TruthfulDetector(BrightBoxDetector):
    """Says where the box is, as it lies in the image that it is given."""

    def predict(self, bright, sample):
        left = sample.metainfo.get("jpeg_corruption")
        corruption = parse_corruption(left["corruption"] if left else "original")
        index = sample.img_id - 10
        box = as_seen(index, sample.ori_shape, corruption, str(index))
        sample.pred_instances = InstanceData(
            bboxes=torch.from_numpy(box).float()[None],
            scores=torch.ones(1),
            labels=torch.zeros(1, dtype=torch.long),
        )


@pytest.fixture
def coco(tmp_path):
    return toysets.write_coco(tmp_path / "coco")


def condition_of(spelling):
    corruption = parse_corruption(spelling)
    try:
        corruption.key()
    except CorruptionError as error:
        pytest.skip(str(error))
    return Condition(corruption)


@pytest.mark.parametrize("spelling", every_corruption())
def test_a_detector_that_says_the_truth_has_an_ap_of_100(tmp_path, coco, spelling):
    condition = condition_of(spelling)
    config = toysets.detector_config(tmp_path, coco)
    config.write_text(config.read_text().replace("BrightBoxDetector", "TruthfulDetector"))
    task = OpenMMLabTask(config, toysets.checkpoint(tmp_path), tmp_path / "out")
    result = task.measure(condition, SETTINGS, "x")
    assert result.value == pytest.approx(100.0)
    assert result.bytes_per_pixel > 0


@pytest.mark.parametrize("spelling", every_corruption())
def test_so_has_one_under_onnxruntime(tmp_path, coco, spelling, monkeypatch):
    condition = condition_of(spelling)
    seen = iter([0, *range(len(toysets.SIDES))])  # the first image is tried when it is built

    class Truthful:
        """In the place of a model; it is given the images in the order of the set."""

        def __init__(self, *args):
            pass

        def __call__(self, pixels):
            index = next(seen)
            box = as_seen(index, pixels.shape[:2], condition.corruption, str(index))
            return Boxes(box[None], np.ones(1), np.zeros(1, int))

    monkeypatch.setattr(onnx_task, "OnnxDetector", Truthful)
    config = tmp_path / "onnx_toy.py"
    config.write_text(
        "model = dict(type='OnnxDetector', decode='boxes', channel_order='rgb', classes=['box'])\n"
        f"data = dict(type='coco', data_root={str(coco)!r}, ann_file='annotations/val.json',"
        " images='val')\n"
    )
    (tmp_path / "model.onnx").write_bytes(b"not looked at")
    task = OnnxTask(config, tmp_path / "model.onnx", tmp_path / "out")
    result = task.measure(condition, SETTINGS, "x")
    assert result.value == pytest.approx(100.0)
    assert result.bytes_per_pixel > 0


@pytest.mark.parametrize("spelling", ["resized_jpeg:60,2.0", "resized_jpeg:95,0.5", "jpeg:95"])
def test_label_maps_come_back_in_the_size_of_the_masks(tmp_path, spelling):
    voc = toysets.write_voc(tmp_path / "voc")
    config = toysets.segmenter_config(tmp_path, voc)
    task = OpenMMLabTask(config, toysets.checkpoint(tmp_path), tmp_path / "out")
    result = task.measure(condition_of(spelling), SETTINGS, "x")
    # Bright and dark are far apart, so that no more than the rectangles' edges are lost.
    assert 70 < result.value <= 100


def test_the_bytes_are_those_of_the_files(tmp_path, coco):
    condition = condition_of("jpeg:40")
    task = OpenMMLabTask(
        toysets.detector_config(tmp_path, coco), toysets.checkpoint(tmp_path), tmp_path / "out"
    )
    result = task.measure(condition, SETTINGS, "x")
    sizes, pixels = 0, 0
    for path in sorted((coco / "val").iterdir()):
        with Image.open(path) as picture:
            picture.save(tmp_path / "x.jpg", quality=40)
            pixels += picture.width * picture.height
        sizes += (tmp_path / "x.jpg").stat().st_size
    assert result.bytes_per_pixel == pytest.approx(sizes / pixels, abs=1e-12)
