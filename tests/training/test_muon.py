"""Muon against torch's own, AdamW's half against torch's, and the iteration against an SVD."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from jpeg_preproc.training.muon import MuonAdamW, orthogonalised


def train(network: nn.Module, optimizers: list[torch.optim.Optimizer], steps: int = 6) -> None:
    generator = torch.Generator().manual_seed(0)
    for _ in range(steps):
        x = torch.randn(8, 32, 6, 6, generator=generator)
        loss = (network(x) - 3 * x.roll(1, 1)).square().mean()
        for optimizer in optimizers:
            optimizer.zero_grad()
        loss.backward()
        for optimizer in optimizers:
            optimizer.step()


@pytest.mark.parametrize("shape", [(24, 60), (60, 24), (20, 20)])
def test_the_iteration_leaves_singular_vectors_and_evens_singular_values(shape):
    torch.manual_seed(0)
    matrix = torch.randn(shape, dtype=torch.double)
    left, values, right = torch.linalg.svd(orthogonalised(matrix), full_matrices=False)
    u, _, v = torch.linalg.svd(matrix, full_matrices=False)
    assert values.min() > 0.6 and values.max() < 1.25
    # Each singular value is only scaled: in the basis of the matrix the result is diagonal.
    inside = u.T @ (left * values) @ right @ v.T
    assert (inside - torch.diag(inside.diagonal())).abs().max() < 1e-6


@pytest.mark.skipif(not hasattr(torch.optim, "Muon"), reason="torch before 2.9 has no Muon")
def test_matrices_are_stepped_as_by_torchs_muon():
    torch.manual_seed(0)
    ours = nn.Linear(6, 48, bias=False)
    ours.weight.data = torch.randn(48, 32)
    theirs = copy.deepcopy(ours)

    class Last(nn.Module):
        def __init__(self, linear: nn.Linear) -> None:
            super().__init__()
            self.linear = linear

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.linear(x.movedim(1, -1))[..., :32].movedim(-1, 1)

    train(Last(ours), [MuonAdamW(ours.parameters(), lr=1e-2, weight_decay=0.1)])
    muon = torch.optim.Muon(
        theirs.parameters(), lr=1e-2, weight_decay=0.1, adjust_lr_fn="match_rms_adamw"
    )
    train(Last(theirs), [muon])
    # torch iterates in bfloat16.
    torch.testing.assert_close(ours.weight, theirs.weight, atol=2e-2, rtol=0)
    assert (ours.weight - theirs.weight).square().mean().sqrt() < 3e-3


def test_what_is_no_kernel_or_a_narrow_one_is_stepped_as_by_adamw():
    torch.manual_seed(0)
    ours = nn.Sequential(nn.GroupNorm(4, 32), nn.Conv2d(32, 32, 3, padding=1, groups=8))
    theirs = copy.deepcopy(ours)
    options = {"lr": 1e-2, "betas": (0.9, 0.99), "weight_decay": 0.1}
    train(ours, [MuonAdamW(ours.parameters(), narrow=64, **options)])
    train(theirs, [torch.optim.AdamW(theirs.parameters(), **options)])
    for name, value in ours.named_parameters():
        torch.testing.assert_close(value, theirs.get_parameter(name), atol=1e-6, rtol=1e-5)


def test_a_kernel_is_the_matrix_of_its_output_channels_in_any_memory_format():
    torch.manual_seed(0)
    plain = nn.Conv2d(32, 32, 3, padding=1)
    last = copy.deepcopy(plain).to(memory_format=torch.channels_last)
    for network in (plain, last):
        train(network, [MuonAdamW(network.parameters(), lr=1e-2)])
    assert not last.weight.is_contiguous()
    torch.testing.assert_close(plain.weight, last.weight, atol=1e-4, rtol=1e-4)


def test_a_training_goes_on_from_its_state():
    torch.manual_seed(0)
    straight = nn.Conv2d(32, 32, 3, padding=1)
    stopped = copy.deepcopy(straight)
    first = MuonAdamW(straight.parameters(), lr=1e-2)
    train(straight, [first])
    train(straight, [first])
    second = MuonAdamW(stopped.parameters(), lr=1e-2)
    train(stopped, [second])
    third = MuonAdamW(stopped.parameters(), lr=1.0)
    third.load_state_dict(copy.deepcopy(second.state_dict()))
    train(stopped, [third])
    torch.testing.assert_close(straight.weight, stopped.weight, rtol=0, atol=0)
