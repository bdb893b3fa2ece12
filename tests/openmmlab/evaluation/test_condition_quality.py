"""What a restorer inside OpenMMLab is let know of an image's quality."""

from __future__ import annotations

import pytest

from jpeg_preproc.corruptions import Jpeg
from jpeg_preproc.errors import PipelineError
from jpeg_preproc.evaluation.conditions import Condition, RestorerChoice, RestoreSettings

pytest.importorskip("mmdet")
from mmengine.config import Config

from jpeg_preproc.openmmlab.evaluation.condition import condition_transforms, with_condition

CONFIG = {
    "test_dataloader": {
        "dataset": {
            "type": "CocoDataset",
            "pipeline": [{"type": "LoadImageFromFile"}, {"type": "mmdet.PackDetInputs"}],
        }
    },
    "model": {"type": "YOLOX", "data_preprocessor": {"type": "DetDataPreprocessor"}},
}


def condition(source: str) -> Condition:
    return Condition(Jpeg(10), RestorerChoice("nano", "nano", "", quality_source=source))


def test_blind_is_the_qf_of_the_transform():
    _, restore = condition_transforms(condition("blind"), RestoreSettings())
    assert restore["qf"] == "blind"
    _, restore = condition_transforms(condition("file"), RestoreSettings())
    assert restore.get("qf", "auto") == "auto"


def test_blind_is_the_qf_of_the_preprocessor():
    settings = RestoreSettings(where="preprocessor")
    for source, qf in (("blind", "blind"), ("file", "auto")):
        edited = with_condition(Config(CONFIG), condition(source), settings)
        assert edited.model.data_preprocessor.qf == qf


@pytest.mark.parametrize("where", ["pipeline", "preprocessor"])
def test_withholding_the_tables_is_refused(where):
    with pytest.raises(PipelineError, match=r"nano: .* cannot withhold .*'file' or 'blind'"):
        with_condition(Config(CONFIG), condition("estimated"), RestoreSettings(where=where))


def test_a_part_of_the_correction_is_asked_for_at_both_places():
    half = Condition(Jpeg(10), RestorerChoice("nano", "half", "", strength=0.5))
    _, restore = condition_transforms(half, RestoreSettings())
    assert restore["strength"] == 0.5
    edited = with_condition(Config(CONFIG), half, RestoreSettings(where="preprocessor"))
    assert edited.model.data_preprocessor.strength == 0.5
