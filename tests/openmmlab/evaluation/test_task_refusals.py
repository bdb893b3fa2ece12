"""What a task refuses, and what it says when a model, a metric or a worker fails."""

from __future__ import annotations

import json

import pytest
import torch
import toysets
from toytasks import detector, segmenter

from jpeg_preproc.corruptions import Jpeg
from jpeg_preproc.distributed import Processes
from jpeg_preproc.errors import (
    AnnotationError,
    DeviceError,
    JpegPreprocError,
    PipelineError,
    WeightsError,
)
from jpeg_preproc.evaluation.conditions import Condition, RestorerChoice, RestoreSettings
from jpeg_preproc.openmmlab.evaluation.task import OpenMMLabTask

pytest.importorskip("mmdet")
pytest.importorskip("mmseg")

SETTINGS = RestoreSettings()
ORIGINAL, JPEG = Condition(), Condition(Jpeg(2))


def test_a_metric_without_results_by_image_is_for_one_process(tmp_path, voc):
    task = segmenter(tmp_path, voc)
    task.processes = Processes(0, 2)
    assert task.merged(None, [[0, 2, 4], [1, 3, 5]]) == list(range(6))
    for parts in ([{"car": []}, {}], [[0, 2], [1, 3, 5]]):
        with pytest.raises(JpegPreprocError, match=r"NoneType keeps no result .* without --launch"):
            task.merged(None, parts)


# --- bad input


def test_a_metric_of_another_kind_is_refused(tmp_path, coco):
    config = toysets.detector_config(tmp_path, coco)
    config.write_text(
        config.read_text()
        + "test_evaluator = dict(type='CocoMetric', metric='proposal_fast',"
        + " ann_file=data_root + '/annotations/val.json')\n"
    )
    task = detector(tmp_path, coco, config=config)
    with pytest.raises(JpegPreprocError, match="bbox_mAP, segm_mAP, mAP or mIoU"):
        task.measure(ORIGINAL, SETTINGS, "original")


def test_a_set_without_ground_truth_is_refused(tmp_path, coco):
    annotations = coco / "annotations" / "val.json"
    document = json.loads(annotations.read_text())
    document["annotations"] = []
    annotations.write_text(json.dumps(document))
    with pytest.raises(AnnotationError, match="no ground truth"):
        detector(tmp_path, coco).measure(ORIGINAL, SETTINGS, "original")


def test_a_transform_that_cannot_stand_there_is_refused(tmp_path, coco):
    config = toysets.detector_config(tmp_path, coco)
    config.write_text(
        config.read_text().replace(
            "dict(type='Resize'", "dict(type='JpegCompress', qf=5), dict(type='Resize'"
        )
    )
    task = detector(tmp_path, coco, config=config)
    with pytest.raises(PipelineError, match="JpegCompress already"):
        task.measure(JPEG, SETTINGS, "jpeg")


def write(path, data):
    path.write_bytes(data)
    return path


@pytest.mark.parametrize(
    "make,words",
    [
        (lambda path: path, "does not exist"),
        (lambda path: write(path, b""), "cannot be read as a checkpoint"),
        (
            lambda path: write(path, b"PK\x03\x04 and nothing more"),
            "cannot be read as a checkpoint",
        ),
        (lambda path: write(path, b"text"), "cannot be read as a checkpoint"),
    ],
)
def test_a_damaged_checkpoint_is_named(tmp_path, coco, make, words):
    path = make(tmp_path / "bad.pth")
    with pytest.raises(WeightsError, match=words) as error:
        OpenMMLabTask(toysets.detector_config(tmp_path, coco), path, tmp_path / "out")
    assert str(path) in str(error.value)


