"""AP of boxes and of masks, whole and in parts, against pycocotools' own evaluation."""

from __future__ import annotations

import contextlib
import copy
import io

import numpy as np
import pytest

pytest.importorskip("pycocotools", reason="needs pycocotools: pip install '.[onnx]'")
from pycocotools import mask as mask_api
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from jpeg_preproc.stats.bootstrap import interval
from jpeg_preproc.stats.coco_ap import coco_ap

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning:pycocotools")

HEIGHT, WIDTH = 200, 240
CATEGORIES = (3, 8, 20, 21)  # of the last there is no object
IMAGES = 12


def polygon(box, rng):
    """An octagon within a box, so that the mask's area is not the box's."""
    left, top, width, height = box
    cut = rng.uniform(0.1, 0.4)
    x = np.array([cut, 1 - cut, 1, 1, 1 - cut, cut, 0, 0])
    y = np.array([0, 0, cut, 1 - cut, 1, 1, 1 - cut, cut])
    return np.stack([left + width * x, top + height * y], axis=1).ravel().tolist()


def rle(points):
    (encoded,) = mask_api.frPyObjects([points], HEIGHT, WIDTH)
    return {"size": encoded["size"], "counts": encoded["counts"].decode()}


def planted(seed):
    """Objects of all sizes, some of them crowds, and detections about them and elsewhere."""
    rng = np.random.default_rng(seed)
    annotations, found = [], []
    for _ in range(70):
        image, category = int(rng.integers(IMAGES)) + 1, int(rng.choice(CATEGORIES[:3]))
        side = float(np.exp(rng.uniform(np.log(8), np.log(140))))
        box = [*rng.uniform(0, 90, 2), side, side * rng.uniform(0.5, 1.4)]
        points = polygon(box, rng)
        crowd = bool(rng.random() < 0.08)
        annotations.append(
            {
                **{"id": len(annotations) + 1, "image_id": image, "category_id": category},
                **{"bbox": box, "iscrowd": int(crowd)},
                "area": float(mask_api.area(mask_api.frPyObjects([points], HEIGHT, WIDTH))[0]),
                "segmentation": rle(points) if crowd else [points],
            }
        )
        for _ in range(int(rng.integers(0, 4))):
            near = (np.array(box) + rng.normal(0, 0.06 * side, 4)).tolist()
            near[2:] = [max(one, 2.0) for one in near[2:]]
            found.append(
                {
                    **{"image_id": image, "category_id": int(category), "bbox": near},
                    "segmentation": rle(polygon(near, rng)),
                    "score": round(float(rng.random()), 2),  # some are equal
                }
            )
    for _ in range(60):
        box = rng.uniform(5, 90, 4).tolist()
        found.append(
            {
                **{"image_id": int(rng.integers(IMAGES)) + 1, "bbox": box},
                **{"category_id": int(rng.choice(CATEGORIES)), "score": float(rng.random())},
                "segmentation": rle(polygon(box, rng)),
            }
        )
    document = {
        "images": [{"id": index + 1, "width": WIDTH, "height": HEIGHT} for index in range(IMAGES)],
        "categories": [{"id": number, "name": f"c{number}"} for number in CATEGORIES],
        "annotations": annotations,
    }
    return document, found


def indexed(document):
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO()
        truth.dataset = copy.deepcopy(document)
        truth.createIndex()
    return truth


def reference(document, found, kind):
    """What pycocotools says by itself, with its own parameters."""
    truth = indexed(document)
    # As mmdet does: with its box, a mask would have the box's area.
    own = [
        {key: value for key, value in one.items() if key != "bbox" or kind == "bbox"}
        for one in copy.deepcopy(found)
    ]
    with contextlib.redirect_stdout(io.StringIO()):
        evaluation = COCOeval(truth, truth.loadRes(own), kind)
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return evaluation


@pytest.mark.parametrize("kind", ["bbox", "segm"])
@pytest.mark.parametrize("seed", range(3))
def test_values_are_pycocotools_own(seed, kind):
    document, found = planted(seed)
    expected = reference(document, found, kind)
    ours = coco_ap(
        indexed(document),
        copy.deepcopy(found),
        # In another order than pycocotools', which sorts them.
        CATEGORIES[::-1],
        range(IMAGES, 0, -1),
        kind=kind,
    )
    assert 0.05 < ours.mean < 0.95  # so that the comparison says something
    assert ours.mean == pytest.approx(expected.stats[0], abs=1e-9)
    names = [f"{kind}_mAP{end}" for end in ("", "_50", "_75", "_s", "_m", "_l")]
    assert ours.parts == pytest.approx(dict(zip(names, expected.stats[:6], strict=True)), abs=1e-9)
    precision = expected.eval["precision"][:, :, :, 0, -1]  # (iou, recall, category)
    assert {number: own[0] for number, own in ours.by_category.items()} == pytest.approx(
        {number: 100 * precision[:, :, at].mean() for at, number in enumerate(CATEGORIES[:3])},
        abs=1e-9,
    )
    assert {name: own[0] for name, own in ours.by_size.items()} == pytest.approx(
        dict(zip(("small", "medium", "large"), 100 * expected.stats[3:6], strict=True)), abs=1e-9
    )


@pytest.mark.parametrize("kind", ["bbox", "segm"])
def test_draws_of_the_parts_are_those_of_the_whole(kind):
    document, found = planted(5)
    ours = coco_ap(indexed(document), found, CATEGORIES, range(1, IMAGES + 1), kind=kind)
    drawn = np.array([one[1:] for one in ours.by_category.values()])
    assert drawn.shape == (3, 1000)
    assert np.nanmean(drawn, axis=0) == pytest.approx(np.array(ours.replicates), abs=1e-4)
    for value, *own in (*ours.by_category.values(), *ours.by_size.values()):
        low, high = interval(own, value)
        assert low < value < high


def test_a_mask_has_the_size_of_its_own_area():
    box = [10.0, 10.0, 40.0, 40.0]  # medium, of which the mask fills a quarter: small
    points = [10.0, 10.0, 30.0, 10.0, 30.0, 30.0, 10.0, 30.0]
    document, _ = planted(0)
    where = {"image_id": 1, "category_id": 3, "bbox": box}
    document["annotations"] = [
        {**where, "id": 1, "iscrowd": 0, "area": 400.0, "segmentation": [points]}
    ]
    found = [{**where, "score": 0.9, "segmentation": rle(points)}]
    given = copy.deepcopy(found)
    ours = coco_ap(indexed(document), found, CATEGORIES, range(1, IMAGES + 1), kind="segm")
    assert {name: own[0] for name, own in ours.by_size.items()} == pytest.approx({"small": 100.0})
    assert found == given


def test_without_a_detection_every_part_is_0():
    document, _ = planted(1)
    ours = coco_ap(indexed(document), [], CATEGORIES, range(1, IMAGES + 1), kind="segm")
    assert ours.mean == 0.0 and set(ours.replicates) == {0.0}
    assert [one[0] for one in ours.by_category.values()] == [0.0] * 3


def test_without_an_object_there_is_no_ap():
    document, found = planted(1)
    document["annotations"] = []
    ours = coco_ap(indexed(document), found, CATEGORIES, range(1, IMAGES + 1))
    assert (ours.mean, ours.replicates, ours.by_category) == (-1.0, None, {})
