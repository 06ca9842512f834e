"""The parallel Legendre memory unit: a fixed linear memory, computed without a loop (Chilkuri and Eliasmith 2021)."""

from functools import lru_cache

import torch
from torch import Tensor, nn

from restool.correlation import correlate
from restool.models.dropout import Dropout
from restool.nn import Rescaled


def lmu_system(order: int) -> tuple[Tensor, Tensor]:
    """The system m'(t) = A m(t) + B u(t) as theta A [d, d] and theta B [d], in float64.

        theta A_ij = (2i + 1) (-1 if i < j else (-1)^(i - j + 1)),   theta B_i = (2i + 1) (-1)^i

    The memory m(t) holds the coefficients of u over the last theta in d shifted Legendre polynomials.
    """
    rows = torch.arange(order, dtype=torch.float64)[:, None]
    signs = 1 - 2 * (rows % 2)  # (-1)^i
    matrix = torch.where(rows < rows.mT, -1.0, -signs * signs.mT)
    return (2 * rows + 1) * matrix, ((2 * rows + 1) * signs)[:, 0]


def discrete_lmu(order: int, theta: float) -> tuple[Tensor, Tensor]:
    """A-bar [d, d] and B-bar [d] of m_t = A-bar m_{t-1} + B-bar u_t, for u constant within a step of 1 (float64).

    exp [[A, B], [0, 0]] = [[A-bar, B-bar], [0, 1]], which needs no inverse of A.
    """
    generator = torch.zeros(order + 1, order + 1, dtype=torch.float64)
    generator[:-1, :-1], generator[:-1, -1] = (part / theta for part in lmu_system(order))
    transition = torch.linalg.matrix_exp(generator)
    return transition[:-1, :-1], transition[:-1, -1]


@lru_cache(maxsize=8)
def impulse_response(order: int, theta: float, steps: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    """A-bar^k B-bar for the lags k = 0..steps-1: [steps, d], computed in float64."""
    with torch.inference_mode(False):  # the tensor is kept, and a later call may train
        power, vector = discrete_lmu(order, theta)
        response = vector[None]
        while len(response) < steps:
            response = torch.cat([response, response @ power.mT])
            power = power @ power
        return response[:steps].to(device, dtype)


class LegendreMemory(Rescaled):
    """The last theta steps of a number as d Legendre coefficients, theta = steps * scale; it has no parameters.

        m_t = sum_k A-bar^k B-bar u_{t-k}

    Args:
        order: d.
        steps: theta in training.
    """

    def __init__(self, order: int, *, steps: int) -> None:
        super().__init__()
        self.order, self.steps = order, steps

    def _response(self, numbers: Tensor) -> Tensor:
        theta = self.steps * self.scale.item()
        return impulse_response(self.order, theta, numbers.shape[1], self.scale.dtype, numbers.device)

    def forward(self, numbers: Tensor) -> Tensor:
        """The memory at every step by FFT, [B, T] -> [B, d, T]."""
        kernel = self._response(numbers).flip(0).mT[:, None]  # [d, 1, T], lag 0 last
        return correlate(numbers.to(kernel.dtype)[:, None], kernel, causal=True, method="fft")

    def last(self, numbers: Tensor) -> Tensor:
        """The memory at the last step alone, [B, T] -> [B, d]."""
        response = self._response(numbers)
        return numbers.to(response.dtype).flip(1) @ response


class ParallelLMU(nn.Module):
    """A memory of one number a step, read by a hidden layer, and a linear head at the last step.

        u_t = ReLU(w x_t + b),   m_t = `LegendreMemory` of u,   o_t = ReLU(W [m_t, x_t] + b_o)

    Args:
        channels: of the sequence.
        classes: logits.
        steps: of a sequence in training, which the memory spans.
        memory: d, coefficients.
        hidden: of o.
        dropout: probability before the head. All weights start as in `nn.Linear`.
    """

    def __init__(
        self,
        channels: int,
        classes: int,
        *,
        steps: int,
        memory: int = 468,
        hidden: int = 346,
        dropout: float = 0.5,
    ) -> None:
        super().__init__()
        self.encoder = nn.Linear(channels, 1)
        self.memory = LegendreMemory(memory, steps=steps)
        self.hidden = nn.Linear(memory + channels, hidden)
        self.dropout = Dropout(dropout)
        self.head = nn.Linear(hidden, classes)

    def _numbers(self, sequence: Tensor) -> Tensor:
        return torch.relu(self.encoder(sequence.mT))[..., 0]  # [B, T]

    def features(self, sequence: Tensor) -> Tensor:
        """[B, C, T] -> [B, hidden, T]."""
        remembered = torch.cat([self.memory(self._numbers(sequence)), sequence], dim=1)
        return torch.relu(self.hidden(remembered.mT)).mT

    def forward(self, sequence: Tensor) -> Tensor:
        """[B, C, T] -> [B, classes] logits."""
        remembered = torch.cat([self.memory.last(self._numbers(sequence)), sequence[:, :, -1]], dim=1)
        return self.head(self.dropout(torch.relu(self.hidden(remembered))))
