"""What hooks do to a model between two steps."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
from torch import nn

pytest.importorskip("mmengine", reason="needs mmengine, whose hooks these are")

from jpeg_preproc.training.hooks import FreezeNormHook


def test_norms_go_by_their_statistics_and_learn_on():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Sequential(nn.BatchNorm2d(4), nn.Dropout(0.5)))
    before = {name: value.clone() for name, value in model.named_buffers()}
    model.train()
    FreezeNormHook().before_train_iter(SimpleNamespace(model=model), 0)
    norm, dropout = model[1]
    assert dropout.training and model[0].training
    model(torch.rand(2, 3, 8, 8)).sum().backward()
    assert all(torch.equal(value, before[name]) for name, value in model.named_buffers())
    assert norm.weight.grad.abs().sum() > 0
    model.train()  # as a training's loop does, after a validation
    assert norm.training
