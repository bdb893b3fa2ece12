"""The demo's detector is the public one: as accurate as its ONNX file under onnxruntime."""

from __future__ import annotations

from pathlib import Path

import pytest

from jpeg_preproc.demo import demo_configs
from jpeg_preproc.demo.files import PHOTOS

pytest.importorskip("mmdet", reason="needs mmdet, which tools/bootstrap.py installs")
pytest.importorskip("onnxruntime", reason="needs onnxruntime, of the extra 'onnx'")

from jpeg_preproc.study import RunOptions, measure_recovery

ONNX_CONFIG = Path(__file__).resolve().parents[2] / "configs/downstream/onnx_yolox_nano_coco.py"


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_the_detector_loses_on_jpeg_what_the_public_one_loses(
    shared_data: Path, tmp_path: Path
) -> None:
    options = RunOptions(out=tmp_path, show_progress=False)
    ours = measure_recovery(*demo_configs()["detector"], ["jpeg:10"], [], options=options)
    public = measure_recovery(
        ONNX_CONFIG,
        shared_data / "models/yolox_nano.onnx",
        ["jpeg:10"],
        [],
        data_root=PHOTOS,
        cfg_options={"data.ann_file": "instances.json", "data.images": "images"},
        options=options,
    )
    for one, other in zip(ours[:2], public[:2], strict=True):
        assert (one.metric, one.restorer, one.images) == (other.metric, other.restorer, 40)
        assert one.value == pytest.approx(other.value, abs=0.5)
    original, jpeg = (row.value for row in ours[:2])
    assert original - jpeg > 3
