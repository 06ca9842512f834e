"""UR-LSTM and UR-GRU: gates with uniform time constants and a second gate that refines them (Gu et al. 2020b).

Shapes: B sequences, C channels, T steps, N hidden units.
"""

from collections.abc import Iterable
from itertools import repeat

import torch
import torch.nn.functional as F
from torch import Tensor, nn

HEAD = 256
"""Width of the head (official code)."""


def refined(gate: Tensor, refine: Tensor) -> Tensor:
    """A gate f moved towards 1 or towards 0 by a second one, r.

        g = r (1 - (1 - f)^2) + (1 - r) f^2 = f (f + 2 r (1 - f))

    Args:
        gate: f in [0, 1], of any shape.
        refine: r in [0, 1]; 1/2 leaves f as it is.
    """
    return gate * torch.add(gate, torch.addcmul(refine, refine, gate, value=-1), alpha=2)


class _URNetwork(nn.Module):
    """A recurrent layer of four maps of (x, h) and a head Linear-ReLU-Linear on the last step.

    The first map is the gate f, the second the gate r that refines it:

        f = sigmoid(W_f x + U_f h + b),   r = sigmoid(W_r x + U_r h + b_r - b)

    b starts at -ln(1 / p - 1), p uniform in [1 / N, 1 - 1 / N], so that gates start uniform; it is trained, in both
    places. Other biases start at 0 and weights uniform in +-1 / sqrt(N).
    """

    def __init__(self, channels: int, classes: int, *, hidden: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(4 * hidden, channels))
        self.recurrent = nn.Parameter(torch.empty(4 * hidden, hidden))
        self.bias = nn.Parameter(torch.zeros(4, hidden))
        self.head = nn.Sequential(nn.Linear(hidden, HEAD), nn.ReLU(), nn.Linear(HEAD, classes))
        for matrix in (self.weight, self.recurrent):
            nn.init.uniform_(matrix, -(hidden**-0.5), hidden**-0.5)
        with torch.no_grad():
            self.bias[0] = torch.empty(hidden).uniform_(1 / hidden, 1 - 1 / hidden).logit()

    def features(self, sequence: Tensor) -> Tensor:
        """[B, C, T] -> [B, N, T], the state h of every step."""
        gate, refine, *others = self.bias
        drive = F.linear(sequence.permute(2, 0, 1), self.weight, torch.cat([gate, refine - gate, *others]))
        return torch.stack(self.states(drive), dim=2)

    def states(self, drive: Tensor) -> list[Tensor]:
        """[T, B, 4 N], what input and biases give to the four maps -> T states [B, N]."""
        raise NotImplementedError

    def forward(self, sequence: Tensor) -> Tensor:
        """[B, C, T] -> [B, classes] logits."""
        return self.head(self.features(sequence)[:, :, -1])


class URLSTM(_URNetwork):
    """An LSTM whose forget gate g is refined and whose input gate is 1 - g.

        c_t = g c_{t-1} + (1 - g) tanh(W_u x_t + U_u h_{t-1} + b_u),   g = refined(f, r)
        h_t = sigmoid(W_o x_t + U_o h_{t-1} + b_o) tanh(c_t),          h_0 = c_0 = 0

    The maps are those of f, r, the output o and the candidate u, in this order. f and r are as in `_URNetwork`.

    Args:
        channels: C of the sequence.
        classes: logits.
        hidden: N.
    """

    def __init__(self, channels: int, classes: int, *, hidden: int = 512) -> None:
        super().__init__(channels, classes, hidden=hidden)

    def states(self, drive: Tensor) -> list[Tensor]:
        """[T, B, 4 N] -> T states [B, N]."""
        recurrent = self.recurrent.t()
        units = len(recurrent)
        cell = state = drive.new_zeros(drive.shape[1], units)
        states = []
        for step in drive.unbind():
            gates, candidate = torch.addmm(step, state, recurrent).split([3 * units, units], dim=1)
            forget, refine, output = gates.sigmoid().chunk(3, dim=1)
            cell = torch.lerp(candidate.tanh(), cell, refined(forget, refine))
            state = output * cell.tanh()
            states.append(state)
        return states


class URGRU(_URNetwork):
    """A GRU whose update gate g is refined, with zoneout (Krueger et al. 2017).

        h~ = tanh(W_u x_t + b_u + q (U_u h_{t-1})),   q = sigmoid(W_q x_t + U_q h_{t-1} + b_q)
        h_t = h_{t-1} + m g (h~ - h_{t-1}),           g = refined(f, r),   h_0 = 0

    In training, m is 0 with probability `zoneout`, else 1, drawn anew for every unit and step: a unit keeps its state.
    In evaluation, m is its expectation. The maps are those of f, r, the reset gate q and the candidate u, in this
    order. f and r are as in `_URNetwork`.

    Args:
        channels: C of the sequence.
        classes: logits.
        hidden: N.
        zoneout: probability, in [0, 1).

    Raises:
        ValueError: a probability outside its range.
    """

    def __init__(self, channels: int, classes: int, *, hidden: int = 512, zoneout: float = 0.1) -> None:
        super().__init__(channels, classes, hidden=hidden)
        if not 0 <= zoneout < 1:
            raise ValueError(f"zoneout must lie in [0, 1), but is {zoneout}")
        self.zoneout = zoneout

    def states(self, drive: Tensor) -> list[Tensor]:
        """[T, B, 4 N] -> T states [B, N]."""
        units = drive.shape[2] // 4
        to_gates, to_candidate = (part.t() for part in self.recurrent.split([3 * units, units]))
        for_gates, for_candidate = (part.unbind() for part in drive.split([3 * units, units], dim=2))
        state = drive.new_zeros(drive.shape[1], units)
        states = []
        for step, candidate, moved in zip(for_gates, for_candidate, self._moved(drive[:, :, :units]), strict=False):
            update, refine, reset = torch.addmm(step, state, to_gates).sigmoid().chunk(3, dim=1)
            candidate = torch.addcmul(candidate, reset, state @ to_candidate).tanh()
            state = torch.lerp(state, candidate, refined(update, refine) * moved)
            states.append(state)
        return states

    def _moved(self, like: Tensor) -> Iterable[Tensor | float]:
        """The m of every step."""
        if not self.training:
            return repeat(1 - self.zoneout)
        return torch.empty_like(like).bernoulli_(1 - self.zoneout).unbind()
