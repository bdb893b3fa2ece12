"""Shipped studies on the development data: their models load, and a dry run tells what to do."""

from __future__ import annotations

from pathlib import Path

import pytest

from jpeg_preproc.study.prepare import RunOptions
from jpeg_preproc.study.run import dry_run
from jpeg_preproc.study.spec import check_files, read_study

pytest.importorskip("mmdet", reason="needs mmdet, which tools/bootstrap.py installs")
pytest.importorskip("mmseg", reason="needs mmseg, which tools/bootstrap.py installs")

STUDIES = Path(__file__).resolve().parents[2] / "configs" / "studies"


@pytest.fixture
def here(shared_data):
    """Where the small models and their data lie."""
    return {
        "models.yolox_nano.checkpoint": str(shared_data / "models/yolox_nano_mmdet.pth"),
        "models.deeplabv3_mnv2.checkpoint": str(shared_data / "models/deeplabv3_mnv2_mmseg.pth"),
        "datasets.coco.data_root": str(shared_data / "coco"),
        "datasets.voc.data_root": str(shared_data / "voc/VOCdevkit/VOC2012"),
    }


@pytest.mark.parametrize(
    "name",
    [
        *("agarnet_recompression", "agarnet_transcoding", "coco_c_jpeg", "qf_sweep"),
        *("histories", "codecs_at_equal_bits", "decoders"),
    ],
)
def test_all_that_a_study_names_is_here(here, name):
    pytest.importorskip("pillow_jxl", reason="needs the extra 'codecs'")
    pytest.importorskip("pyjpegli", reason="needs the extra 'codecs'")
    pytest.importorskip("av", reason="needs the extra 'video'")
    study = read_study(STUDIES / f"{name}.py", here)
    check_files(study)
    assert {job.model for job in study.jobs} == {"yolox_nano", "deeplabv3_mnv2"}
    for condition in study.conditions:
        if condition.corruption is not None:
            assert condition.corruption.key()["kind"]  # a package that lacks would be named


def test_the_models_of_never_seen_are_configs_of_the_repository(here, shared_data, tmp_path):
    names = ("nanodet_g", "centernet", "dicenet_100", "dicenet_125")
    stand_in = tmp_path / "model.onnx"  # who has it exports it, as the configs say
    stand_in.write_bytes(b"")
    exported = {f"models.{name}.checkpoint": str(stand_in) for name in names}
    del here["models.yolox_nano.checkpoint"]
    picodet = str(shared_data / "models/train_only/picodet_s_416_coco.onnx")
    study = read_study(
        STUDIES / "never_seen.py",
        here | exported | {"models.picodet_s.checkpoint": picodet},
    )
    check_files(study)
    of_data = {name: [] for name in ("coco", "voc")}
    for job in study.jobs:
        of_data[job.dataset].append(job.model)
    assert of_data["coco"] == ["picodet_s", "nanodet_g", "centernet"]
    assert of_data["voc"] == ["dicenet_100", "dicenet_125", "deeplabv3_mnv2"]


@pytest.mark.slow
def test_a_dry_run_of_the_benchmark_s_study(here, tmp_path):
    options = RunOptions(out=tmp_path / "out", limit=4, show_progress=False)
    study = read_study(STUDIES / "coco_c_jpeg.py", here | {"restorers": []})
    cells = dry_run(study, options)
    assert len(cells) == 2 * (1 + 5)
    assert not any(cell.stored for cell in cells)
    assert all(cell.seconds > 0 and not cell.note for cell in cells)
    assert {(cell.dataset, cell.model) for cell in cells} == {
        ("coco", "yolox_nano"),
        ("voc", "deeplabv3_mnv2"),
    }
