"""The data preprocessors as on a GPU: restorer and batch are there, and what stays is caught."""

from __future__ import annotations

import pytest
import torch
from mmengine.dataset import Compose, pseudo_collate
from mmengine.model import BaseModel
from pretended_cuda import DEVICES_DIFFER, pretended_cuda, recorded, skip_without
from torch import nn

import jpeg_preproc.openmmlab  # noqa: F401  (registers the transforms)

pytest.importorskip("mmdet")
pytest.importorskip("mmseg")

pytestmark = skip_without

CUDA = torch.device("cuda", 0)
LOAD = dict(type="LoadImageFromFile")
NORMAL = dict(mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375], bgr_to_rgb=True)
KINDS = {
    "Det": ("mmdet.PackDetInputs", dict(type="mmdet.DetDataPreprocessor", **NORMAL)),
    "Seg": ("mmseg.PackSegInputs", dict(type="mmseg.SegDataPreProcessor", **NORMAL)),
}


class Model(BaseModel):
    """A model whose first layer sees what the data preprocessor gives."""

    def __init__(self, data_preprocessor):
        super().__init__(data_preprocessor)
        self.first = nn.Conv2d(3, 4, 3)

    def forward(self, inputs, data_samples=None, mode="tensor"):
        return self.first(inputs)


def parts(kind, weights, path, **settings):
    """A model on the CPU with a data preprocessor that restores, and a batch of two images."""
    pack, stock = KINDS[kind]
    rest = [dict(type="Resize", scale=(96, 64), keep_ratio=False), dict(type=pack)]
    defer = dict(type="JpegDefer", transforms=rest, consistent=True)
    pipeline = Compose([LOAD, defer])
    batch = pseudo_collate([pipeline(dict(img_path=str(path), img_id=0)) for _ in range(2)])
    model = Model(
        dict(
            type=f"JpegRestore{kind}DataPreprocessor",
            data_preprocessor=stock,
            restorer=weights,
            qf="file",
            **settings,
        )
    )
    return model.eval(), batch


@pytest.mark.parametrize("dtype", ["fp32", "bf16"])
@pytest.mark.parametrize("kind", KINDS)
def test_images_are_restored_where_the_model_is(weights, photo_file, kind, dtype):
    model, batch = parts(kind, weights, photo_file, dtype=dtype)
    restorer = model.data_preprocessor.engine
    with pretended_cuda(), torch.no_grad(), recorded(restorer.network) as seen:
        model.to("cuda")
        assert restorer.device == CUDA
        data = model.data_preprocessor(batch)
        assert data["inputs"].device == CUDA and data["inputs"].shape == (2, 3, 64, 96)
        assert model(**data).device == CUDA
    assert set(seen) == {CUDA}


@pytest.mark.parametrize("kind", KINDS)
def test_a_model_in_half_precision_takes_the_restorer_along(weights, photo_file, kind):
    model, batch = parts(kind, weights, photo_file)
    engine = model.half().data_preprocessor.engine
    with pretended_cuda(), torch.no_grad(), recorded(engine.network) as seen:
        model.to("cuda")
        assert model.data_preprocessor(batch)["inputs"].device == CUDA
    assert engine.dtype is torch.float16 and set(seen) == {CUDA}


# --- what is left on the CPU is caught


def leave_means(patch, preprocessor):
    """The stock preprocessor's means and deviations, which are buffers, stay."""
    patch.setattr(preprocessor.stock, "_apply", lambda fn, recurse=True: preprocessor.stock)


def leave_engine(patch, preprocessor):
    """The restorer is told the device, and its weights stay."""
    there = nn.Linear(1, 1, device="cuda")
    patch.setattr(preprocessor.engine.network, "_apply", lambda _: there)


@pytest.mark.parametrize("leave", [leave_means, leave_engine])
@pytest.mark.parametrize("kind", KINDS)
def test_what_stays_on_the_cpu_raises(weights, photo_file, kind, leave):
    model, batch = parts(kind, weights, photo_file)
    with pretended_cuda() as patch, torch.no_grad():
        leave(patch, model.data_preprocessor)
        model.to("cuda")
        with pytest.raises(RuntimeError, match=DEVICES_DIFFER):
            model.data_preprocessor(batch)


def test_a_model_that_the_batch_does_not_follow_raises(weights, photo_file):
    model, batch = parts("Det", weights, photo_file)
    with pretended_cuda(), torch.no_grad():
        model.first.to("cuda")
        with pytest.raises(RuntimeError, match=DEVICES_DIFFER):
            model(**model.data_preprocessor(batch))