@pytest.mark.parametrize(
    "state,words",
    [
        ({"other": torch.zeros(1)}, r"has no threshold\. Give the checkpoint that was trained"),
        ({"threshold": torch.zeros(2, 3)}, r"size mismatch for threshold.*Give the checkpoint"),
    ],
)
def test_a_checkpoint_of_another_model_is_refused(tmp_path, coco, state, words):
    path = tmp_path / "other.pth"
    torch.save({"state_dict": state}, path)
    with pytest.raises(WeightsError, match=words) as error:
        OpenMMLabTask(toysets.detector_config(tmp_path, coco), path, tmp_path / "out")
    assert "other.pth" in str(error.value) and "toy_detector.py" in str(error.value)


@pytest.mark.skipif(torch.cuda.is_available(), reason="needs a machine without CUDA")
def test_an_absent_device_is_one_error(tmp_path, coco):
    with pytest.raises(DeviceError, match="no CUDA device here; set device='cpu'"):
        detector(tmp_path, coco, device="cuda")


def test_cuda_in_a_forked_worker_is_one_error(tmp_path, voc, weights):
    task = segmenter(tmp_path, voc, num_workers=1)
    restored = Condition(Jpeg(2), RestorerChoice(weights, "noise", ""))
    words = r"^JpegRestore.device='cuda:0'. runs in a forked dataloader worker.*set num_workers=0"
    with pytest.raises(PipelineError, match=words) as error:
        task.measure(restored, RestoreSettings(device="cuda:0"), "x")
    assert "Traceback" not in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize("pipeline", ["[]", "None"])
def test_a_config_without_a_test_pipeline_is_refused(tmp_path, coco, pipeline):
    config = toysets.detector_config(tmp_path, coco)
    config.write_text(config.read_text() + f"test_dataloader['dataset']['pipeline'] = {pipeline}\n")
    words = r"toy_detector.py: its CocoDataset to test on has no pipeline; set pipeline"
    with pytest.raises(JpegPreprocError, match=words):
        detector(tmp_path, coco, config=config)


def test_a_model_that_is_not_installed_is_named(tmp_path, coco):
    config = toysets.detector_config(tmp_path, coco)
    config.write_text(config.read_text().replace("BrightBoxDetector", "NoSuchDetector"))
    with pytest.raises(JpegPreprocError, match="NoSuchDetector"):
        detector(tmp_path, coco, config=config)


@pytest.mark.parametrize("times", [1, 2])
def test_a_condition_whose_workers_die_is_measured_again_and_at_last_without_any(
    tmp_path, coco, times
):
    deaths = tmp_path / "deaths"
    deaths.mkdir()
    config = toysets.detector_config(tmp_path, coco)
    expected = detector(tmp_path, coco, config=config).measure(ORIGINAL, SETTINGS, "original")
    kill = f"dict(type='KillWorkers', folder={str(deaths)!r}, times={times}), "
    config.write_text(
        config.read_text().replace("dict(type='Resize'", kill + "dict(type='Resize'", 1)
    )
    task = detector(tmp_path, coco, config=config, num_workers=2)
    found = task.measure(ORIGINAL, SETTINGS, "original")
    assert len(list(deaths.iterdir())) == times
    assert (found.value, found.images) == (expected.value, 6)


def test_what_a_metric_raises_names_it_and_its_file(tmp_path, coco, monkeypatch):
    task = detector(tmp_path, coco)
    monkeypatch.setattr("jpeg_preproc.openmmlab.evaluation.metrics._coco_ap", fail_of(KeyError))
    with pytest.raises(
        JpegPreprocError, match=r"CocoMetric of test_evaluator fails on .*val\.json: KeyError: 'x'"
    ):
        task.measure(ORIGINAL, SETTINGS, "original")
    monkeypatch.setattr("mmdet.evaluation.CocoMetric.process", fail_of(IndexError))
    with pytest.raises(
        JpegPreprocError, match=r"CocoMetric of test_evaluator fails on .*000\.png: IndexError: x"
    ):
        task.measure(ORIGINAL, SETTINGS, "original")


def fail_of(kind):
    def fail(*arguments, **settings):
        raise kind("x")

    return fail
