"""A step of each training as on a GPU, losses to optimizer, and what would be caught."""

from __future__ import annotations

import pytest
import torch

pytest.importorskip("mmengine", reason="training needs mmengine")

from mmengine.optim import build_optim_wrapper
from mmengine.registry import MODELS
from pretended_cuda import DEVICES_DIFFER, pretended_cuda, skip_without
from torch import nn

from jpeg_preproc.restorers.contract import Quality
from jpeg_preproc.training import muon, networks
from jpeg_preproc.training.feature_losses import TaskLoss
from jpeg_preproc.training.model import RestorationModel

pytestmark = skip_without

CUDA = torch.device("cuda", 0)
MUON = dict(type=muon.MuonAdamW, lr=1e-3)


@MODELS.register_module(force=True)
class TwoMaps(nn.Module):
    """A frozen judge: one map of features from a convolution, one from its batch norm."""

    def __init__(self):
        super().__init__()
        self.record = {}
        self.convolution, self.norm = nn.Conv2d(3, 4, 3, stride=2), nn.BatchNorm2d(4)

    def forward(self, image):
        first = self.convolution(image)
        return {"first": first, "second": self.norm(first)}


TASK = dict(weight=0.5, networks=dict(judge=dict(type="TwoMaps")))
TRAININGS = [
    (RestorationModel, dict(restorer="GridUNet", preset="nano")),
    (RestorationModel, dict(restorer="GridUNet", preset="nano", task=TASK)),
    (RestorationModel, dict(restorer="GridUNet", preset="nano", task=TASK, autocast="bf16")),
    (RestorationModel, dict(restorer="QGCN", preset="tiny", loss="l1")),
    (networks.FBCNNModel, dict(restorer="FBCNN", preset="tiny")),
    (networks.D2LNetModel, dict(restorer="D2LNet", preset="tiny", task=TASK)),
    (networks.AGARNetModel, dict(restorer="AGARNet", preset="tiny")),
    (networks.AGARNetEstimatorModel, dict(restorer="AGARNet", preset="tiny")),
]


def batch(channels):
    """Two crops as a loader gives them: on the CPU."""
    clean = torch.randint(0, 256, (2, channels, 64, 64), dtype=torch.uint8)
    quality = Quality.from_qf([10, 60])
    known = torch.tensor([True, False])
    return dict(jpeg=clean, clean=clean, qtables=quality.qtables, qf=quality.qf, known=known)


def step(model, data, optimizer=MUON):
    """Move the model, as a runner does, and train it by one batch; return the wrapper."""
    model.to("cuda")
    wrapper = build_optim_wrapper(model, dict(type="OptimWrapper", optimizer=optimizer))
    model.train_step(data, wrapper)
    return wrapper


@pytest.mark.parametrize("kind,settings", TRAININGS)
def test_a_step_leaves_nothing_on_the_cpu(kind, settings):
    model = kind(**settings)
    data = batch(model.restorer.channels)
    with pretended_cuda():
        wrapper = step(model, data)
        state = wrapper.optimizer.state  # of each parameter that had a gradient
        assert {value.device for value in state} == {CUDA}
        assert {part.device for entry in state.values() for part in entry.values()} == {CUDA}


@pytest.mark.parametrize("optimizer", [MUON, dict(type="AdamW", lr=1e-3)], ids=["muon", "adamw"])
def test_optimizers(optimizer):
    model, data = RestorationModel(restorer="GridUNet", preset="nano"), batch(3)
    with pretended_cuda():
        step(model, data, optimizer)


def test_validation_reads_its_figures_back():
    model, data = RestorationModel(restorer="GridUNet", preset="nano"), batch(3)
    with pretended_cuda(), torch.no_grad():
        model.to("cuda")
        found = model.val_step(data)
    assert [sorted(one) for one in found] == [["mse", "mse_jpeg", "qf"]] * 2


# --- what is left on the CPU is caught


def leave_judges(patch):
    patch.setattr(TaskLoss, "apply", lambda *_: None)


def leave_moments(patch):
    like = torch.zeros_like
    patch.setattr(muon.torch, "zeros_like", lambda value: like(value, device="cpu"))


@pytest.mark.parametrize("leave", [leave_judges, leave_moments])
def test_what_a_step_leaves_on_the_cpu_raises(leave):
    model, data = RestorationModel(restorer="GridUNet", preset="nano", task=TASK), batch(3)
    with pretended_cuda() as patch:
        leave(patch)
        with pytest.raises(RuntimeError, match=DEVICES_DIFFER):
            step(model, data)


def test_a_batch_that_is_not_moved_raises():
    model, data = RestorationModel(restorer="GridUNet", preset="nano"), batch(3)
    with pretended_cuda():
        model.to("cuda")
        with pytest.raises(RuntimeError, match=DEVICES_DIFFER):
            model(**data, mode="loss")
