"""The row of a stock detector."""

from __future__ import annotations

from pathlib import Path

import pytest

from jpeg_preproc.errors import WeightsError
from jpeg_preproc.evaluation.benchmark import Case

pytest.importorskip("mmdet")

from jpeg_preproc.openmmlab.evaluation.benchmark import measure_model

CONFIG = str(Path(__file__).resolve().parents[3] / "configs/downstream/yolox_nano_coco.py")


@pytest.mark.filterwarnings("ignore")
def test_a_detectors_row():
    row = measure_model(Case(CONFIG, 60, 90, batch=2, seconds=0, repeats=1))
    # YOLOX's authors: 1.08 GFLOPs, two to a multiply-accumulate, at 416×416, which this config
    # makes of every size, and 0.91 M parameters.
    assert row["gmacs"] == pytest.approx(0.54, rel=0.05)
    assert row["parameters"] == pytest.approx(0.91e6, rel=0.01)
    assert (row["kind"], row["subject"]) == ("model", "yolox_nano_coco")
    assert (row["height"], row["width"], row["batch"], row["calls"]) == (60, 90, 2, 1)


@pytest.mark.filterwarnings("ignore")
def test_a_checkpoint_that_is_not_there(tmp_path):
    with pytest.raises(WeightsError, match=r"none\.pth does not exist"):
        measure_model(Case(CONFIG, 60, 90, checkpoint=str(tmp_path / "none.pth")))
