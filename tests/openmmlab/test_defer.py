from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest
import torch
from mmengine.dataset import Compose, default_collate, pseudo_collate
from mmengine.registry import MODELS
from torch.utils.data import DataLoader, Dataset
from toys import LOAD, run

from jpeg_preproc.errors import ImageReadError, PipelineError
from jpeg_preproc.jpeg import qtables_from_qf
from jpeg_preproc.openmmlab import JpegDefer, JpegRestoreDetDataPreprocessor, check_pipeline
from jpeg_preproc.openmmlab.defer import finish

pytest.importorskip("mmdet")

RESIZE = dict(type="Resize", scale=(64, 64), keep_ratio=True)
PACK = dict(type="mmdet.PackDetInputs")
COMPRESS = dict(type="JpegCompress", qf=9)


def defer(*steps, **settings):
    return dict(type="JpegDefer", transforms=list(steps), **settings)


def names(sample):
    return [type(step).__name__ for step in sample.steps]


def test_the_image_is_what_the_loader_gave_and_the_rest_waits(photo_file):
    packed = run([LOAD, defer(RESIZE, PACK)], photo_file)
    loaded = run([LOAD], photo_file)["img"]
    np.testing.assert_array_equal(packed["inputs"].permute(1, 2, 0), loaded)
    sample = packed["data_samples"]
    assert (names(sample), sample.views) == (["Resize", "PackDetInputs"], 1)
    np.testing.assert_array_equal(sample.origin.qtables, qtables_from_qf(20))
    assert (sample.origin.source, sample.origin.orientation) == ("file", 1)


@pytest.mark.parametrize("layout", [(103, 157), (103, 157, 1), (103, 157, 3)])
def test_finishing_runs_the_rest_on_the_given_image(photo, layout):
    image = np.ascontiguousarray(photo[:103, :157, : layout[2] if len(layout) == 3 else 1])
    image = image.reshape(layout)
    results = dict(img=image, img_path=None, img_shape=layout[:2], ori_shape=layout[:2])
    packed = JpegDefer([RESIZE, PACK])(dict(results))
    sample = packed["data_samples"]
    assert (sample.layout, sample.path, sample.origin.qtables) == (layout, None, None)
    expected = Compose([RESIZE, PACK])(dict(results))
    done = finish(sample, image, {})
    assert torch.equal(done["inputs"], expected["inputs"])
    assert done["data_samples"].metainfo == expected["data_samples"].metainfo


def test_views_of_test_time_augmentation_are_packed_one_by_one(photo_file):
    flips = [dict(type="RandomFlip", prob=1.0), dict(type="RandomFlip", prob=0.0)]
    scales = [RESIZE, dict(type="Resize", scale_factor=2.0)]
    augment = dict(type="TestTimeAug", transforms=[scales, flips, [PACK]])
    packed = run([LOAD, defer(augment)], photo_file, seg_fields=[])
    expected = run([LOAD, augment], photo_file)
    samples = packed["data_samples"]
    assert [sample.views for sample in samples] == [4] * 4
    image = run([LOAD], photo_file)["img"]
    for sample, other in zip(samples, expected["data_samples"], strict=True):
        assert finish(sample, image, {})["data_samples"].metainfo == other.metainfo
    samples[0].results["seg_fields"].append("x")
    assert samples[1].results["seg_fields"] == []


def test_annotations_are_loaded_only_of_what_a_dataset_annotated(photo_file):
    pytest.importorskip("mmseg")
    load, pack = dict(type="mmseg.LoadAnnotations"), dict(type="mmseg.PackSegInputs")
    pipeline = [LOAD, defer(RESIZE, load, pack)]
    assert names(run(pipeline, photo_file)["data_samples"]) == ["Resize", "PackSegInputs"]
    annotated = run(pipeline, photo_file, seg_map_path="a.png")["data_samples"]
    assert names(annotated) == ["Resize", "LoadAnnotations", "PackSegInputs"]


