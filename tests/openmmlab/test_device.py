from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
from torch.utils.data import DataLoader, Dataset

from jpeg_preproc.errors import PipelineError
from jpeg_preproc.openmmlab import device
from jpeg_preproc.openmmlab.device import require_device


class AsksForCuda(Dataset):
    def __len__(self):
        return 1

    def __getitem__(self, index):
        try:
            require_device("cuda:0")
        except PipelineError as error:
            return str(error)
        return "allowed"


def test_cpu_is_always_allowed():
    require_device("cpu")


def test_unknown_device_names_one_that_works():
    with pytest.raises(PipelineError, match="give 'cpu' or 'cuda:0'"):
        require_device("gpu")


@pytest.mark.skipif(torch.cuda.is_available(), reason="needs a machine without CUDA")
def test_absent_cuda_names_the_mend():
    with pytest.raises(PipelineError, match="set device='cpu'"):
        require_device("cuda")


def test_cuda_is_refused_in_a_forked_worker():
    loader = DataLoader(AsksForCuda(), num_workers=1, multiprocessing_context="fork")
    assert "set num_workers=0" in next(iter(loader))[0]


@pytest.mark.parametrize("method,refused", [("fork", True), ("spawn", False)])
def test_how_a_worker_was_started_decides(monkeypatch, method, refused):
    process = SimpleNamespace(_start_method=method)
    monkeypatch.setattr(device.multiprocessing, "current_process", lambda: process)
    monkeypatch.setattr(device, "get_worker_info", lambda: SimpleNamespace(id=0))
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    if refused:
        with pytest.raises(PipelineError, match="forked dataloader worker"):
            require_device("cuda:0")
    else:
        require_device("cuda:0")
