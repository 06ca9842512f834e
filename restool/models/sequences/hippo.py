"""HiPPO-LegS: a gated RNN that remembers a number's whole history in Legendre polynomials (Gu et al. 2020)."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable


def legs_system(order: int, like: Tensor) -> tuple[Tensor, Tensor]:
    """A [M, M] and B [M] of t m'(t) = A m(t) + B u(t), in the dtype and on the device of `like`.

        A_nk = -sqrt((2n + 1)(2k + 1)) for n > k,   -(n + 1) for n = k,   0 for n < k;   B_n = sqrt(2n + 1)

    The solution m(t) holds the coefficients of the history in polynomials that are orthonormal on [0, t]:
    u(s) ~ sum_n m_n(t) sqrt(2n + 1) P_n(2 s / t - 1), P_n of Legendre. No unit of time appears in it.
    """
    indices = torch.arange(order, dtype=like.dtype, device=like.device)
    roots = (2 * indices + 1).sqrt()
    return -(torch.tril(roots[:, None] * roots, diagonal=-1) + torch.diag(indices + 1)), roots


def legs_step(memory: Tensor, seen: Tensor, step: int, system: tuple[Tensor, Tensor]) -> Tensor:
    """The memory after one more number by the bilinear rule, m_1 = [u_1, 0, ...].

        m_t = (I - A / 2t)^-1 ((I + A / 2t) m_{t-1} + (B / t) u_t)
            = 2 (I - A / 2t)^-1 (m_{t-1} + (B / 2t) u_t) - m_{t-1}

    Args:
        memory: [B, M], not looked at in step 1.
        seen: u_t, [B].
        step: t, from 1.
        system: A and B.

    Returns:
        [B, M].
    """
    if step == 1:
        return F.pad(seen[:, None], (0, memory.shape[1] - 1))
    matrix, vector = system
    middle: Tensor = _ImplicitHalf.apply(torch.addr(memory, seen, vector, alpha=0.5 / step), matrix, step)
    return torch.lerp(memory, middle, 2.0)


class _ImplicitHalf(torch.autograd.Function):
    """r -> (I - A / 2t)^-1 r; the backward pass makes the matrix anew, as those of all steps would fill the memory."""

    @staticmethod
    def forward(ctx: Any, values: Tensor, matrix: Tensor, step: int) -> Tensor:
        ctx.save_for_backward(matrix)
        ctx.step = step
        return torch.linalg.solve_triangular(_implicit(matrix, step).mT, values, upper=True, left=False)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        (matrix,) = ctx.saved_tensors
        return torch.linalg.solve_triangular(_implicit(matrix, ctx.step), gradient, upper=False, left=False), None, None


def _implicit(matrix: Tensor, step: int) -> Tensor:
    system = matrix * (-0.5 / step)
    system.diagonal().add_(1)
    return system


class HiPPOLegS(nn.Module):
    """A gated RNN around the memory of `legs_system`, and a linear head on its last state.

        u_t = w [x_t, h_{t-1}] + b   (one number),   m_t = `legs_step` of m_{t-1} and u_t
        h_t = h_{t-1} + sigmoid(W_g [x_t, m_t] + b_g) (tanh(W [x_t, m_t] + b_h) - h_{t-1}),   h_0 = 0

    The memory at the end is nearly the same when the sequence is sampled more finely, so no rule is needed for that.

    Args:
        channels: C, of the sequence.
        classes: logits.
        memory: M, polynomials.
        hidden: N, of the state. w starts as in `kaiming_uniform_`, W and W_g as in `xavier_normal_`, biases as in
            `nn.Linear`.
    """

    def __init__(self, channels: int, classes: int, *, memory: int = 512, hidden: int = 512) -> None:
        super().__init__()
        self.encoder = nn.Linear(channels + hidden, 1)
        self.candidate, self.gate = (nn.Linear(channels + memory, hidden) for _ in range(2))
        self.head = nn.Linear(hidden, classes)
        nn.init.kaiming_uniform_(self.encoder.weight)
        nn.init.xavier_normal_(self.candidate.weight)
        nn.init.xavier_normal_(self.gate.weight)

    def _states(self, sequence: Tensor) -> list[Tensor]:
        steps, channels = sequence.permute(2, 0, 1), sequence.shape[1]
        encoding, feedback = self.encoder.weight[0, :channels], self.encoder.weight[0, channels:]
        weight = torch.cat([self.candidate.weight, self.gate.weight])
        bias = torch.cat([self.candidate.bias, self.gate.bias])
        seen = F.linear(steps, encoding[None], self.encoder.bias)[..., 0].to(weight.dtype)  # [T, B]
        driving, recall = F.linear(steps, weight[:, :channels], bias), weight[:, channels:].mT
        state = weight.new_zeros(steps.shape[1], len(feedback))
        memory = weight.new_zeros(steps.shape[1], len(recall))
        system, states = legs_system(len(recall), weight), []
        for step, (number, drive) in enumerate(zip(seen.unbind(), driving.unbind(), strict=True), start=1):
            number = torch.addmv(number, state, feedback).to(memory.dtype)  # autocast may have made it shorter
            memory = legs_step(memory, number, step, system)
            candidate, gate = torch.addmm(drive, memory, recall).chunk(2, dim=1)
            state = torch.addcmul(state, torch.sigmoid(gate), torch.tanh(candidate) - state)
            states.append(state)
        return states

    def features(self, sequence: Tensor) -> Tensor:
        """[B, C, T] -> [B, hidden, T]."""
        return torch.stack(self._states(sequence), dim=-1)

    def forward(self, sequence: Tensor) -> Tensor:
        """[B, C, T] -> [B, classes] logits."""
        return self.head(self._states(sequence)[-1])
