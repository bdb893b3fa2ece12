"""Muon: steps along orthogonalised momentum, for kernels; AdamW for everything else.

K. Jordan et al., "Muon: An optimizer for hidden layers in neural networks", 2024
(kellerjordan.github.io/posts/muon), with the scale of J. Liu et al., "Muon is scalable for LLM
training", 2025 (arXiv:2502.16982, eq. 4), which makes a step as large as AdamW's, so that one
learning rate serves both. ``torch.optim.Muon`` is the same for matrices; this one takes a
convolution's kernel as the matrix of its output channels by all else.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from mmengine.registry import OPTIMIZERS
from torch import Tensor

# Coefficients of the quintic iteration, from Jordan et al.: they end near 1, not at it, in 5 steps.
_QUINTIC = (3.4445, -4.7750, 2.0315)
_STEPS = 5
# Liu et al.: the root mean square of an AdamW step, in learning rates.
_RMS = 0.2


def orthogonalised(matrix: Tensor) -> Tensor:
    """Return the nearest matrix whose singular values are about 1 (0.7 to 1.2).

    Args:
        matrix: The matrix, (M, N).
    """
    a, b, c = _QUINTIC
    tall = matrix.shape[0] > matrix.shape[1]
    x = matrix.T if tall else matrix
    x = x / (x.norm() + 1e-7)
    # The iteration is x ← (a + b·g + c·g²)·x, with g = x·xᵀ. Its factors, which are square, are
    # multiplied first: for a kernel of 3 × 3 this takes 0.4 times the arithmetic.
    gram = x @ x.T
    whole = torch.eye(len(gram), dtype=x.dtype, device=x.device)
    for _ in range(_STEPS):
        factor = torch.addmm(gram, gram, gram, beta=b, alpha=c)
        factor.diagonal().add_(a)
        whole = factor @ whole
        gram = factor @ gram @ factor
    x = whole @ x
    return x.T if tall else x


@OPTIMIZERS.register_module()
class MuonAdamW(torch.optim.Optimizer):
    """Muon for kernels and matrices, AdamW for biases, vectors and narrow kernels.

    Args:
        params: Parameters or groups of them, as any optimizer takes them.
        lr: Learning rate of both.
        momentum: Nesterov momentum of Muon.
        betas: Decay rates of AdamW's two averages.
        eps: What AdamW adds to its denominator.
        weight_decay: Weight decay of both, decoupled from the gradient.
        narrow: Least number of output channels, and of inputs to one of them, that a kernel of
            Muon's has. Others are AdamW's: the first and last layers, whose channels are colours.
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        momentum: float = 0.95,
        betas: tuple[float, float] = (0.9, 0.99),
        eps: float = 1e-8,
        weight_decay: float = 1e-4,
        narrow: int = 16,
    ) -> None:
        defaults = {
            "lr": lr,
            "momentum": momentum,
            "betas": betas,
            "eps": eps,
            "weight_decay": weight_decay,
            "narrow": narrow,
        }
        super().__init__(params, defaults)

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Take one step; return what ``closure`` returned."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            for value in group["params"]:
                if value.grad is None:
                    continue
                value.mul_(1 - group["lr"] * group["weight_decay"])
                wide = value.ndim >= 2 and min(value.shape[0], value[0].numel()) >= group["narrow"]
                (self._muon if wide else self._adam)(value, value.grad, group)
        return loss

    def _muon(self, value: Tensor, grad: Tensor, group: dict[str, Any]) -> None:
        state = self.state[value]
        if not state:
            state["momentum"] = torch.zeros_like(value)
        momentum = state["momentum"].lerp_(grad, 1 - group["momentum"])
        ahead = grad.lerp(momentum, group["momentum"]).reshape(value.shape[0], -1)
        scale = _RMS * max(ahead.shape) ** 0.5
        value.add_(orthogonalised(ahead).reshape(value.shape), alpha=-group["lr"] * scale)

    def _adam(self, value: Tensor, grad: Tensor, group: dict[str, Any]) -> None:
        state = self.state[value]
        if not state:
            state["step"] = torch.zeros((), device=value.device)
            state["mean"], state["square"] = torch.zeros_like(value), torch.zeros_like(value)
        state["step"] += 1
        slow, slower = group["betas"]
        mean = state["mean"].lerp_(grad, 1 - slow) / (1 - slow ** state["step"])
        square = state["square"].lerp_(grad.square(), 1 - slower)
        root = (square / (1 - slower ** state["step"])).sqrt_().add_(group["eps"])
        value.addcdiv_(mean, root, value=-group["lr"])
