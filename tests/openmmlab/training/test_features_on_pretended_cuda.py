"""A task-aware training step as on a GPU, judged by the demo's detector and segmenter."""

from __future__ import annotations

import pytest
import torch
from pretended_cuda import DEVICES_DIFFER, pretended_cuda, skip_without

pytest.importorskip("mmdet")
pytest.importorskip("mmseg")

from jpeg_preproc.demo import demo_configs
from jpeg_preproc.openmmlab.training.features import OpenMMLabFeatures
from jpeg_preproc.restorers import Quality
from jpeg_preproc.training.model import RestorationModel

pytestmark = skip_without


@pytest.fixture(params=["detector", "segmenter"])
def model(request):
    config, checkpoint = demo_configs()[request.param]
    judge = dict(type="OpenMMLabFeatures", config=str(config), checkpoint=str(checkpoint))
    task = dict(networks=dict(judge=judge))
    return RestorationModel(restorer="GridUNet", preset="nano", task=task)


def losses(model):
    image = torch.randint(0, 256, (2, 3, 64, 64), dtype=torch.uint8)
    quality, known = Quality.from_qf([10, 60]), torch.tensor([True, False])
    batch = dict(jpeg=image, clean=image, qtables=quality.qtables, qf=quality.qf, known=known)
    model.to("cuda")
    return model(**model.data_preprocessor(batch, True), mode="loss")


def test_a_model_of_openmmlab_judges_where_the_restorer_is(model):
    with pretended_cuda():
        found = losses(model)
        assert {value.device.type for value in found.values()} == {"cuda"}
    assert list(found) == ["loss_pixel", "loss_task_judge"]


def test_a_preprocessor_that_stays_raises(model):
    with pretended_cuda() as patch:
        patch.setattr(OpenMMLabFeatures, "normalise", lambda _, image: image.cpu())
        with pytest.raises(RuntimeError, match=DEVICES_DIFFER):
            losses(model)
