"""The Lipschitz RNN: Euler steps of an equation whose matrices are nearly antisymmetric (Erichson et al. 2021)."""

import torch
from torch import Tensor, nn

from restool.nn import Rescaled


class LipschitzLayer(Rescaled):
    """Forward Euler steps of h' = h A + tanh(h W + U x + b), for states that are rows.

        h_t = h_{t-1} + (step / scale) (h_{t-1} A + tanh(h_{t-1} W + U x_t + b)),   h_0 = 0
        A = beta (M - M^T) + (1 - beta) (M + M^T) - gamma I,   W likewise from a second M

    The state at a time does not depend on how finely the input is sampled, up to the error of the steps.

    Args:
        channels: of the input.
        hidden: N, of the state.
        beta: share of the antisymmetric part, 1 for that alone.
        gamma: damping.
        step: Euler step in training. M starts normal with standard deviation 0.1 / N, U and b as in `nn.Linear`.
    """

    def __init__(self, channels: int, hidden: int, *, beta: float, gamma: float, step: float) -> None:
        super().__init__()
        self.encoder = nn.Linear(channels, hidden)
        self.linear, self.inner = (nn.Parameter(torch.randn(hidden, hidden) * (0.1 / hidden)) for _ in range(2))
        self.beta, self.gamma, self.step = beta, gamma, step

    def matrix(self, free: Tensor) -> Tensor:
        """A or W from its M, both [N, N]."""
        damping = self.gamma * torch.eye(len(free), dtype=free.dtype, device=free.device)
        return self.beta * (free - free.mT) + (1 - self.beta) * (free + free.mT) - damping

    def forward(self, steps: Tensor) -> list[Tensor]:
        """[T, B, C] -> T states of [B, N]."""
        linear, inner, step = self.matrix(self.linear), self.matrix(self.inner), self.step / self.scale.item()
        state = linear.new_zeros(steps.shape[1], len(linear))
        states = []
        for seen in self.encoder(steps).unbind():
            slope = torch.addmm(torch.tanh(torch.addmm(seen, state, inner)), state, linear)
            state = torch.add(state, slope, alpha=step)
            states.append(state)
        return states


class LipschitzRNN(nn.Module):
    """A Lipschitz layer and a linear head on the last state.

    Args:
        channels: of the sequence.
        classes: logits.
        hidden: of the state.
        beta: see `LipschitzLayer`.
        gamma: see there.
        step: see there.
    """

    def __init__(
        self,
        channels: int,
        classes: int,
        *,
        hidden: int = 128,
        beta: float = 0.75,
        gamma: float = 0.001,
        step: float = 0.03,
    ) -> None:
        super().__init__()
        self.recurrence = LipschitzLayer(channels, hidden, beta=beta, gamma=gamma, step=step)
        self.head = nn.Linear(hidden, classes)

    def features(self, sequence: Tensor) -> Tensor:
        """[B, C, T] -> [B, hidden, T]."""
        return torch.stack(self.recurrence(sequence.permute(2, 0, 1)), dim=-1)

    def forward(self, sequence: Tensor) -> Tensor:
        """[B, C, T] -> [B, classes] logits."""
        return self.head(self.recurrence(sequence.permute(2, 0, 1))[-1])
