"""Models that find what is bright, a dataset of one file, and a run of a pipeline."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import torch
from mmengine.dataset import Compose
from mmengine.model import BaseDataPreprocessor, BaseModel
from mmengine.registry import MODELS, TRANSFORMS
from mmengine.structures import InstanceData, PixelData
from torch import nn
from torch.utils.data import Dataset, get_worker_info

THRESHOLD = 128.0
LOAD = dict(type="LoadImageFromFile")


def run(pipeline, path, **extra):
    """Return what a pipeline makes of the file ``path``; of none if it is ``None``."""
    return Compose(pipeline)(dict(img_path=None if path is None else str(path), **extra))


def array_results(image):
    """Return what a pipeline has of an array that no file was read for."""
    return dict(img=image, img_path=None, img_shape=image.shape[:2], ori_shape=image.shape[:2])


class _Toy(BaseModel):
    def __init__(self, data_preprocessor=None):
        super().__init__(data_preprocessor or BaseDataPreprocessor())
        self.threshold = nn.Parameter(torch.tensor(THRESHOLD))

    def forward(self, inputs, data_samples=None, mode="tensor"):
        for image, sample in zip(inputs, data_samples, strict=True):
            bright = image.float().mean(0) > self.threshold  # (H, W)
            self.predict(bright, sample)
        return data_samples


@MODELS.register_module(force=True)
class BrightBoxDetector(_Toy):
    """One box around everything bright, in the file's pixels."""

    def predict(self, bright, sample):
        rows, columns = bright.any(1).nonzero()[:, 0], bright.any(0).nonzero()[:, 0]
        boxes = torch.zeros(0, 4)
        if len(rows):
            edges = [columns[0], rows[0], columns[-1] + 1, rows[-1] + 1]
            boxes = torch.stack(edges).float()[None] / torch.tensor(sample.scale_factor).repeat(2)
        count = len(boxes)
        sample.pred_instances = InstanceData(
            bboxes=boxes, scores=torch.ones(count), labels=torch.zeros(count, dtype=torch.long)
        )


@MODELS.register_module(force=True)
class BrightMaskDetector(BrightBoxDetector):
    """That box, and what is bright as its mask, in the file's pixels."""

    def predict(self, bright, sample):
        super().predict(bright, sample)
        found = sample.pred_instances
        mask = nn.functional.interpolate(bright[None, None].float(), sample.ori_shape)[0] > 0.5
        found.masks = mask[: len(found.bboxes)]


@MODELS.register_module(force=True)
class BrightPixelSegmenter(_Toy):
    """Class 1 where it is bright, 0 elsewhere."""

    def predict(self, bright, sample):
        sample.pred_sem_seg = PixelData(data=bright[None].long())


class OneFile(Dataset):
    """The same file three times; here, because spawned workers must find its class."""

    def __init__(self, path, *pipeline):
        self.path, self.pipeline = str(path), Compose(pipeline)

    def __len__(self):
        return 3

    def __getitem__(self, index):
        return self.pipeline(dict(img_path=self.path))["img"]


@TRANSFORMS.register_module(force=True)
class KillWorkers:
    """Kill the process with the second image, if it is a dataloader's worker, so many times."""

    def __init__(self, folder, times):
        self.folder, self.times = Path(folder), times

    def __call__(self, results):
        died = len(list(self.folder.iterdir()))
        if get_worker_info() and Path(results["img_path"]).stem == "001" and died < self.times:
            (self.folder / str(died)).touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return results
