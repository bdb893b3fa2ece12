from __future__ import annotations

import pytest
import torch
from torch.utils.data import DataLoader, Dataset

from jpeg_preproc.errors import PipelineError
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


@pytest.mark.parametrize("context,expected", [("fork", True), ("spawn", False)])
def test_cuda_is_refused_in_forked_workers_alone(context, expected):
    loader = DataLoader(AsksForCuda(), num_workers=1, multiprocessing_context=context)
    message = next(iter(loader))[0]
    assert ("set num_workers=0" in message) is expected