class Files(Dataset):
    def __init__(self, path, *pipeline):
        self.path, self.pipeline = str(path), Compose(pipeline)

    def __len__(self):
        return 2

    def __getitem__(self, index):
        return self.pipeline(dict(img_path=self.path))


@pytest.mark.parametrize("collate", [pseudo_collate, default_collate])
def test_workers_and_both_of_mmengines_collations_take_it(photo_file, weights, collate):
    loader = DataLoader(
        Files(photo_file, LOAD, defer(RESIZE, PACK)),
        batch_size=2,
        num_workers=1,
        multiprocessing_context="fork",
        collate_fn=collate,
    )
    model = JpegRestoreDetDataPreprocessor(restorer=weights)
    result = model(next(iter(loader)))
    assert result["inputs"].shape == (2, 3, 42, 64)
    assert result["data_samples"][0].ori_shape == (103, 157)


def test_a_stock_preprocessor_says_what_is_wrong(photo_file):
    batch = pseudo_collate([run([LOAD, defer(RESIZE, PACK)], photo_file)])
    stock = MODELS.build(dict(type="mmdet.DetDataPreprocessor"))
    with pytest.raises(PipelineError, match=r"photo\.jpg.*JpegRestoreDetDataPreprocessor"):
        stock(copy.deepcopy(batch))
    with pytest.raises(PipelineError, match="where='preprocessor'"):
        _ = batch["data_samples"][0].metainfo  # what mmseg reads first
    assert pickle.loads(pickle.dumps(batch["data_samples"][0])).path == str(photo_file)


def test_what_does_not_pack_is_named(photo_file):
    packed = run([LOAD, defer(RESIZE)], photo_file)
    with pytest.raises(PipelineError, match=r"photo\.jpg.*\(Resize\).*PackDetInputs"):
        finish(packed["data_samples"], np.zeros((103, 157, 3), np.uint8), {})


def test_a_second_restorer_or_nothing_inside_is_refused():
    for name in ("JpegRestore", "JpegCompress"):
        with pytest.raises(PipelineError, match=f"{name} stands in JpegDefer"):
            JpegDefer([dict(type=name, qf=10), PACK])
    with pytest.raises(PipelineError, match="no transforms"):
        JpegDefer([])


@pytest.mark.parametrize(
    "pipeline,words",
    [
        ([LOAD, defer(PACK), dict(type="JpegRestore")], "JpegRestore stands behind JpegDefer"),
        ([LOAD, defer(COMPRESS, PACK)], "JpegCompress stands behind JpegDefer"),
        ([LOAD, RESIZE, defer(PACK)], "JpegDefer stands behind Resize"),
        ([defer(PACK), LOAD], "before the image is loaded"),
    ],
)
def test_wrong_places_are_found_in_the_config(pipeline, words):
    with pytest.raises(PipelineError, match=words):
        check_pipeline(pipeline)


def test_right_places_pass():
    check_pipeline([LOAD, COMPRESS, defer(RESIZE, PACK)])


def test_wrong_pixels_and_files_are_named(photo_file):
    with pytest.raises(PipelineError, match=r"photo\.jpg.*directly behind LoadImageFromFile"):
        run([LOAD, RESIZE, defer(PACK)], photo_file)
    results = run([LOAD], photo_file)
    photo_file.write_bytes(photo_file.read_bytes()[:-300])
    with pytest.raises(ImageReadError, match=r"photo\.jpg is truncated"):
        JpegDefer([PACK], strict=True)(results)
    (sample,) = [JpegDefer([PACK])(results)["data_samples"]]
    assert "is truncated" in sample.origin.problem
    with pytest.raises(PipelineError, match="drop the alpha channel"):
        JpegDefer([PACK])(dict(img=np.zeros((9, 9, 4), np.uint8), img_path=None))


def test_repr_shows_what_it_holds():
    assert repr(JpegDefer([RESIZE, PACK])).startswith("JpegDefer(transforms=[Resize(scale=(64, 64)")
