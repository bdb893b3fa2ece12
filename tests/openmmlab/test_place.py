from __future__ import annotations

import numpy as np
import pytest
from mmcv.transforms import Compose, RandomApply, Resize

from jpeg_preproc.errors import PipelineError
from jpeg_preproc.openmmlab import JpegCompress, check_pipeline
from jpeg_preproc.openmmlab.place import require_decoder_pixels, transform_name

LOAD = dict(type="LoadImageFromFile")
RESTORE = dict(type="JpegRestore")
RESIZE = dict(type="Resize", scale=(64, 64))
PACK = dict(type="mmdet.PackDetInputs")


@pytest.mark.parametrize(
    "pipeline",
    [
        [LOAD, RESTORE, RESIZE, PACK],
        [LOAD, dict(type="mmdet.LoadAnnotations", with_bbox=True), RESTORE, RESIZE],
        [LOAD, dict(type="JpegCompress", qf=10), RESTORE, PACK],
        [LOAD, RESTORE, dict(type="TestTimeAug", transforms=[[RESIZE, RESIZE], [PACK]])],
        [LOAD, PACK],
        [],
    ],
)
def test_right_places_pass(pipeline):
    check_pipeline(pipeline)


@pytest.mark.parametrize(
    "pipeline,culprit",
    [
        ([LOAD, RESIZE, RESTORE], "behind Resize"),
        ([LOAD, dict(type="mmdet.FixShapeResize"), RESTORE], "behind FixShapeResize"),
        ([LOAD, dict(type="RandomFlip"), dict(type="JpegCompress", qf=9)], "behind RandomFlip"),
        ([LOAD, dict(type="Pad"), RESTORE], "behind Pad"),
        ([LOAD, dict(type="RandomCrop"), RESTORE], "behind RandomCrop"),
        ([LOAD, dict(type="YOLOXHSVRandomAug"), RESTORE], "behind YOLOXHSVRandomAug"),
        ([LOAD, PACK, RESTORE], "behind PackDetInputs"),
        ([LOAD, dict(type="TestTimeAug", transforms=[[RESIZE], [RESTORE], [PACK]])], "Resize"),
        ([LOAD, dict(type="TestTimeAug", transforms=[[RESIZE], [PACK]]), RESTORE], "TestTimeAug"),
        ([LOAD, dict(type="RandomApply", transforms=[RESIZE]), RESTORE], "behind Resize"),
        ([LOAD, dict(type="RandomChoice", transforms=[[RESTORE], [RESIZE, RESTORE]])], "Resize"),
        ([LOAD, dict(type="MultiBranch", branch_pipelines=dict(a=[RESIZE, RESTORE]))], "Resize"),
        ([RESTORE, LOAD], "before the image is loaded"),
    ],
)
def test_wrong_places_name_the_culprit_and_the_mend(pipeline, culprit):
    with pytest.raises(PipelineError, match=culprit) as error:
        check_pipeline(pipeline)
    assert "directly behind LoadImageFromFile" in str(error.value)


def test_alternatives_of_a_random_choice_do_not_count_against_each_other():
    check_pipeline([LOAD, dict(type="RandomChoice", transforms=[[RESIZE], [RESTORE]])])


def test_built_pipelines_are_checked_too():
    resize = Resize(scale=(8, 8))
    with pytest.raises(PipelineError, match="behind Resize"):
        check_pipeline([LOAD, RandomApply([resize]), JpegCompress(10)])
    with pytest.raises(PipelineError, match="behind Resize"):
        check_pipeline(Compose([resize, JpegCompress(10)]).transforms)


def test_name_of_a_scoped_string_a_class_and_an_object():
    assert transform_name(dict(type="mmdet.Resize")) == "Resize"
    assert transform_name(dict(type=Resize)) == "Resize"
    assert transform_name(JpegCompress(10)) == "JpegCompress"


def loaded(shape=(9, 7, 3), dtype=np.uint8, **extra):
    image = np.zeros(shape, dtype)
    return dict(img=image, img_path="a/b.jpg", img_shape=shape[:2], ori_shape=shape[:2], **extra)


@pytest.mark.parametrize("shape", [(9, 7, 3), (9, 7), (9, 7, 1), (1, 1, 3)])
def test_pixels_of_a_loader_pass_unchanged(shape):
    results = loaded(shape)
    assert require_decoder_pixels(results, "JpegRestore") is results["img"]


def test_float32_of_whole_numbers_is_taken_for_the_uint8_it_was():
    image = np.arange(256, dtype=np.float32).reshape(16, 16)
    found = require_decoder_pixels(dict(img=image), "JpegRestore")
    assert found.dtype == np.uint8
    np.testing.assert_array_equal(found, image)


@pytest.mark.parametrize(
    "results,words",
    [
        (loaded(scale_factor=(1.0, 1.0)), "scale_factor"),
        (loaded(flip=False, flip_direction=None), "flip"),
        (loaded(pad_shape=(9, 7)), "pad_shape"),
        (loaded(homography_matrix=np.eye(3)), "homography_matrix"),
        ({**loaded(), "ori_shape": (18, 14)}, "cropped, resized or padded"),
        (loaded(dtype=np.float64), "float64"),
        ({**loaded(), "img": np.full((9, 7, 3), 0.5, np.float32)}, "whole numbers of 0-255"),
        ({**loaded(), "img": np.full((9, 7, 3), 256, np.float32)}, "whole numbers of 0-255"),
        ({**loaded(), "img": np.full((9, 7, 3), np.nan, np.float32)}, "whole numbers of 0-255"),
        (loaded(dtype=np.uint16), "uint16"),
        (loaded((9, 7, 4)), "color_type='color'"),
        (dict(img_path="a/b.jpg"), "missing"),
        (dict(img=[1], img_path="a/b.jpg"), "list"),
    ],
)
def test_other_pixels_are_refused_by_file_name(results, words):
    with pytest.raises(PipelineError, match=r"a/b\.jpg") as error:
        require_decoder_pixels(results, "JpegRestore")
    assert words in str(error.value)
