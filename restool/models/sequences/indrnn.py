"""IndRNN: recurrent layers whose units see no other unit's past (Li et al. 2018).

Shapes: B sequences, C channels, T steps, N hidden units.
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from restool.models.dropout import Dropout
from restool.nn import Rescaled

LARGEST_GAIN = 5.0
"""No unit multiplies its state by more over the steps of a training sequence (official code)."""


class IndependentLayer(Rescaled):
    """A recurrent layer with one recurrent weight a unit.

        h_t = relu(W x_t + b + u h_{t-1}),   h_0 = 0,   |u| <= U = 5^(1 / steps)

    The bound holds where u is used: the layer computes with min(max(u, -U), U). A gradient that leads back inside
    passes the bound and one that leads further out does not, so that a weight beyond it can return; the original
    clamps the parameter itself after every update, to the same effect.

    Where the input has r = `scale` times as many steps, the layer uses

        sign(u) |u|^(1/r),   W / r,   b / r

    so that a state decays as much in the same time, and a constant input adds as much to it as u nears 1. The bound is
    that of training, before the power.

    Args:
        inputs: C.
        hidden: N.
        steps: T in training.
        least: where the uniform distribution starts that u is drawn from; it ends at U.
    """

    def __init__(self, inputs: int, hidden: int, *, steps: int, least: float = 0.0) -> None:
        super().__init__()
        self.bound = LARGEST_GAIN ** (1 / steps)
        self.weight = nn.Parameter(torch.empty(hidden, inputs))
        self.bias = nn.Parameter(torch.zeros(hidden))
        self.recurrent = nn.Parameter(torch.empty(hidden).uniform_(least, self.bound))
        nn.init.kaiming_uniform_(self.weight, a=8)

    def forward(self, sequence: Tensor) -> Tensor:
        """[T, B, C] -> [T, B, N]."""
        decay = self.decay()
        drive = F.linear(sequence, self.weight, self.bias) / self.scale
        state = torch.zeros_like(drive[0])
        states = []
        for step in drive.unbind():
            state = torch.relu(torch.addcmul(step, decay, state))
            states.append(state)
        return torch.stack(states)

    def decay(self) -> Tensor:
        """What a state is multiplied by in a step of the input, [N]."""
        bounded = _Bounded.apply(self.recurrent, self.bound)
        if self.scale == 1:
            return bounded
        size = bounded.abs().clamp_min(torch.finfo(bounded.dtype).tiny)  # a root has no derivative at 0
        return bounded.sign() * size ** (1 / self.scale)


class _Bounded(torch.autograd.Function):
    """min(max(u, -U), U), of which a gradient passes where its descent does not lead away from [-U, U]."""

    @staticmethod
    def forward(ctx: Any, values: Tensor, bound: float) -> Tensor:
        ctx.save_for_backward(values)
        ctx.bound = bound
        return values.clamp(-bound, bound)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        (values,) = ctx.saved_tensors
        return gradient * ((values.abs() <= ctx.bound) | (values * gradient > 0)), None


class IndRNN(nn.Module):
    """Independent layers, each with batch norm over batch and steps and dropout, and a linear head on the last step.

    Dropout has one mask for all steps. Units of the last layer start with a long memory: their u lies in [1 / U, U].

    Args:
        channels: C of the sequence.
        classes: logits.
        steps: T in training, which sets the bound U.
        hidden: N of every layer.
        layers: their number.
        dropout: probability after every norm.
    """

    def __init__(
        self, channels: int, classes: int, *, steps: int, hidden: int = 128, layers: int = 6, dropout: float = 0.1
    ) -> None:
        super().__init__()
        longest = LARGEST_GAIN ** (-1 / steps)
        self.layers = nn.ModuleList(
            IndependentLayer(
                hidden if level else channels, hidden, steps=steps, least=longest if level == layers - 1 else 0.0
            )
            for level in range(layers)
        )
        self.norms = nn.ModuleList(nn.BatchNorm1d(hidden) for _ in range(layers))
        self.dropout = Dropout(dropout)
        self.head = nn.Linear(hidden, classes)
        nn.init.kaiming_normal_(self.head.weight)
        nn.init.zeros_(self.head.bias)

    def features(self, sequence: Tensor) -> Tensor:
        """[B, C, T] -> [B, N, T]."""
        hidden = sequence.permute(2, 0, 1)
        for layer, norm in zip(self.layers, self.norms, strict=True):
            states = layer(hidden)
            hidden = norm(states.flatten(0, 1)).view_as(states)
            hidden = hidden * self.dropout(torch.ones_like(hidden[0]))
        return hidden.permute(1, 2, 0)

    def forward(self, sequence: Tensor) -> Tensor:
        """[B, C, T] -> [B, classes] logits."""
        return self.head(self.features(sequence)[:, :, -1])
